//! Lists of connections.

use causeway_domain::connection::Connection;
use causeway_store::connections::heads::{self, ConnectionFilter};
use causeway_store::{Page, PageRequest};
use causeway_types::{ErrorCode, SessionState};

use super::tenant_client::{InvalidUserId, TenantClient};
use crate::ctx::Ctx;
use crate::error::Internal;

/// The connections that a client asks for.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// Those of this user, by the client's own name.
    pub user_id: Option<String>,
    /// Those at this provider.
    pub provider: Option<String>,
    /// Those in this state; unless it is given, ended ones are left out.
    pub state: Option<String>,
    /// The part of the list.
    pub page: PageRequest,
}

/// Why connections are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// No user has such a name.
    #[error(transparent)]
    User(#[from] InvalidUserId),
    /// There is no such state.
    #[error("state must be active, reauth_required or ended")]
    State,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ListError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::User(_) | Self::State => ErrorCode::InvalidRequest,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Reads a state that a list may be of: connections that nobody has confirmed are seen by nobody.
///
/// # Errors
/// [`ListError::State`].
pub fn listed_state(name: &str) -> Result<SessionState, ListError> {
    SessionState::parse(name).filter(|state| *state != SessionState::Pending).ok_or(ListError::State)
}

/// Lists a page of the connections that a client may use, the newest first.
///
/// # Errors
/// [`ListError`].
#[tracing::instrument(name = "flow.connection.list", skip_all, fields(client_id = %client.client.client_id))]
pub async fn list(
    ctx: &Ctx,
    client: &TenantClient,
    request: ListRequest,
) -> Result<Page<Connection>, ListError> {
    let filter = ConnectionFilter {
        client_id: Some(client.client.client_id.clone()),
        user: request.user_id.map(|user_id| client.user(&user_id)).transpose()?,
        provider: request.provider,
        state: request.state.as_deref().map(listed_state).transpose()?,
    };
    let store = client.store(ctx);
    Ok(store
        .read(move |scope| heads::list_connections(scope, &filter, &request.page).map_err(Internal::from))
        .await?)
}
