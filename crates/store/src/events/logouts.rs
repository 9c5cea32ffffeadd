//! Back-channel logout notices to clients (OpenID Connect Back-Channel Logout 1.0): `logout_notice`. A row
//! holds all that is needed, so that it outlives session and client.

use causeway_types::{ClientId, Did, Scope, SigningAlg, TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use crate::clients;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::events::deliveries::{Backlog, Id};
use crate::schema::logout_notice::{self, dsl};
use crate::schema::upstream_session;

/// Seconds after which a notice is no longer delivered.
pub const NOTICE_SECONDS: i64 = 86_400;

/// The scope without which a client has no id_token, and nothing to sign out of.
const OPENID: &str = "openid";

#[derive(Queryable, Insertable)]
#[diesel(table_name = logout_notice)]
struct Row {
    session_id: String,
    client_id: String,
    uri: String,
    alg: String,
    did: String,
    created_at: i64,
    expires_at: i64,
    due_at: i64,
    attempts: i64,
}

/// A logout notice to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotice {
    /// The session that has ended.
    pub session_id: UpstreamSessionId,
    /// The client.
    pub client_id: ClientId,
    /// The client's back-channel logout URI.
    pub uri: String,
    /// The algorithm with which the client expects it to be signed.
    pub alg: SigningAlg,
    /// The user.
    pub did: Did,
    /// Number of attempts, this one included.
    pub attempts: i64,
}

/// Enqueues a notice for the client of a session that has just ended, if it has registered a logout URI and
/// had an id_token.
///
/// # Errors
/// [`StoreError`] when a query fails or a row is corrupt.
pub(crate) fn note_logout(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    type Found = (String, String, Option<String>, Option<String>);
    let (tenant, client, did, granted): Found = upstream_session::table
        .filter(upstream_session::session_id.eq(session_id.as_str()))
        .select((
            upstream_session::tenant_id,
            upstream_session::client_id,
            upstream_session::did,
            upstream_session::granted_scope,
        ))
        .get_result(c)?;
    let granted: Option<Scope> = match &granted {
        Some(granted) => Some(Column("upstream_session", "granted_scope").scope(Some(granted))?),
        // No scope had been granted yet.
        None => None,
    };
    // Only a sign-in here has an id_token: it is at an AT Protocol server.
    let Some(did) = did.filter(|_| granted.is_some_and(|granted| granted.contains(OPENID))) else {
        return Ok(());
    };
    let client = clients::find_client_or_deleted(c, &TenantId::new(tenant), &ClientId::new(client))?;
    let Some(client) = client else { return Ok(()) };
    let Some(uri) = client.backchannel_logout_uri() else { return Ok(()) };
    let row = Row {
        session_id: session_id.as_str().to_owned(),
        client_id: client.client_id.as_str().to_owned(),
        uri: uri.to_owned(),
        alg: client.id_token_signed_response_alg().as_str().to_owned(),
        did,
        created_at: now.as_secs(),
        expires_at: now.plus(NOTICE_SECONDS).as_secs(),
        due_at: now.as_secs(),
        attempts: 0,
    };
    diesel::insert_into(logout_notice::table).values(&row).execute(c)?;
    Ok(())
}

/// Clients with a due notice. Each step reads one or two entries of an index, whatever the size of the
/// backlog.
const DUE: &str = "WITH RECURSIVE noted (client_id) AS ( \
    SELECT min(client_id) FROM logout_notice \
    UNION ALL SELECT (SELECT min(n.client_id) FROM logout_notice n WHERE n.client_id > noted.client_id) \
    FROM noted WHERE noted.client_id IS NOT NULL) \
    SELECT client_id AS id FROM noted WHERE client_id IS NOT NULL \
    AND EXISTS (SELECT 1 FROM logout_notice n WHERE n.client_id = noted.client_id AND n.due_at <= $1)";

const BACKLOG: &str = "SELECT client_id, count(*) AS waiting, min(created_at) AS oldest_at FROM logout_notice \
    GROUP BY client_id";

/// Lists clients with a due notice.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn clients_with_due_logouts(c: &mut AnyConnection, now: Timestamp) -> Result<Vec<ClientId>, StoreError> {
    let due: Vec<Id> = sql_query(DUE).bind::<BigInt, _>(now.as_secs()).load(c)?;
    Ok(due.into_iter().map(|Id { id }| ClientId::new(id)).collect())
}

/// The backlog of every client.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn logout_backlog(c: &mut AnyConnection) -> Result<Vec<Backlog>, StoreError> {
    Ok(sql_query(BACKLOG).load(c)?)
}

/// Claims at most `limit` due notices of a client, the longest due first: they are not due again before
/// `until`.
///
/// # Errors
/// [`StoreError`] when a query fails or a row is corrupt.
pub fn claim_logouts(
    c: &mut AnyConnection,
    client_id: &ClientId,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<LogoutNotice>, StoreError> {
    let due: Vec<Row> = dsl::logout_notice
        .filter(dsl::client_id.eq(client_id.as_str()))
        .filter(dsl::due_at.le(now.as_secs()))
        .filter(dsl::expires_at.gt(now.as_secs()))
        .order((dsl::due_at.asc(), dsl::session_id.asc()))
        .limit(limit)
        .load(c)?;
    let mut claimed = Vec::new();
    for row in due {
        // Another node may have claimed it since it was read.
        let as_seen = dsl::logout_notice
            .filter(dsl::session_id.eq(row.session_id.as_str()))
            .filter(dsl::due_at.eq(row.due_at));
        let attempts = row.attempts + 1;
        let taken = diesel::update(as_seen)
            .set((dsl::due_at.eq(until.as_secs()), dsl::attempts.eq(attempts)))
            .execute(c)?;
        if taken == 1 {
            let alg = Column("logout_notice", "alg").present(SigningAlg::parse(&row.alg))?;
            let did = Column("logout_notice", "did").did(&row.did)?;
            claimed.push(LogoutNotice {
                session_id: UpstreamSessionId::new(row.session_id),
                client_id: ClientId::new(row.client_id),
                uri: row.uri,
                alg,
                did,
                attempts,
            });
        }
    }
    Ok(claimed)
}

/// Deletes a delivered notice.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn complete_logout(c: &mut AnyConnection, session_id: &UpstreamSessionId) -> Result<(), StoreError> {
    diesel::delete(dsl::logout_notice.filter(dsl::session_id.eq(session_id.as_str()))).execute(c)?;
    Ok(())
}

/// Schedules another attempt at `until` after a failed delivery.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn postpone_logout(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    until: Timestamp,
) -> Result<(), StoreError> {
    let notice = dsl::logout_notice.filter(dsl::session_id.eq(session_id.as_str()));
    diesel::update(notice).set(dsl::due_at.eq(until.as_secs())).execute(c)?;
    Ok(())
}
