//! Clean-up: expired rows are deleted in small batches, and sessions that can no longer be used are ended.
//! Every query is served by an index and bounded by the size of a batch.

use causeway_domain::authorization::AUTH_REQUEST_SECONDS;
use causeway_types::{ClientId, CorrelationId, SessionKind, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::authorization::auth_requests::DECIDED;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::events::{self, EventKind};
use crate::schema::{oauth_auth_request, oauth_client};
use crate::sessions::{self, Reach};

const DAY: i64 = 86_400;

/// Seconds for which the rows of an ended session are retained after its revocation.
pub const ENDED_SESSION_SECONDS: i64 = 30 * DAY;
/// Seconds for which a dynamically registered client is retained that no user signs in to.
pub const UNUSED_CLIENT_SECONDS: i64 = 30 * DAY;
/// Seconds for which an unregistered client is retained that no user signs in to.
pub const UNUSED_DOCUMENT_SECONDS: i64 = DAY;

/// Result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCount {
    /// Rows that were deleted.
    pub deleted: usize,
    /// Sessions that were ended; their revocation is due now.
    pub ended_sessions: usize,
    /// Whether more than one batch of something was due: sweep again soon.
    pub more: bool,
}

/// Rows of `table`, whose key is `key`, are deleted `grace` seconds after their `expires_at`.
struct Expired {
    table: &'static str,
    key: &'static str,
    grace: i64,
}

/// Codes and connect sessions are retained for a day, so that reuse is noticed and a device or a client learns what
/// became of them;
/// tokens too, so that "expired" can be told from "unknown". A pushed request is retained as long as the
/// request created from it can live.
const EXPIRED: [Expired; 13] = [
    Expired { table: "oauth_par_request", key: "request_uri", grace: AUTH_REQUEST_SECONDS },
    Expired { table: "oauth_atp_request", key: "oauth_state", grace: 0 },
    Expired { table: "oauth_authorization_code", key: "code", grace: DAY },
    Expired { table: "oauth_dpop_nonce", key: "nonce", grace: 0 },
    Expired { table: "replay", key: "id", grace: 0 },
    Expired { table: "logout_notice", key: "session_id", grace: 0 },
    Expired { table: "account_proof", key: "proof_id", grace: 0 },
    Expired { table: "device_authorization", key: "device_code", grace: DAY },
    Expired { table: "upstream_pending", key: "state", grace: 0 },
    Expired { table: "connect_session", key: "token", grace: DAY },
    Expired { table: "consent", key: "tenant_id, client_id, did", grace: 0 },
    Expired { table: "oauth_access_token", key: "token", grace: DAY },
    Expired { table: "oauth_refresh_token", key: "token", grace: DAY },
];

/// Rows of `table`, whose key is `key`, belong to the session whose `head` columns are in their `by`. `only` selects
/// the rows for which that is so.
struct OfSession {
    table: &'static str,
    key: &'static str,
    by: &'static [&'static str],
    head: &'static [&'static str],
    only: &'static str,
}

impl OfSession {
    /// Rows that are found by the session.
    const fn found_by_session(table: &'static str, key: &'static str) -> Self {
        const SESSION: &[&str] = &["session_id"];
        Self { table, key, by: SESSION, head: SESSION, only: "" }
    }
}

/// Access tokens are found by the user, whose index serves for the session too: by none, those of sessions at other
/// providers.
const OF_SESSION: [OfSession; 5] = [
    OfSession::found_by_session("oauth_authorization_code", "code"),
    OfSession {
        by: &["user_id", "session_id"],
        head: &["did", "session_id"],
        ..OfSession::found_by_session("oauth_access_token", "token")
    },
    OfSession { only: " AND user_id IS NULL", ..OfSession::found_by_session("oauth_access_token", "token") },
    OfSession::found_by_session("oauth_refresh_token", "token"),
    OfSession::found_by_session("oauth_atp_session", "session_id, iteration"),
];

// Both databases read `$1`: PostgreSQL by number, SQLite by name in order of appearance. Literals are written
// into the text so that the partial indexes serve.

/// Expired sign-ins.
const REQUESTS: &str = "SELECT session_id AS id, client_id, correlation_id, stage FROM oauth_auth_request \
    WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2";
/// Sessions that were not consented to in time.
const ABANDONED: &str = "SELECT session_id AS id FROM upstream_session \
    WHERE state = 'pending' AND created_at <= $1 ORDER BY created_at LIMIT $2";
/// Sessions past their idle timeout.
const IDLE: &str = "SELECT session_id AS id FROM upstream_session \
    WHERE session_kind = 'device' AND provider = 'atproto' AND state <> 'ended' AND last_used_at <= $1 \
    ORDER BY last_used_at LIMIT $2";
/// The same for sessions at sites, each of which has its own.
const IDLE_AT_SITES: &str = "SELECT session_id AS id FROM upstream_session \
    WHERE idle_seconds IS NOT NULL AND state <> 'ended' AND last_used_at + idle_seconds <= $1 \
    ORDER BY last_used_at + idle_seconds LIMIT $2";
/// Clients registered over HTTP long ago that no user ever signed in to, or not for as long as anything is
/// retained. Each subquery reads one entry of an index.
const UNUSED_CLIENTS: &str = "SELECT client_id AS id FROM oauth_client \
    WHERE registration_access_token IS NOT NULL AND updated_at <= $1 \
    AND (SELECT s.client_id FROM upstream_session s WHERE s.client_id = oauth_client.client_id LIMIT 1) IS NULL \
    AND (SELECT t.client_id FROM oauth_access_token t WHERE t.client_id = oauth_client.client_id LIMIT 1) IS NULL \
    ORDER BY updated_at LIMIT $2";
/// Clients known by their own document that no user signed in to.
const UNUSED_DOCUMENTS: &str = "SELECT client_id AS id FROM oauth_client \
    WHERE document_checked_at IS NOT NULL AND document_checked_at <= $1 \
    AND (SELECT s.client_id FROM upstream_session s WHERE s.client_id = oauth_client.client_id LIMIT 1) IS NULL \
    AND (SELECT t.client_id FROM oauth_access_token t WHERE t.client_id = oauth_client.client_id LIMIT 1) IS NULL \
    ORDER BY document_checked_at LIMIT $2";
/// Sessions that ended and were revoked long ago.
const BYGONE: &str = "FROM upstream_session \
    WHERE state = 'ended' AND revocation_due_at IS NULL AND ended_at <= $1 \
    ORDER BY ended_at, session_id LIMIT $2";

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(QueryableByName)]
struct Request {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    client_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    correlation_id: Option<String>,
    #[diesel(sql_type = Text)]
    stage: String,
}

/// One sweep: at most `limit` of everything.
struct Sweep<'a> {
    c: &'a mut AnyConnection,
    now: Timestamp,
    limit: i64,
    count: SweepCount,
}

/// Deletes expired rows, and ends sessions that were abandoned before consent and device sessions that are
/// past their idle timeout; at most `limit` of each.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn sweep_expired(c: &mut AnyConnection, now: Timestamp, limit: i64) -> Result<SweepCount, StoreError> {
    let mut sweep = Sweep { c, now, limit, count: SweepCount::default() };
    sweep.delete_requests()?;
    sweep.delete_expired()?;
    sweep.end_stale(ABANDONED, AUTH_REQUEST_SECONDS)?;
    if let Some(idle_seconds) = SessionKind::Device.idle_seconds() {
        sweep.end_stale(IDLE, idle_seconds)?;
    }
    sweep.end_stale(IDLE_AT_SITES, 0)?;
    sweep.delete_bygone()?;
    sweep.delete_unused_clients()?;
    Ok(sweep.count)
}

impl Sweep<'_> {
    /// Deletes expired sign-ins; for undecided ones, subscribed clients are notified that they failed: once,
    /// whichever process sweeps, and not when the sign-in is being decided at this very moment.
    fn delete_requests(&mut self) -> Result<(), StoreError> {
        let rows: Vec<Request> = sql_query(REQUESTS)
            .bind::<BigInt, _>(self.now.as_secs())
            .bind::<BigInt, _>(self.limit)
            .load(self.c)?;
        self.note_batch(rows.len());
        for Request { id, client_id, correlation_id, stage } in rows {
            let over = oauth_auth_request::table
                .filter(oauth_auth_request::session_id.eq(id))
                .filter(oauth_auth_request::stage.eq(&stage));
            let deleted = diesel::delete(over).execute(self.c)?;
            self.count.deleted += deleted;
            if deleted == 0 || stage == DECIDED {
                continue;
            }
            let (client_id, correlation_id) =
                (ClientId::new(client_id), correlation_id.map(CorrelationId::new));
            events::note_sign_in(self.c, &client_id, correlation_id.as_ref(), EventKind::Failed, self.now)?;
        }
        Ok(())
    }

    fn delete_expired(&mut self) -> Result<(), StoreError> {
        for Expired { table, key, grace } in EXPIRED {
            let old =
                format!("SELECT {key} FROM {table} WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2");
            self.delete(&format!("DELETE FROM {table} WHERE ({key}) IN ({old})"), grace)?;
        }
        Ok(())
    }

    /// Ends the sessions that `query` selects as of `seconds` ago.
    fn end_stale(&mut self, query: &str, seconds: i64) -> Result<(), StoreError> {
        for session_id in self.find(query, seconds)? {
            self.end(&session_id)?;
        }
        Ok(())
    }

    /// Deletes old ended sessions with all their rows; the head is deleted last, when no other row is left.
    fn delete_bygone(&mut self) -> Result<(), StoreError> {
        for OfSession { table, key, by, head, only } in OF_SESSION {
            let (by, head) = (by.join(", "), head.join(", "));
            let old =
                format!("SELECT {key} FROM {table} WHERE ({by}) IN (SELECT {head} {BYGONE}){only} LIMIT $2");
            self.delete(&format!("DELETE FROM {table} WHERE ({key}) IN ({old})"), ENDED_SESSION_SECONDS)?;
        }
        let childless = OF_SESSION.map(|OfSession { table, by, head, only, .. }| {
            let pairs = by.iter().zip(head);
            let same = pairs.map(|(by, head)| format!("t.{by} = upstream_session.{head}"));
            let same = same.collect::<Vec<_>>().join(" AND ");
            format!(" AND NOT EXISTS (SELECT 1 FROM {table} t WHERE {same}{only})")
        });
        let childless = childless.concat();
        let heads = format!(
            "DELETE FROM upstream_session WHERE session_id IN (SELECT session_id {BYGONE}){childless}"
        );
        self.delete(&heads, ENDED_SESSION_SECONDS)
    }

    fn delete_unused_clients(&mut self) -> Result<(), StoreError> {
        let mut unused = self.find(UNUSED_CLIENTS, UNUSED_CLIENT_SECONDS)?;
        unused.extend(self.find(UNUSED_DOCUMENTS, UNUSED_DOCUMENT_SECONDS)?);
        for client_id in unused {
            let unused = oauth_client::table.filter(oauth_client::client_id.eq(client_id));
            self.count.deleted += diesel::delete(unused).execute(self.c)?;
        }
        Ok(())
    }

    /// Runs a statement that deletes rows due since `seconds` ago.
    fn delete(&mut self, statement: &str, seconds: i64) -> Result<(), StoreError> {
        let deleted = sql_query(statement)
            .bind::<BigInt, _>(self.now.plus(-seconds).as_secs())
            .bind::<BigInt, _>(self.limit)
            .execute(self.c)?;
        self.count.deleted += deleted;
        self.note_batch(deleted);
        Ok(())
    }

    fn find(&mut self, query: &str, seconds: i64) -> Result<Vec<String>, StoreError> {
        let rows: Vec<Id> = sql_query(query)
            .bind::<BigInt, _>(self.now.plus(-seconds).as_secs())
            .bind::<BigInt, _>(self.limit)
            .load(self.c)?;
        self.note_batch(rows.len());
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    fn note_batch(&mut self, rows: usize) {
        self.count.more |= rows >= usize::try_from(self.limit).unwrap_or(usize::MAX);
    }

    fn end(&mut self, session_id: &str) -> Result<(), StoreError> {
        if sessions::end_quietly(self.c, Reach::All, &UpstreamSessionId::new(session_id), self.now)? {
            self.count.ended_sessions += 1;
        }
        Ok(())
    }
}
