//! Flows: the current connect session of each thing that is needed, in `connect_session`. All who need the same one get the
//! same session.

use causeway_types::secret::Connect;
use causeway_types::{
    ConnectSessionId, PlainToken, Secret, TenantId, Timestamp, TokenHash, UpstreamSessionId,
};
use diesel::prelude::*;

use crate::encryption::columns::CONNECT_FLOW_TOKEN;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::connect_session::dsl;

/// The current connect session of a flow.
#[derive(Clone, Debug)]
pub struct CurrentFlow {
    /// The session.
    pub connect_session_id: ConnectSessionId,
    /// The token in its address.
    pub token: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When a browser began with it; `None`: none has.
    pub begun_at: Option<Timestamp>,
    /// Its outcome, once it is finished.
    pub outcome: Option<String>,
    /// Sign-ins that were tried with it at a site.
    pub sign_in_attempts: i64,
    /// When somebody was last asked to open its address, without having asked for it.
    pub prompted_at: Option<Timestamp>,
    /// Whether the user declined the one before.
    pub is_declined: bool,
}

/// State that a flow takes over from the session that was its current one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowHistory {
    /// When somebody was last asked to open its address, without having asked for it.
    pub prompted_at: Option<Timestamp>,
    /// Whether the user declined.
    pub is_declined: bool,
}

type Found = (
    String,
    String,
    Option<String>,
    i64,
    bool,
    Option<i64>,
    i64,
    Option<String>,
    Option<i64>,
    i64,
    Option<i64>,
    bool,
);

/// Finds the current connect session of a flow.
///
/// # Errors
/// [`StoreError`] when the query fails, or the token does not open.
pub fn find_flow(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    tenant_id: &TenantId,
    key: &str,
) -> Result<Option<CurrentFlow>, StoreError> {
    let found = dsl::connect_session
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::flow_key.eq(Some(key)))
        .select((
            dsl::token,
            dsl::connect_session_id,
            dsl::flow_token,
            dsl::expires_at,
            dsl::used,
            dsl::begun_at,
            dsl::created_at,
            dsl::outcome,
            dsl::finished_at,
            dsl::sign_in_attempts,
            dsl::prompted_at,
            dsl::is_declined,
        ));
    let Some(row) = fixed!(found).get_result::<Found>(c).optional()? else { return Ok(None) };
    let (
        hash,
        id,
        token,
        expires_at,
        used,
        begun_at,
        created_at,
        outcome,
        finished_at,
        sign_in_attempts,
        prompted_at,
        declined,
    ) = row;
    let Some(token) = token else { return Ok(None) };
    Ok(Some(CurrentFlow {
        connect_session_id: ConnectSessionId::new(id),
        token: ring.open_column(CONNECT_FLOW_TOKEN, &hash, &token)?,
        expires_at: Timestamp(expires_at),
        // The version before does not write when.
        begun_at: used.then(|| Timestamp(begun_at.unwrap_or(created_at))),
        outcome: outcome.filter(|_| finished_at.is_some()),
        sign_in_attempts,
        prompted_at: prompted_at.map(Timestamp),
        is_declined: declined,
    }))
}

/// Makes a connect session the current one of a flow, in the place of the one that was.
///
/// # Errors
/// [`StoreError::Constraint`] when another one has become it meanwhile; [`StoreError`] when encryption or a query fails.
pub fn put_flow(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    (tenant_id, key): (&TenantId, &str),
    token: &PlainToken<Connect>,
    history: FlowHistory,
) -> Result<(), StoreError> {
    let before = dsl::connect_session
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::flow_key.eq(Some(key)));
    let released = (dsl::flow_key.eq(None::<String>), dsl::flow_token.eq(None::<String>));
    fixed!(diesel::update(before).set(released)).execute(c)?;
    let hash: TokenHash<Connect> = token.hash();
    let encrypted = ring.encrypt_column(CONNECT_FLOW_TOKEN, hash.as_str(), token.expose())?;
    let new = dsl::connect_session
        .filter(dsl::token.eq(hash.as_str()))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()));
    let current = (
        dsl::flow_key.eq(Some(key)),
        dsl::flow_token.eq(Some(encrypted)),
        dsl::prompted_at.eq(history.prompted_at.map(Timestamp::as_secs)),
        dsl::is_declined.eq(history.is_declined),
    );
    fixed!(diesel::update(new).set(current)).execute(c)?;
    Ok(())
}

/// Notes that somebody is asked to open the address of a flow without having asked for it; `false` when somebody was in the
/// last `seconds`.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn note_flow_prompt(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    id: &ConnectSessionId,
    seconds: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let due = dsl::connect_session
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::connect_session_id.eq(id.as_str()))
        .filter(dsl::prompted_at.is_null().or(dsl::prompted_at.le(now.plus(-seconds).as_secs())));
    let prompted = diesel::update(due).set(dsl::prompted_at.eq(Some(now.as_secs())));
    Ok(fixed!(prompted).execute(c)? == 1)
}

/// Counts the finished connect sessions with scopes of their own that a connection was connected again by, since `since`.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn count_step_ups(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    connection_id: &UpstreamSessionId,
    since: Timestamp,
) -> Result<i64, StoreError> {
    let finished = dsl::connect_session
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::connection_id.eq(connection_id.as_str()))
        .filter(dsl::scopes.is_not_null())
        .filter(dsl::finished_at.ge(since.as_secs()))
        .count();
    Ok(fixed!(finished).get_result(c)?)
}
