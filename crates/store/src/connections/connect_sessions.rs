//! Connect sessions: `connect_session`. They are found by the hash of a token before anybody knows the tenant, so the
//! table is not under row-level security.

use causeway_domain::connection::{ConnectOutcome, ConnectSession};
use causeway_types::secret::{Connect, ConnectCode};
use causeway_types::{
    ClientId, ConnectSessionId, CorrelationId, SessionKind, TenantId, TenantUser, Timestamp, TokenHash,
    UpstreamSessionId,
};
use diesel::prelude::*;

use super::tenants::{self, tenant_is_live};
use super::users;
use crate::engine::column::Column;
use crate::engine::conn::{AnyConnection, MultiBackend};
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::schema::connect_session::{self, dsl};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = connect_session, treat_none_as_default_value = false)]
struct Row {
    token: String,
    connect_session_id: String,
    tenant_id: String,
    client_id: String,
    namespace: String,
    user_id: String,
    providers: String,
    session_kind: String,
    scopes: Option<String>,
    parameters: String,
    return_uri: Option<String>,
    state: Option<String>,
    force_reauth: bool,
    fingerprint: Option<String>,
    connection_id: Option<String>,
    correlation_id: Option<String>,
    created_at: i64,
    expires_at: i64,
}

const fn column(name: &'static str) -> Column {
    Column("connect_session", name)
}

impl Row {
    fn into_domain(self) -> Result<ConnectSession, StoreError> {
        let kinds: Vec<SessionKind> = column("session_kind").json(&self.session_kind)?;
        Ok(ConnectSession {
            token: TokenHash::from_stored(self.token),
            connect_session_id: ConnectSessionId::new(self.connect_session_id),
            tenant_id: TenantId::new(self.tenant_id),
            client_id: ClientId::new(self.client_id),
            user: column("user_id").user(&self.namespace, &self.user_id)?,
            providers: column("providers").json(&self.providers)?,
            session_kinds: kinds,
            scopes: self.scopes.as_deref().map(|scopes| column("scopes").json(scopes)).transpose()?,
            parameters: column("parameters").json(&self.parameters)?,
            return_uri: self.return_uri,
            state: self.state,
            force_reauth: self.force_reauth,
            fingerprint: self.fingerprint,
            connection_id: self.connection_id.map(UpstreamSessionId::new),
            correlation_id: self.correlation_id.map(CorrelationId::new),
            created_at: Timestamp(self.created_at),
            expires_at: Timestamp(self.expires_at),
        })
    }
}

/// Stores a connect session. The tenant knows its user from now on, also one who was deleted before.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such tenant, it is deleted, or the client does not act in it.
pub fn insert_connect_session(c: &mut AnyConnection, session: &ConnectSession) -> Result<(), StoreError> {
    tenants::hold_tenant(c, &session.tenant_id)?;
    users::put_user(&mut TenantScope::enter(c, &session.tenant_id), &session.user, session.created_at)?;
    let TenantUser { namespace, user_id } = &session.user;
    let row = Row {
        token: session.token.as_str().to_owned(),
        connect_session_id: session.connect_session_id.as_str().to_owned(),
        tenant_id: session.tenant_id.as_str().to_owned(),
        client_id: session.client_id.as_str().to_owned(),
        namespace: namespace.as_str().to_owned(),
        user_id: user_id.as_str().to_owned(),
        providers: column("providers").to_json(&session.providers)?,
        session_kind: column("session_kind").to_json(&session.session_kinds)?,
        scopes: session.scopes.as_ref().map(|scopes| column("scopes").to_json(scopes)).transpose()?,
        parameters: column("parameters").to_json(&session.parameters)?,
        return_uri: session.return_uri.clone(),
        state: session.state.clone(),
        force_reauth: session.force_reauth,
        fingerprint: session.fingerprint.clone(),
        connection_id: session.connection_id.as_ref().map(|id| id.as_str().to_owned()),
        correlation_id: session.correlation_id.as_ref().map(|id| id.as_str().to_owned()),
        created_at: session.created_at.as_secs(),
        expires_at: session.expires_at.as_secs(),
    };
    diesel::insert_into(connect_session::table).values(&row).execute(c)?;
    Ok(())
}

/// An unused connect session that has not ended, nor its tenant.
macro_rules! open {
    ($token:expr, $now:expr) => {
        dsl::connect_session
            .filter(dsl::token.eq($token.as_str()))
            .filter(dsl::used.eq(false))
            .filter(dsl::expires_at.gt($now.as_secs()))
            .filter(tenant_is_live!(dsl::tenant_id))
    };
}

/// Finds a connect session that can be begun with, and leaves it as it is.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_connect_session(
    c: &mut AnyConnection,
    token: &TokenHash<Connect>,
    now: Timestamp,
) -> Result<Option<ConnectSession>, StoreError> {
    let found = open!(token, now).select(Row::as_select());
    fixed!(found).get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// Consumes a connect session: once, before it ends.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn consume_connect_session(
    c: &mut AnyConnection,
    token: &TokenHash<Connect>,
    now: Timestamp,
) -> Result<Option<ConnectSession>, StoreError> {
    let columns = <Row as Selectable<MultiBackend>>::construct_selection();
    let used = diesel::update(open!(token, now))
        .set((dsl::used.eq(true), dsl::begun_at.eq(Some(now.as_secs()))))
        .returning(columns);
    fixed!(used).get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// Takes one of the `limit` sign-in attempts of a connect session, before the provider is asked, so that no more than
/// those are under way at once; returns the number of this one. `None`: none is left, or the connect session cannot be
/// begun with any more.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn take_sign_in_attempt(
    c: &mut AnyConnection,
    token: &TokenHash<Connect>,
    limit: i64,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let taken = diesel::update(open!(token, now).filter(dsl::sign_in_attempts.lt(limit)))
        .set(dsl::sign_in_attempts.eq(dsl::sign_in_attempts + 1))
        .returning(dsl::sign_in_attempts);
    Ok(fixed!(taken).get_result::<i64>(c).optional()?)
}

/// A connect session of a tenant, whatever became of it.
macro_rules! row {
    ($tenant_id:expr, $id:expr) => {
        dsl::connect_session
            .filter(dsl::tenant_id.eq($tenant_id.as_str()))
            .filter(dsl::connect_session_id.eq($id.as_str()))
    };
}

/// Finds a connect session by its identifier, whatever became of it.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_connect_session_by_id(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    id: &ConnectSessionId,
) -> Result<Option<ConnectSession>, StoreError> {
    let found = row!(tenant_id, id).select(Row::as_select());
    fixed!(found).get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// A code that confirms the user of an unconfirmed connection.
#[derive(Clone, Copy, Debug)]
pub struct NewConnectCode<'a> {
    /// The code.
    pub code: &'a TokenHash<ConnectCode>,
    /// The unconfirmed connection.
    pub unconfirmed_id: &'a UpstreamSessionId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Finishes a connect session, once, before or after its browser has begun with it. `false` when it is finished.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn finish_connect_session(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    id: &ConnectSessionId,
    outcome: &ConnectOutcome,
    code: Option<NewConnectCode<'_>>,
) -> Result<bool, StoreError> {
    let unfinished = row!(tenant_id, id).filter(dsl::finished_at.is_null());
    let finished = diesel::update(unfinished).set((
        dsl::used.eq(true),
        dsl::outcome.eq(Some(&outcome.outcome)),
        dsl::connection_id.eq(outcome.connection_id.as_ref().map(UpstreamSessionId::as_str)),
        dsl::finished_at.eq(Some(outcome.finished_at.as_secs())),
        dsl::connect_code.eq(code.map(|new| new.code.as_str())),
        dsl::connect_code_expires_at.eq(code.map(|new| new.expires_at.as_secs())),
        dsl::unconfirmed_id.eq(code.map(|new| new.unconfirmed_id.as_str())),
    ));
    Ok(fixed!(finished).execute(c)? == 1)
}

/// Finds the outcome of a client's connect session; `None`: there is none of it. `Some(None)`: it is not finished.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_outcome(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    id: &ConnectSessionId,
) -> Result<Option<Option<ConnectOutcome>>, StoreError> {
    let own = row!(tenant_id, id).filter(dsl::client_id.eq(client_id.as_str())).select((
        dsl::outcome,
        dsl::connection_id,
        dsl::finished_at,
    ));
    let found = fixed!(own).get_result::<(Option<String>, Option<String>, Option<i64>)>(c).optional()?;
    let read = |(outcome, connection_id, finished_at): (Option<String>, Option<String>, Option<i64>)| {
        let Some(finished_at) = finished_at else { return Ok(None) };
        Ok(Some(ConnectOutcome {
            outcome: column("outcome").present(outcome)?,
            connection_id: connection_id.map(UpstreamSessionId::new),
            finished_at: Timestamp(finished_at),
        }))
    };
    found.map(read).transpose()
}

/// The key by which a client confirms its user.
#[derive(Clone, Copy, Debug)]
pub struct Confirmation<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The client.
    pub client_id: &'a ClientId,
    /// The user whom the client names.
    pub user: &'a TenantUser,
    /// The code that the user's browser carried back.
    pub code: &'a TokenHash<ConnectCode>,
}

/// The connection that a code confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The connection that its client sees from now on.
    pub connection_id: UpstreamSessionId,
    /// The unconfirmed connection: the same one, or the new access of one that was connected again.
    pub unconfirmed_id: UpstreamSessionId,
}

/// Consumes the code of a finished connect session: once, in time, by its client, and for the same user.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn consume_connect_code(
    c: &mut AnyConnection,
    confirmation: Confirmation<'_>,
    now: Timestamp,
) -> Result<Option<Confirmed>, StoreError> {
    let TenantUser { namespace, user_id } = confirmation.user;
    let unused = dsl::connect_session
        .filter(dsl::connect_code.eq(confirmation.code.as_str()))
        .filter(dsl::tenant_id.eq(confirmation.tenant_id.as_str()))
        .filter(dsl::client_id.eq(confirmation.client_id.as_str()))
        .filter(dsl::namespace.eq(namespace.as_str()))
        .filter(dsl::user_id.eq(user_id.as_str()))
        .filter(dsl::connect_code_expires_at.gt(now.as_secs()));
    let consumed = diesel::update(unused)
        .set(dsl::connect_code.eq(None::<String>))
        .returning((dsl::connection_id, dsl::unconfirmed_id));
    let consumed = fixed!(consumed).get_result::<(Option<String>, Option<String>)>(c).optional()?;
    let Some((connection_id, unconfirmed_id)) = consumed else { return Ok(None) };
    // Codes of the version before confirm the connection that they are for.
    let connection_id = UpstreamSessionId::new(column("connection_id").present(connection_id)?);
    let unconfirmed_id = unconfirmed_id.map_or_else(|| connection_id.clone(), UpstreamSessionId::new);
    Ok(Some(Confirmed { connection_id, unconfirmed_id }))
}
