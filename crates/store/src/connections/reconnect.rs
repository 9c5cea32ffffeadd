//! Connections that a user connects again, and unconfirmed ones that nobody confirmed.

use causeway_domain::connection::Connection;
use causeway_domain::session::{ATPROTO, Cooldown, Credentials, SessionHead};
use causeway_types::{SessionState, TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use super::{credentials, heads, identities, listings, managed_accounts, page_credentials};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::events::{self, EventKind};
use crate::schema::upstream_session::{self, dsl};
use crate::sessions;
use crate::sessions::head::HeadRow;

const ENDED: &str = SessionState::Ended.as_str();
const PENDING: &str = SessionState::Pending.as_str();

const fn column(name: &'static str) -> Column {
    Column("upstream_session", name)
}

/// The head of a connection of this scope's tenant.
macro_rules! row {
    ($scope:expr, $session_id:expr) => {
        dsl::upstream_session
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
            .filter(dsl::namespace.is_not_null())
            .filter(dsl::session_id.eq($session_id.as_str()))
    };
}

/// The part of a head that a new authorization changes.
#[derive(AsChangeset)]
#[diesel(table_name = upstream_session, treat_none_as_null = true)]
struct NewBinding {
    subject: Option<String>,
    binding: Option<String>,
    registration_id: Option<String>,
    social_identity_id: Option<String>,
    parameters: Option<String>,
    metadata: Option<String>,
    correlation_id: Option<String>,
}

/// Puts the access of an unconfirmed connection in the place of that of `connection_id`, which keeps its identifier and
/// moves to its next iteration. What it had is due for revocation, as that of a session `replaced_id` that has ended.
/// `false`, with nothing changed, when one of the two is not what it has to be any more, or they are not to the same
/// account.
///
/// # Errors
/// [`StoreError::Corrupt`] when a credential is missing; [`StoreError`] when encryption or a query fails.
pub fn reconnect(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    connection_id: &UpstreamSessionId,
    unconfirmed_id: &UpstreamSessionId,
    replaced_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    heads::lock_connection(scope, connection_id)?;
    let (old, new) =
        (heads::find_connection(scope, connection_id)?, heads::find_connection(scope, unconfirmed_id)?);
    let (Some(old), Some(new)) = (old, new) else { return Ok(false) };
    let is_live = matches!(old.head.state, SessionState::Active | SessionState::ReauthRequired);
    // Of one user, one account at one issuer has one identity.
    let is_same_place = old.slot == new.slot && old.identity_id == new.identity_id;
    if !is_live || !is_same_place || new.head.state != SessionState::Pending {
        return Ok(false);
    }
    listings::apply_listing(scope, unconfirmed_id, connection_id, now)?;
    let from = old.head.iteration;
    let new_credentials =
        credentials::find_user_credential(scope, ring, unconfirmed_id, new.head.iteration, false)?;
    let new_credentials = Column("upstream_credential", "payload").present(new_credentials)?;
    let replaced = credentials::find_user_credential(scope, ring, connection_id, from, false)?;
    let iteration = from.saturating_add(1);
    if !sessions::advance_session(scope.connection(), ring, connection_id, from, &new_credentials, now)? {
        return Err(StoreError::Conflict("the connection has moved meanwhile"));
    }
    let rebound = diesel::update(row!(scope, connection_id)).set(binding_of(&new)?);
    column("binding").one(rebound.execute(scope.connection())?)?;
    let (identity_id, subject) = (new.identity_id.as_ref(), new.head.subject());
    credentials::set_account(scope, connection_id, iteration, identity_id, subject)?;
    page_credentials::take_pages(scope, unconfirmed_id, connection_id, iteration, now)?;
    discard(scope, unconfirmed_id, now)?;
    if let Some(replaced) = replaced.filter(|replaced| !shares_token(replaced, &new_credentials)) {
        enqueue_displaced(scope, ring, &old, replaced_id, &replaced, now)?;
        page_credentials::hand_over_deleted_pages(scope, connection_id, replaced_id)?;
    }
    events::note_session(scope.connection(), connection_id, EventKind::Completed, now)?;
    Ok(true)
}

/// Whether the revocation of the one would end the other.
fn shares_token(one: &Credentials, other: &Credentials) -> bool {
    let is_same_refresh_token = one.refresh_token.is_some() && one.refresh_token == other.refresh_token;
    is_same_refresh_token || one.access.secret() == other.access.secret()
}

/// Has credentials revoked that a connection does not use, or no longer: as those of a session `session_id` that was never
/// confirmed, and ends at once.
///
/// # Errors
/// [`StoreError::Constraint`] when the user is deleted; [`StoreError`] when encryption or a query fails.
pub fn enqueue_displaced(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    connection: &Connection,
    session_id: &UpstreamSessionId,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<(), StoreError> {
    let head = SessionHead {
        session_id: session_id.clone(),
        state: SessionState::Pending,
        iteration: 1,
        created_at: now,
        last_used_at: now,
        cooldown: Cooldown::default(),
        ..connection.head.clone()
    };
    let ended = heads::NewConnection {
        head: &head,
        slot: &connection.slot,
        registration_id: connection.registration_id.as_ref(),
        identity_id: connection.identity_id.as_ref(),
        parameters: &connection.parameters,
        metadata: &connection.metadata,
    };
    heads::insert_connection(scope, ring, &ended, credentials)?;
    heads::end_connection(scope, session_id, now)?;
    Ok(())
}

fn binding_of(new: &Connection) -> Result<NewBinding, StoreError> {
    let other = new.head.other().map_err(|_| column("binding").corrupt())?;
    let object = |name, map: &serde_json::Map<String, serde_json::Value>| {
        (!map.is_empty()).then(|| column(name).to_json(map)).transpose()
    };
    Ok(NewBinding {
        subject: Some(other.subject.clone()),
        binding: Some(other.data.clone()),
        registration_id: new.registration_id.as_ref().map(|id| id.as_str().to_owned()),
        social_identity_id: new.identity_id.as_ref().map(|id| id.as_str().to_owned()),
        parameters: object("parameters", &new.parameters)?,
        metadata: object("metadata", &new.metadata)?,
        correlation_id: new.head.correlation_id.as_ref().map(|id| id.as_str().to_owned()),
    })
}

/// Ends an unconfirmed connection whose access lives on in another one: nothing of it is revoked.
fn discard(
    scope: &mut TenantScope<'_>,
    unconfirmed_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let pending = row!(scope, unconfirmed_id).filter(dsl::state.eq(PENDING));
    let ended = diesel::update(pending).set((
        dsl::state.eq(ENDED),
        dsl::ended_at.eq(Some(now.as_secs())),
        dsl::refresh_due_at.eq(None::<i64>),
    ));
    column("state").one(ended.execute(scope.connection())?)?;
    credentials::delete_credentials_of(scope, unconfirmed_id, now)?;
    credentials::erase_payloads_of(scope, unconfirmed_id)?;
    Ok(())
}

/// Deletes the account of a connection that nobody confirmed, and what it manages, unless another connection is to the
/// same account.
pub(crate) fn forget_account(
    scope: &mut TenantScope<'_>,
    unconfirmed_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    listings::forget_listing(scope, unconfirmed_id)?;
    let own = row!(scope, unconfirmed_id).select(dsl::social_identity_id);
    let identity = own.get_result::<Option<String>>(scope.connection()).optional()?.flatten();
    let Some(identity) = identity else { return Ok(()) };
    let other = dsl::upstream_session
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::social_identity_id.eq(&identity))
        .filter(dsl::session_id.ne(unconfirmed_id.as_str()))
        .filter(dsl::state.ne(ENDED))
        .select(dsl::session_id);
    if other.first::<String>(scope.connection()).optional()?.is_some() {
        return Ok(());
    }
    let identity_id = causeway_types::IdentityId::new(identity);
    managed_accounts::delete_managed_accounts(scope, &identity_id, now)?;
    identities::delete_identity(scope, &identity_id, now)?;
    Ok(())
}

/// Replaces the binding of a connection that its provider's code alone reads; `false` when the tenant has none of it.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn set_binding(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    session_id: &UpstreamSessionId,
    binding: &str,
) -> Result<bool, StoreError> {
    let scope = &mut TenantScope::enter(c, tenant_id);
    let own = row!(scope, session_id).filter(dsl::deleted_at.is_null());
    let changed = diesel::update(own).set(dsl::binding.eq(Some(binding)));
    Ok(fixed!(changed).execute(scope.connection())? == 1)
}

/// Lists connections to an account at a provider that have not ended, of all tenants, at most `limit`: one revocation
/// may end the access of all of them. `None`: to any account there.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_connections_to_account(
    c: &mut AnyConnection,
    provider: &str,
    subject: Option<&str>,
    limit: i64,
) -> Result<Vec<SessionHead>, StoreError> {
    debug_assert_ne!(provider, ATPROTO);
    let live = dsl::upstream_session.filter(dsl::provider.eq(provider)).filter(dsl::ended_at.is_null());
    let live = live.order(dsl::session_id.asc()).limit(limit).select(HeadRow::as_select()).into_boxed();
    let rows: Vec<HeadRow> = match subject {
        Some(subject) => live.filter(dsl::subject.eq(subject)).load(c)?,
        None => live.load(c)?,
    };
    rows.into_iter().map(HeadRow::into_domain).collect()
}
