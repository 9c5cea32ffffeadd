//! Connections as they are used: with everything that a call needs, in one query.

use causeway_domain::connection::{CredentialRecord, Registration};
use causeway_domain::session::{Credentials, SessionHead};
use causeway_types::{
    ClientId, CredentialKind, IdentityId, ManagedAccountId, SessionKind, SessionState, TenantUser, Timestamp,
    UpstreamSessionId,
};
use diesel::prelude::*;

use super::credentials::Row as CredentialRow;
use super::payload::{self, Encrypted};
use super::registrations::Row as RegistrationRow;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::schema::{
    connection_access, managed_account, provider_registration, upstream_credential, upstream_session,
};
use crate::sessions::head::HeadRow;

const ACTIVE: &str = SessionState::Active.as_str();
const REAUTH_REQUIRED: &str = SessionState::ReauthRequired.as_str();
const USER: &str = CredentialKind::User.as_str();

type FoundConnection = (HeadRow, Option<String>, Option<Encrypted>, Option<RegistrationRow>);
type FoundAccount = ((String, String, Option<i64>), Option<CredentialRow>, Option<Encrypted>);

/// A confirmed connection that a client may use.
#[derive(Clone, Debug)]
pub struct ConnectionInUse {
    /// Its head: active, or its user has to connect again.
    pub head: SessionHead,
    /// The account at the provider.
    pub identity_id: Option<IdentityId>,
    /// The user's credentials of the head's iteration.
    pub credentials: Option<Credentials>,
    /// Our registration at its issuer.
    pub registration: Option<Registration>,
}

/// Finds the live connection of a user at a provider: the newest one.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn find_connection_of_user(
    scope: &mut TenantScope<'_>,
    user: &TenantUser,
    provider: &str,
    kind: SessionKind,
) -> Result<Option<UpstreamSessionId>, StoreError> {
    let found = upstream_session::table
        .filter(upstream_session::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(upstream_session::namespace.eq(user.namespace.as_str()))
        .filter(upstream_session::user_id.eq(user.user_id.as_str()))
        .filter(upstream_session::provider.eq(provider))
        .filter(upstream_session::session_kind.eq(kind.as_str()))
        .filter(upstream_session::confirmed_at.is_not_null())
        .filter(upstream_session::state.eq(ACTIVE).or(upstream_session::state.eq(REAUTH_REQUIRED)))
        .filter(upstream_session::deleted_at.is_null())
        .order(upstream_session::session_id.desc())
        .limit(1)
        .select(upstream_session::session_id);
    Ok(fixed!(found).get_result::<String>(scope.connection()).optional()?.map(UpstreamSessionId::new))
}

/// Finds a connection that a client may use: it has access to it, its user is confirmed, and it has not ended.
///
/// # Errors
/// [`StoreError`] when the query fails, or a row is corrupt or does not open.
pub fn find_connection_in_use(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    connection_id: &UpstreamSessionId,
    client_id: &ClientId,
) -> Result<Option<ConnectionInUse>, StoreError> {
    let granted = connection_access::tenant_id
        .eq(upstream_session::tenant_id)
        .and(connection_access::connection_id.eq(upstream_session::session_id))
        .and(connection_access::client_id.eq(client_id.as_str()))
        .and(connection_access::deleted_at.is_null());
    let current = upstream_credential::tenant_id
        .eq(upstream_session::tenant_id)
        .and(upstream_credential::session_id.eq(upstream_session::session_id))
        .and(upstream_credential::iteration.eq(upstream_session::iteration))
        .and(upstream_credential::credential_kind.eq(USER))
        .and(upstream_credential::payload.ne(""))
        .and(upstream_credential::deleted_at.is_null());
    let ours = provider_registration::tenant_id
        .eq(upstream_session::tenant_id)
        .and(provider_registration::registration_id.nullable().eq(upstream_session::registration_id))
        .and(provider_registration::deleted_at.is_null());
    let found = upstream_session::table
        .inner_join(connection_access::table.on(granted))
        .left_join(upstream_credential::table.on(current))
        .left_join(provider_registration::table.on(ours))
        .filter(upstream_session::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(upstream_session::session_id.eq(connection_id.as_str()))
        .filter(upstream_session::namespace.is_not_null())
        .filter(upstream_session::state.eq(ACTIVE).or(upstream_session::state.eq(REAUTH_REQUIRED)))
        .filter(upstream_session::deleted_at.is_null())
        .select((
            HeadRow::as_select(),
            upstream_session::social_identity_id,
            (
                upstream_credential::credential_id,
                upstream_credential::payload,
                upstream_credential::created_at,
                upstream_credential::expires_at,
                upstream_credential::granted_scope,
            )
                .nullable(),
            Option::<RegistrationRow>::as_select(),
        ));
    let found = fixed!(found).get_result::<FoundConnection>(scope.connection()).optional()?;
    let Some((head, identity_id, encrypted, registration)) = found else { return Ok(None) };
    Ok(Some(ConnectionInUse {
        head: head.into_domain()?,
        identity_id: identity_id.map(IdentityId::new),
        credentials: encrypted.map(|encrypted| payload::open(ring, encrypted)).transpose()?,
        registration: registration.map(|row| row.into_domain(ring)).transpose()?,
    }))
}

/// A managed account of a connection.
#[derive(Clone, Debug)]
pub struct AccountInUse {
    /// The account.
    pub managed_account_id: ManagedAccountId,
    /// The account, by the provider's own identifier.
    pub subject: String,
    /// Since when a complete listing has missed it; `None`: it is available.
    pub unavailable_at: Option<Timestamp>,
    /// Its own credential; `None`: calls for it are made with the user's.
    pub credential: Option<(CredentialRecord, Credentials)>,
}

/// Finds an account that the user of a connection manages, by its identifier or by the provider's.
///
/// # Errors
/// [`StoreError`] when the query fails, or a row is corrupt or does not open.
pub fn find_account_in_use(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    connection_id: &UpstreamSessionId,
    identity_id: &IdentityId,
    account: &str,
) -> Result<Option<AccountInUse>, StoreError> {
    let own = upstream_credential::tenant_id
        .eq(managed_account::tenant_id)
        .and(upstream_credential::managed_account_id.eq(managed_account::managed_account_id.nullable()))
        .and(upstream_credential::session_id.eq(connection_id.as_str()))
        .and(upstream_credential::payload.ne(""))
        .and(upstream_credential::deleted_at.is_null());
    let named = managed_account::managed_account_id.eq(account).or(managed_account::subject.eq(account));
    let found = managed_account::table
        .left_join(upstream_credential::table.on(own))
        .filter(managed_account::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(managed_account::social_identity_id.eq(identity_id.as_str()))
        .filter(managed_account::deleted_at.is_null())
        .filter(named)
        .limit(1)
        .select((
            (managed_account::managed_account_id, managed_account::subject, managed_account::unavailable_at),
            Option::<CredentialRow>::as_select(),
            (
                upstream_credential::credential_id,
                upstream_credential::payload,
                upstream_credential::created_at,
                upstream_credential::expires_at,
                upstream_credential::granted_scope,
            )
                .nullable(),
        ));
    let found = fixed!(found).get_result::<FoundAccount>(scope.connection()).optional()?;
    let Some(((id, subject, unavailable_at), record, encrypted)) = found else { return Ok(None) };
    let credential = match record.zip(encrypted) {
        Some((record, encrypted)) => Some((record.into_domain()?, payload::open(ring, encrypted)?)),
        None => None,
    };
    Ok(Some(AccountInUse {
        managed_account_id: ManagedAccountId::new(id),
        subject,
        unavailable_at: unavailable_at.map(Timestamp),
        credential,
    }))
}
