//! Connections: the heads of sessions at other providers than AT Protocol servers, in `upstream_session`, with the user
//! whose access they are.
//!
//! The table is shared with AT Protocol sessions, whose schedules cross tenants, and not under row-level security yet.
//! These functions take a scope all the same, and name the tenant.

use causeway_domain::connection::{
    Connection, ConnectionAccess, CredentialOwner, GrantedBy, LastError, Slot,
};
use causeway_domain::session::{Credentials, SessionHead};
use causeway_types::{
    ClientId, CredentialId, IdentityId, RegistrationId, SessionKind, SessionState, TenantId, TenantUser,
    Timestamp, UpstreamSessionId,
};
use diesel::prelude::*;
use serde_json::{Map, Value};

use super::credentials::{self, NewCredential, Renewal};
use super::{access, tenants, users};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::paging::{Page, PageRequest};
use crate::engine::tenancy::TenantScope;
use crate::events::{self, EventKind};
use crate::schema::upstream_session::{self, dsl};
use crate::schema::{connection_access, tenant, upstream_credential};
use crate::sessions::head::HeadRow;
use crate::sessions::{self, Reach};

const fn column(name: &'static str) -> Column {
    Column("upstream_session", name)
}

/// The part of a head that only connections have.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = upstream_session, treat_none_as_default_value = false)]
struct ConnectionRow {
    namespace: Option<String>,
    user_id: Option<String>,
    account_slot: Option<String>,
    device_slot: Option<String>,
    registration_id: Option<String>,
    social_identity_id: Option<String>,
    parameters: Option<String>,
    metadata: Option<String>,
    confirmed_at: Option<i64>,
    refreshed_at: Option<i64>,
    last_error: Option<String>,
    last_error_at: Option<i64>,
    deleted_at: Option<i64>,
}

impl ConnectionRow {
    fn into_domain(self, head: HeadRow) -> Result<Connection, StoreError> {
        let namespace = column("namespace").present(self.namespace)?;
        let user_id = column("user_id").present(self.user_id)?;
        let object = |name, text: Option<String>| {
            text.map_or(Ok(Map::new()), |text| column(name).json::<Map<String, Value>>(&text))
        };
        let last_error = self.last_error.zip(self.last_error_at);
        Ok(Connection {
            head: head.into_domain()?,
            slot: Slot {
                user: column("user_id").user(&namespace, &user_id)?,
                account_slot: column("account_slot").present(self.account_slot)?,
                device_slot: column("device_slot").present(self.device_slot)?,
            },
            registration_id: self.registration_id.map(RegistrationId::new),
            identity_id: self.social_identity_id.map(IdentityId::new),
            parameters: object("parameters", self.parameters)?,
            metadata: object("metadata", self.metadata)?,
            confirmed_at: self.confirmed_at.map(Timestamp),
            refreshed_at: self.refreshed_at.map(Timestamp),
            last_error: last_error.map(|(code, at)| LastError { code, at: Timestamp(at) }),
            deleted_at: self.deleted_at.map(Timestamp),
        })
    }
}

/// A connection to store, which no user has confirmed yet unless its head is active.
#[derive(Clone, Copy, Debug)]
pub struct NewConnection<'a> {
    /// Its head.
    pub head: &'a SessionHead,
    /// Its place.
    pub slot: &'a Slot,
    /// Our registration at its issuer.
    pub registration_id: Option<&'a RegistrationId>,
    /// The account at the provider.
    pub identity_id: Option<&'a IdentityId>,
    /// Values of the definition's parameters.
    pub parameters: &'a Map<String, Value>,
    /// Captures from the provider's answers.
    pub metadata: &'a Map<String, Value>,
}

/// Stores a connection with its user's credential, for the use of its client. The tenant knows its user from now on.
///
/// # Errors
/// [`StoreError::Constraint`] when the tenant or the user is deleted, the client does not act in the tenant, or the head is
/// active and another connection is live in its place; [`StoreError`] when encryption or a query fails.
pub fn insert_connection(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    new: &NewConnection<'_>,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    let NewConnection { head, slot, .. } = *new;
    if head.tenant_id != *scope.tenant_id() {
        return Err(StoreError::Constraint("the connection is of another tenant".to_owned()));
    }
    tenants::hold_tenant(scope.connection(), &head.tenant_id)?;
    users::insert_user(scope, &slot.user, head.created_at)?;
    let object =
        |name, map: &Map<String, Value>| (!map.is_empty()).then(|| column(name).to_json(map)).transpose();
    let is_confirmed = head.state != SessionState::Pending;
    let row = ConnectionRow {
        namespace: Some(slot.user.namespace.as_str().to_owned()),
        user_id: Some(slot.user.user_id.as_str().to_owned()),
        account_slot: Some(slot.account_slot.clone()),
        device_slot: Some(slot.device_slot.clone()),
        registration_id: new.registration_id.map(|id| id.as_str().to_owned()),
        social_identity_id: new.identity_id.map(|id| id.as_str().to_owned()),
        parameters: object("parameters", new.parameters)?,
        metadata: object("metadata", new.metadata)?,
        confirmed_at: is_confirmed.then_some(head.created_at.as_secs()),
        refreshed_at: None,
        last_error: None,
        last_error_at: None,
        deleted_at: None,
    };
    let insert = diesel::insert_into(upstream_session::table).values((HeadRow::of(head)?, row));
    insert.execute(scope.connection())?;
    let credential = NewCredential {
        credential_id: &CredentialId::first_of(&head.session_id),
        session_id: &head.session_id,
        iteration: head.iteration,
        slot,
        provider: head.provider(),
        session_kind: head.kind,
        owner: &CredentialOwner::User,
        identity_id: new.identity_id,
        account_ref: Some(head.subject()),
        state: head.state,
        at: head.created_at,
    };
    credentials::insert_credential(scope, ring, &credential, credentials)?;
    let own = ConnectionAccess {
        connection_id: head.session_id.clone(),
        client_id: head.client_id.clone(),
        granted_by: GrantedBy::Creation,
        created_at: head.created_at,
    };
    access::put_access(scope, &own)
}

/// Stores the session of a sign-in at another provider than an AT Protocol server.
pub(crate) fn insert_sign_in(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    head: &SessionHead,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    let slot = column("user_id").present(Slot::of_sign_in(head))?;
    let empty = Map::new();
    let new = NewConnection {
        head,
        slot: &slot,
        registration_id: None,
        identity_id: None,
        parameters: &empty,
        metadata: &empty,
    };
    insert_connection(scope, ring, &new, credentials)
}

/// The heads of connections of this scope's tenant that are not deleted.
macro_rules! live {
    ($scope:expr) => {
        dsl::upstream_session
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str().to_owned()))
            .filter(dsl::namespace.is_not_null())
            .filter(dsl::deleted_at.is_null())
    };
}

/// One head of a connection of this scope's tenant.
macro_rules! row {
    ($scope:expr, $session_id:expr) => {
        live!($scope).filter(dsl::session_id.eq($session_id.as_str()))
    };
}

/// Finds a connection, in whatever state.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_connection(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
) -> Result<Option<Connection>, StoreError> {
    let found = row!(scope, session_id).select((HeadRow::as_select(), ConnectionRow::as_select()));
    let found = fixed!(found).get_result::<(HeadRow, ConnectionRow)>(scope.connection()).optional()?;
    found.map(|(head, row)| row.into_domain(head)).transpose()
}

/// Locks the head of a connection until the transaction ends: nothing moves it meanwhile.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn lock_connection(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
) -> Result<(), StoreError> {
    let lock = diesel::update(row!(scope, session_id)).set(dsl::last_used_at.eq(dsl::last_used_at));
    fixed!(lock).execute(scope.connection())?;
    Ok(())
}

/// Finds the user's credential of a head's iteration, and locks the head until the transaction ends; `None` when the head has
/// moved on, or has ended.
///
/// # Errors
/// [`StoreError`] when a query fails, or the row is corrupt or does not open.
pub fn lock_credentials(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    head: &SessionHead,
) -> Result<Option<Credentials>, StoreError> {
    let scope = &mut TenantScope::enter(c, &head.tenant_id);
    lock_connection(scope, &head.session_id)?;
    credentials::find_user_credential(scope, ring, &head.session_id, head.iteration, false)
}

/// Selects connections. One that was never confirmed is on no list, however it ended: whoever opened the link may not have
/// been the client's user.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    /// Those that this client may use.
    pub client_id: Option<ClientId>,
    /// Those of this user.
    pub user: Option<TenantUser>,
    /// Those at this provider.
    pub provider: Option<String>,
    /// Those in this state. Unless it is given, pending and ended ones are left out.
    pub state: Option<SessionState>,
}

/// Lists a page of the tenant's connections, the newest first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_connections(
    scope: &mut TenantScope<'_>,
    filter: &ConnectionFilter,
    wanted: &PageRequest,
) -> Result<Page<Connection>, StoreError> {
    let mut query = live!(scope)
        .order(dsl::session_id.desc())
        .limit(wanted.look_ahead())
        .select((HeadRow::as_select(), ConnectionRow::as_select()))
        .into_boxed();
    if let Some(client_id) = &filter.client_id {
        let granted = connection_access::table
            .filter(connection_access::tenant_id.eq(scope.tenant_id().as_str().to_owned()))
            .filter(connection_access::client_id.eq(client_id.as_str().to_owned()))
            .filter(connection_access::connection_id.eq(dsl::session_id))
            .filter(connection_access::deleted_at.is_null());
        query = query.filter(diesel::dsl::exists(granted));
    }
    if let Some(TenantUser { namespace, user_id }) = &filter.user {
        query = query
            .filter(dsl::namespace.eq(namespace.as_str().to_owned()))
            .filter(dsl::user_id.eq(user_id.as_str().to_owned()));
    }
    if let Some(provider) = &filter.provider {
        query = query.filter(dsl::provider.eq(provider.clone()));
    }
    query = query.filter(dsl::confirmed_at.is_not_null());
    query = match filter.state {
        Some(state) => query.filter(dsl::state.eq(state.as_str())),
        None => query.filter(
            dsl::state
                .eq(SessionState::Active.as_str())
                .or(dsl::state.eq(SessionState::ReauthRequired.as_str())),
        ),
    };
    if let Some(after) = &wanted.after {
        query = query.filter(dsl::session_id.lt(after.clone()));
    }
    let rows = query.load::<(HeadRow, ConnectionRow)>(scope.connection())?;
    let connections = rows.into_iter().map(|(head, row)| row.into_domain(head)).collect::<Result<_, _>>()?;
    Ok(wanted.page(connections, |connection: &Connection| connection.head.session_id.as_str().to_owned()))
}

/// Selects one connection of a user.
#[derive(Clone, Debug)]
pub struct FindConnection {
    /// A client that may use it.
    pub client_id: ClientId,
    /// The user.
    pub user: TenantUser,
    /// The provider.
    pub provider: String,
    /// The kind.
    pub kind: SessionKind,
    /// The fingerprint of its device; `None`: any.
    pub device_slot: Option<String>,
    /// The time at which it must not have ended.
    pub now: Timestamp,
}

/// Finds the confirmed connection of a user that was used last among those that have not ended.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_used_last(
    scope: &mut TenantScope<'_>,
    wanted: &FindConnection,
) -> Result<Option<Connection>, StoreError> {
    let granted = connection_access::table
        .filter(connection_access::tenant_id.eq(dsl::tenant_id))
        .filter(connection_access::client_id.eq(wanted.client_id.as_str()))
        .filter(connection_access::connection_id.eq(dsl::session_id))
        .filter(connection_access::deleted_at.is_null());
    let idle_end = dsl::last_used_at.nullable() + dsl::idle_seconds;
    let mut query = live!(scope)
        .filter(dsl::namespace.eq(wanted.user.namespace.as_str()))
        .filter(dsl::user_id.eq(wanted.user.user_id.as_str()))
        .filter(dsl::provider.eq(wanted.provider.as_str()))
        .filter(dsl::session_kind.eq(wanted.kind.as_str()))
        .filter(dsl::confirmed_at.is_not_null())
        .filter(
            dsl::state
                .eq(SessionState::Active.as_str())
                .or(dsl::state.eq(SessionState::ReauthRequired.as_str())),
        )
        .filter(dsl::idle_seconds.is_null().or(idle_end.gt(wanted.now.as_secs()).assume_not_null()))
        .filter(diesel::dsl::exists(granted))
        .order((dsl::last_used_at.desc(), dsl::session_id.desc()))
        .limit(1)
        .select((HeadRow::as_select(), ConnectionRow::as_select()))
        .into_boxed();
    if let Some(device_slot) = &wanted.device_slot {
        query = query.filter(dsl::device_slot.eq(device_slot));
    }
    let found = query.get_result::<(HeadRow, ConnectionRow)>(scope.connection()).optional()?;
    found.map(|(head, row)| row.into_domain(head)).transpose()
}

/// Whether a user has connections that a client may not use: they are of other clients of the tenant.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn has_connections_of_others(
    scope: &mut TenantScope<'_>,
    user: &TenantUser,
    client_id: &ClientId,
) -> Result<bool, StoreError> {
    let own = connection_access::table
        .filter(connection_access::tenant_id.eq(dsl::tenant_id))
        .filter(connection_access::client_id.eq(client_id.as_str()))
        .filter(connection_access::connection_id.eq(dsl::session_id))
        .filter(connection_access::deleted_at.is_null());
    let of_others = live!(scope)
        .filter(dsl::namespace.eq(user.namespace.as_str()))
        .filter(dsl::user_id.eq(user.user_id.as_str()))
        .filter(dsl::confirmed_at.is_not_null())
        .filter(dsl::state.ne(SessionState::Ended.as_str()))
        .filter(diesel::dsl::not(diesel::dsl::exists(own)))
        .select(dsl::session_id);
    Ok(of_others.first::<String>(scope.connection()).optional()?.is_some())
}

/// Activates a pending connection whose user was confirmed to be the one who connected; `false` when it is not pending.
///
/// # Errors
/// [`StoreError::Constraint`] when another connection is live in its place; [`StoreError::Corrupt`] when its user's
/// credential is missing; [`StoreError`] when a query fails.
pub fn confirm_connection(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let pending = row!(scope, session_id).filter(dsl::state.eq(SessionState::Pending.as_str()));
    let activated = diesel::update(pending)
        .set((dsl::state.eq(SessionState::Active.as_str()), dsl::last_used_at.eq(now.as_secs())));
    if fixed!(activated).execute(scope.connection())? == 0 {
        return Ok(false);
    }
    note_confirmed(scope, session_id, now)?;
    events::note_session(scope.connection(), session_id, EventKind::Completed, now)?;
    Ok(true)
}

/// Records that the user was confirmed, and activates the credential; the head is active already.
///
/// # Errors
/// See [`confirm_connection`].
pub(crate) fn note_confirmed(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let confirmed = diesel::update(row!(scope, session_id)).set(dsl::confirmed_at.eq(Some(now.as_secs())));
    let confirmed = fixed!(confirmed).execute(scope.connection())?;
    column("confirmed_at").one(confirmed)?;
    let is_activated = credentials::activate_credentials_of(scope, session_id, now)?;
    Column("upstream_credential", "state").one(usize::from(is_activated))
}

/// Ends a connection with all of its credentials, which are due for revocation; `false` when the tenant has none of it
/// that is live or pending.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn end_connection(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let tenant_id = scope.tenant_id();
    sessions::end_quietly(scope.connection(), Reach::ConnectionsOf(tenant_id), session_id, now)
}

/// Ends a connection and deletes it, whatever its state: nobody sees it any more.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn delete_connection(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    end_connection(scope, session_id, now)?;
    let deleted = diesel::update(row!(scope, session_id)).set(dsl::deleted_at.eq(Some(now.as_secs())));
    deleted.execute(scope.connection())?;
    Ok(())
}

/// Finds the connection that is live in the place of a pending one: it is ended before the pending one is activated, in
/// one transaction.
///
/// # Errors
/// [`StoreError`] when a query fails or a row is corrupt.
pub fn find_superseded(
    scope: &mut TenantScope<'_>,
    pending: &Connection,
) -> Result<Option<UpstreamSessionId>, StoreError> {
    let Slot { user, account_slot, device_slot } = &pending.slot;
    let live = upstream_credential::table
        .filter(upstream_credential::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(upstream_credential::namespace.eq(user.namespace.as_str()))
        .filter(upstream_credential::user_id.eq(user.user_id.as_str()))
        .filter(upstream_credential::provider.eq(pending.head.provider()))
        .filter(upstream_credential::session_kind.eq(pending.head.kind.as_str()))
        .filter(upstream_credential::account_slot.eq(account_slot))
        .filter(upstream_credential::device_slot.eq(device_slot))
        .filter(upstream_credential::credential_kind.eq(CredentialOwner::User.kind().as_str()))
        .filter(upstream_credential::state.ne(SessionState::Pending.as_str()))
        .filter(upstream_credential::deleted_at.is_null())
        .filter(upstream_credential::session_id.ne(pending.head.session_id.as_str()))
        .select(upstream_credential::session_id);
    Ok(fixed!(live).get_result::<String>(scope.connection()).optional()?.map(UpstreamSessionId::new))
}

/// Puts renewed credentials in the place of those that they replace, and records the outcome on the head, which is moved
/// already.
///
/// # Errors
/// [`StoreError::Corrupt`] when the credential of that iteration is missing; [`StoreError`] when encryption or a query
/// fails.
pub(crate) fn note_renewed(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    renewal: Renewal<'_>,
) -> Result<(), StoreError> {
    let is_renewed = credentials::renew_user_credential(scope, ring, session_id, renewal)?;
    Column("upstream_credential", "iteration").one(usize::from(is_renewed))?;
    let outcome = diesel::update(row!(scope, session_id)).set((
        dsl::refreshed_at.eq(Some(renewal.at.as_secs())),
        dsl::last_error.eq(None::<String>),
        dsl::last_error_at.eq(None::<i64>),
    ));
    column("refreshed_at").one(fixed!(outcome).execute(scope.connection())?)
}

/// Puts renewed credentials in the place of those that a session spent before it ended.
///
/// # Errors
/// See [`note_renewed`].
pub(crate) fn note_renewed_too_late(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    renewal: Renewal<'_>,
) -> Result<(), StoreError> {
    let is_replaced = credentials::replace_ended_credential(scope, ring, session_id, renewal)?;
    Column("upstream_credential", "iteration").one(usize::from(is_replaced))
}

/// Records a renewal that failed; `false` when the connection has moved on from `iteration` since.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn note_error(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    iteration: i64,
    error: &LastError,
) -> Result<bool, StoreError> {
    let current = row!(scope, session_id).filter(dsl::iteration.eq(iteration));
    let failed = (dsl::last_error.eq(Some(&error.code)), dsl::last_error_at.eq(Some(error.at.as_secs())));
    Ok(fixed!(diesel::update(current).set(failed)).execute(scope.connection())? == 1)
}

/// Finds the tenant of a registration that connections were made with. The provider names the registration, and no tenant.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn find_tenant_of_registration(
    c: &mut AnyConnection,
    registration_id: &RegistrationId,
) -> Result<Option<TenantId>, StoreError> {
    let found = tenant::table
        .inner_join(upstream_session::table.on(
            dsl::tenant_id.eq(tenant::tenant_id).and(dsl::registration_id.eq(Some(registration_id.as_str()))),
        ))
        .limit(1)
        .select(tenant::tenant_id);
    Ok(fixed!(found).get_result::<String>(c).optional()?.map(TenantId::new))
}

/// Lists connections of an account at the provider that were made with a registration and have not ended, at most
/// `limit`.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_connections_of_account(
    scope: &mut TenantScope<'_>,
    registration_id: &RegistrationId,
    subject: &str,
    limit: i64,
) -> Result<Vec<SessionHead>, StoreError> {
    let rows = live!(scope)
        .filter(dsl::registration_id.eq(registration_id.as_str()))
        .filter(dsl::subject.eq(subject))
        .filter(dsl::state.ne(SessionState::Ended.as_str()))
        .order(dsl::session_id.asc())
        .limit(limit)
        .select(HeadRow::as_select())
        .load::<HeadRow>(scope.connection())?;
    rows.into_iter().map(HeadRow::into_domain).collect()
}
