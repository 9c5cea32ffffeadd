//! Authorizations under way at providers: `upstream_pending`. They are found by the hash of `state` before anybody knows
//! the tenant, so the table is not under row-level security.

use causeway_domain::connection::PendingConnection;
use causeway_types::secret::ProviderState;
use causeway_types::{
    BrowserSessionId, ClientId, ConnectSessionId, RegistrationId, Secret, TenantId, TenantUser, Timestamp,
    TokenHash,
};
use diesel::prelude::*;

use super::tenants::{self, tenant_is_live};
use crate::encryption::columns::PENDING_PAYLOAD;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::upstream_pending::{self, dsl};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = upstream_pending, treat_none_as_default_value = false)]
struct Row {
    state: String,
    tenant_id: String,
    client_id: String,
    namespace: String,
    user_id: String,
    provider: String,
    registration_id: Option<String>,
    session_kind: String,
    browser_id: String,
    connect_session_id: Option<String>,
    payload: String,
    created_at: i64,
    expires_at: i64,
}

const fn column(name: &'static str) -> Column {
    Column("upstream_pending", name)
}

/// Stores an authorization before its redirect is sent.
///
/// # Errors
/// [`StoreError::Constraint`] when the tenant is deleted; [`StoreError`] when encryption or the query fails.
pub fn insert_pending(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    pending: &PendingConnection,
) -> Result<(), StoreError> {
    tenants::hold_tenant(c, &pending.tenant_id)?;
    let TenantUser { namespace, user_id } = &pending.user;
    let state = pending.state.as_str();
    let row = Row {
        state: state.to_owned(),
        tenant_id: pending.tenant_id.as_str().to_owned(),
        client_id: pending.client_id.as_str().to_owned(),
        namespace: namespace.as_str().to_owned(),
        user_id: user_id.as_str().to_owned(),
        provider: pending.provider.clone(),
        registration_id: pending.registration_id.as_ref().map(|id| id.as_str().to_owned()),
        session_kind: pending.session_kind.as_str().to_owned(),
        browser_id: pending.browser_id.as_str().to_owned(),
        connect_session_id: pending.connect_session_id.as_ref().map(|id| id.as_str().to_owned()),
        payload: ring.encrypt_column(PENDING_PAYLOAD, state, pending.payload.expose())?,
        created_at: pending.created_at.as_secs(),
        expires_at: pending.expires_at.as_secs(),
    };
    diesel::insert_into(upstream_pending::table).values(&row).execute(c)?;
    Ok(())
}

/// Seconds for which a consumed authorization is retained: longer than its code takes to be redeemed, and the answer to be
/// kept.
const CONSUMED_SECONDS: i64 = 3600;

/// An authorization that was consumed.
macro_rules! consumed {
    ($state:expr) => {
        dsl::upstream_pending.filter(dsl::state.eq($state.as_str())).filter(dsl::used.eq(true))
    };
}

/// Consumes an authorization: once, before it or its tenant ends, by the browser that was redirected. Its payload is
/// erased with it, and the row does not depend on its connect session any more: what is kept in it may outlive that.
///
/// # Errors
/// [`StoreError`] when a query fails, or the row is corrupt or does not open.
pub fn consume_pending(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    state: &TokenHash<ProviderState>,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Option<PendingConnection>, StoreError> {
    let live = || {
        dsl::upstream_pending
            .filter(dsl::state.eq(state.as_str()))
            .filter(dsl::browser_id.eq(browser_id.as_str()))
            .filter(dsl::expires_at.gt(now.as_secs()))
            .filter(dsl::used.eq(false))
            .filter(tenant_is_live!(dsl::tenant_id))
    };
    // Read first, because the update erases the payload; the update alone decides which caller was first.
    let found = live().select(Row::as_select());
    let Some(row) = fixed!(found).get_result::<Row>(c).optional()? else { return Ok(None) };
    let until = now.plus(CONSUMED_SECONDS);
    let used = diesel::update(live()).set((
        dsl::used.eq(true),
        dsl::payload.eq(""),
        dsl::connect_session_id.eq(None::<String>),
        dsl::expires_at.eq(until.as_secs()),
    ));
    if fixed!(used).execute(c)? == 1 { into_domain(row, ring).map(Some) } else { Ok(None) }
}

/// Keeps what a provider issued for a consumed authorization, in the place of its payload, until it is
/// [settled](settle_answer); `false` when there is no such authorization.
///
/// # Errors
/// [`StoreError`] when encryption or the query fails.
pub fn keep_answer(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    state: &TokenHash<ProviderState>,
    answer: &Secret,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let payload = ring.encrypt_column(PENDING_PAYLOAD, state.as_str(), answer.expose())?;
    let kept =
        diesel::update(consumed!(state)).set((dsl::payload.eq(payload), dsl::expires_at.eq(until.as_secs())));
    Ok(fixed!(kept).execute(c)? == 1)
}

/// Finds an authorization whose answer is [kept](keep_answer), with the answer as its payload.
///
/// # Errors
/// [`StoreError`] when the query fails, or the row is corrupt or does not open.
pub fn find_kept_answer(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    state: &TokenHash<ProviderState>,
) -> Result<Option<PendingConnection>, StoreError> {
    let found = consumed!(state).filter(dsl::payload.ne("")).select(Row::as_select());
    fixed!(found).get_result::<Row>(c).optional()?.map(|row| into_domain(row, ring)).transpose()
}

/// Erases a kept answer: its credentials are stored as those of a connection, or were given back. `false` when it was
/// settled before.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn settle_answer(c: &mut AnyConnection, state: &TokenHash<ProviderState>) -> Result<bool, StoreError> {
    let kept = consumed!(state).filter(dsl::payload.ne(""));
    // Nothing needs the row any more.
    let settled = (dsl::payload.eq(""), dsl::expires_at.eq(dsl::created_at));
    Ok(fixed!(diesel::update(kept).set(settled)).execute(c)? == 1)
}

fn into_domain(row: Row, ring: &EncryptionKeyRing) -> Result<PendingConnection, StoreError> {
    Ok(PendingConnection {
        payload: ring.open_column(PENDING_PAYLOAD, &row.state, &row.payload)?,
        state: TokenHash::from_stored(row.state),
        tenant_id: TenantId::new(row.tenant_id),
        client_id: ClientId::new(row.client_id),
        user: column("user_id").user(&row.namespace, &row.user_id)?,
        provider: row.provider,
        registration_id: row.registration_id.map(RegistrationId::new),
        session_kind: column("session_kind").session_kind(&row.session_kind)?,
        browser_id: BrowserSessionId::new(row.browser_id),
        connect_session_id: row.connect_session_id.map(ConnectSessionId::new),
        created_at: Timestamp(row.created_at),
        expires_at: Timestamp(row.expires_at),
    })
}
