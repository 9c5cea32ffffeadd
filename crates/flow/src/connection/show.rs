//! One connection with everything that is known about it, without secrets.

use causeway_domain::connection::{
    Connection, CredentialOwner, CredentialRecord, ManagedAccount, SocialIdentity,
};
use causeway_providers::oauth::missing_scopes;
use causeway_store::connections::credentials::{self, CredentialFilter};
use causeway_store::connections::{access, heads, identities, managed_accounts};
use causeway_store::{PageRequest, StoreError, TenantScope};
use causeway_types::{ClientId, ErrorCode, SessionState, UpstreamSessionId};

use super::tenant_client::TenantClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::oauth2::binding::OauthBinding;

/// The most managed accounts and credentials of a connection that are shown.
const MOST: i64 = 1000;

/// A connection with what belongs to it.
#[derive(Clone, Debug)]
pub struct ConnectionDetails {
    /// The connection.
    pub connection: Connection,
    /// The account at the provider.
    pub identity: Option<SocialIdentity>,
    /// The accounts that it manages.
    pub managed_accounts: Vec<ManagedAccount>,
    /// Its credentials, without secrets.
    pub credentials: Vec<CredentialRecord>,
    /// Scopes that were requested and that the provider did not grant.
    pub missing_scopes: Vec<String>,
}

impl ConnectionDetails {
    /// The user's own credential.
    pub fn user_credential(&self) -> Option<&CredentialRecord> {
        self.credentials.iter().find(|credential| credential.owner == CredentialOwner::User)
    }
}

/// Why a connection is not shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Unknown, unconfirmed, or one that the client may not use: one text for all on purpose.
    #[error("there is no such connection, or this client may not use it")]
    NotFound,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ConnectionError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<StoreError> for ConnectionError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Shows a connection that a client may use.
///
/// # Errors
/// [`ConnectionError`].
#[tracing::instrument(name = "flow.connection.show", skip_all, fields(client_id = %client.client.client_id))]
pub async fn show(
    ctx: &Ctx,
    client: &TenantClient,
    connection_id: &UpstreamSessionId,
) -> Result<ConnectionDetails, ConnectionError> {
    let (client_id, id) = (client.client.client_id.clone(), connection_id.clone());
    let store = client.store(ctx);
    let shown = store.read(move |scope| {
        let Some(connection) = find_accessible(scope, &client_id, &id)? else { return Ok(None) };
        details(scope, connection).map(Some).map_err(ConnectionError::from)
    });
    shown.await?.ok_or(ConnectionError::NotFound)
}

/// Finds a connection that a client may use: confirmed, in whatever state.
pub(crate) fn find_accessible(
    scope: &mut TenantScope<'_>,
    client_id: &ClientId,
    connection_id: &UpstreamSessionId,
) -> Result<Option<Connection>, StoreError> {
    if !access::has_access(scope, connection_id, client_id)? {
        return Ok(None);
    }
    find_confirmed(scope, connection_id)
}

/// Finds a connection of the tenant that its user was confirmed for.
pub(crate) fn find_confirmed(
    scope: &mut TenantScope<'_>,
    connection_id: &UpstreamSessionId,
) -> Result<Option<Connection>, StoreError> {
    let found = heads::find_connection(scope, connection_id)?;
    // One that ended before it was confirmed was never seen, either.
    Ok(found.filter(|it| it.head.state != SessionState::Pending && it.confirmed_at.is_some()))
}

/// Reads what belongs to a connection.
pub(crate) fn details(
    scope: &mut TenantScope<'_>,
    connection: Connection,
) -> Result<ConnectionDetails, StoreError> {
    let identity = match &connection.identity_id {
        Some(id) => identities::find_identity(scope, id)?,
        None => None,
    };
    let managed_accounts = match &identity {
        Some(identity) => managed_accounts::list_managed_accounts(scope, &identity.identity_id, MOST)?,
        None => Vec::new(),
    };
    let filter = CredentialFilter { session_id: Some(connection.head.session_id.clone()), deleted: false };
    let credentials = credentials::list_credentials(scope, &filter, &PageRequest::first(MOST))?.items;
    let mut details =
        ConnectionDetails { connection, identity, managed_accounts, credentials, missing_scopes: Vec::new() };
    details.missing_scopes = missing(&details);
    Ok(details)
}

fn missing(details: &ConnectionDetails) -> Vec<String> {
    let Some(credential) = details.user_credential() else { return Vec::new() };
    // Kinds of providers whose binding is another one request no scopes.
    let Ok(binding) = OauthBinding::of(&details.connection.head) else { return Vec::new() };
    let granted: Vec<String> = credential.granted_scope.split_whitespace().map(str::to_owned).collect();
    missing_scopes(&binding.requested_scopes, Some(&granted)).into_iter().map(str::to_owned).collect()
}
