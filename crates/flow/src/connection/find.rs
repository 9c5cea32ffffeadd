//! The connection of a user's device, or of the jobs for a user, without its identifier.

use causeway_domain::connection::Connection;
use causeway_store::connections::heads::{self, FindConnection};
use causeway_types::{ErrorCode, SessionKind};

use super::tenant_client::{InvalidUserId, TenantClient};
use crate::ctx::Ctx;
use crate::error::Internal;

/// The connection that a client looks for.
#[derive(Clone, Debug)]
pub struct FindRequest {
    /// The client's own name for the user.
    pub user_id: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The kind. It is always named: a job never gets the session of a device, nor the reverse.
    pub session_kind: Option<String>,
    /// The fingerprint of the device; `None`: the one that was used last.
    pub fingerprint: Option<String>,
}

/// Why no connection was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No user has such a name.
    #[error(transparent)]
    User(#[from] InvalidUserId),
    /// A parameter is missing, or not what it has to be.
    #[error("{0}")]
    Parameter(&'static str),
    /// The user has none like this: one text for all on purpose.
    #[error("there is no such connection, or this client may not use it")]
    NotFound,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl FindError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::User(_) | Self::Parameter(_) => ErrorCode::InvalidRequest,
            Self::NotFound => ErrorCode::NotFound,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Finds a connection that a client may use: that of the device with this fingerprint, or else the one that was used last.
///
/// # Errors
/// [`FindError`].
#[tracing::instrument(name = "flow.connection.find", skip_all, fields(client_id = %client.client.client_id))]
pub async fn find(ctx: &Ctx, client: &TenantClient, request: FindRequest) -> Result<Connection, FindError> {
    let FindRequest { user_id, provider, session_kind, fingerprint } = request;
    let user_id = user_id.ok_or(FindError::Parameter("user_id is missing"))?;
    let kind = session_kind.as_deref().and_then(SessionKind::parse);
    let kind = kind.ok_or(FindError::Parameter("session_kind must be device or background"))?;
    if kind == SessionKind::Background && fingerprint.is_some() {
        return Err(FindError::Parameter("only connections of devices have a fingerprint"));
    }
    let wanted = FindConnection {
        client_id: client.client.client_id.clone(),
        user: client.user(&user_id)?,
        provider: provider.ok_or(FindError::Parameter("provider is missing"))?,
        kind,
        device_slot: fingerprint,
        now: ctx.now(),
    };
    let store = client.store(ctx);
    let found = store.find(move |scope| heads::find_used_last(scope, &wanted).map_err(Internal::from));
    found.await?.ok_or(FindError::NotFound)
}
