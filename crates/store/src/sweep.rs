//! Clean-up: what has expired is deleted in small batches, and idle sessions are ended.

use causeway_domain::grant::AUTH_REQUEST_SECONDS;
use causeway_domain::{SessionKind, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::sessions;

const DAY: i64 = 86_400;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCount {
    /// Rows that were deleted.
    pub deleted: usize,
    /// Sessions that were ended; their revocation is due now.
    pub ended_sessions: usize,
    /// Whether some table had more than one batch: sweep again soon.
    pub more: bool,
}

/// Rows of `table` whose key is `key` go when `condition` holds of the time `$1`.
struct Expired {
    table: &'static str,
    key: &'static str,
    condition: &'static str,
    /// Seconds after `expires_at`.
    grace: i64,
}

/// Used codes stay for a day, so that reuse is noticed; tokens too, so that "expired" can be told
/// from "unknown"; a pushed request that a browser has brought stays as long as what came of it can.
const EXPIRED: [Expired; 9] = [
    Expired { table: "oauth_auth_request", key: "session_id", condition: "expires_at <= $1", grace: 0 },
    Expired {
        table: "oauth_par_request",
        key: "request_uri",
        condition: "expires_at <= $1 AND auth_request_id IS NULL",
        grace: 0,
    },
    Expired {
        table: "oauth_par_request",
        key: "request_uri",
        condition: "expires_at <= $1",
        grace: AUTH_REQUEST_SECONDS,
    },
    Expired { table: "oauth_atp_request", key: "oauth_state", condition: "expires_at <= $1", grace: 0 },
    Expired {
        table: "oauth_authorization_code",
        key: "code",
        condition: "expires_at <= $1 AND used_at IS NULL",
        grace: 0,
    },
    Expired { table: "oauth_authorization_code", key: "code", condition: "expires_at <= $1", grace: DAY },
    Expired { table: "oauth_dpop_nonce", key: "nonce", condition: "expires_at <= $1", grace: 0 },
    Expired { table: "oauth_access_token", key: "token", condition: "expires_at <= $1", grace: DAY },
    Expired { table: "oauth_refresh_token", key: "token", condition: "expires_at <= $1", grace: DAY },
];

#[derive(QueryableByName)]
struct SessionId {
    #[diesel(sql_type = Text)]
    session_id: String,
}

/// Deletes what has expired, at most `limit` rows of each table, and ends at most `limit` sessions
/// that were abandoned before consent or whose idle end has passed.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn sweep_expired(c: &mut AnyConnection, now: Timestamp, limit: i64) -> Result<SweepCount, StoreError> {
    let mut count = SweepCount::default();
    let full = usize::try_from(limit).unwrap_or(usize::MAX);
    for Expired { table, key, condition, grace } in EXPIRED {
        // Both databases read `$1`: PostgreSQL by number, SQLite by name in order of appearance.
        let deleted = sql_query(format!(
            "DELETE FROM {table} WHERE {key} IN \
             (SELECT {key} FROM {table} WHERE {condition} ORDER BY expires_at LIMIT $2)"
        ))
        .bind::<BigInt, _>(now.plus(-grace).as_secs())
        .bind::<BigInt, _>(limit)
        .execute(c)?;
        count.deleted += deleted;
        count.more |= deleted >= full;
    }
    for session_id in over(c, now, limit)? {
        if sessions::end_session(c, &UpstreamSessionId::new(session_id), now)? {
            count.ended_sessions += 1;
        }
    }
    count.more |= count.ended_sessions >= full;
    Ok(count)
}

/// Sessions that nobody consented to in time, and device sessions past their idle end. The literals
/// stand in the text so that the partial indexes serve.
fn over(c: &mut AnyConnection, now: Timestamp, limit: i64) -> Result<Vec<String>, StoreError> {
    const ABANDONED: &str = "SELECT session_id FROM upstream_session \
        WHERE state = 'pending' AND created_at <= $1 ORDER BY created_at LIMIT $2";
    const IDLE: &str = "SELECT session_id FROM upstream_session \
        WHERE session_kind = 'device' AND state <> 'ended' AND last_used_at <= $1 \
        ORDER BY last_used_at LIMIT $2";
    let idle_seconds = SessionKind::Device.idle_seconds();
    let queries = [(ABANDONED, Some(AUTH_REQUEST_SECONDS)), (IDLE, idle_seconds)];
    let mut found: Vec<String> = Vec::new();
    for (query, seconds) in queries {
        let Some(seconds) = seconds else { continue };
        let left = limit.saturating_sub(i64::try_from(found.len()).unwrap_or(i64::MAX)).max(0);
        let rows: Vec<SessionId> = sql_query(query)
            .bind::<BigInt, _>(now.plus(-seconds).as_secs())
            .bind::<BigInt, _>(left)
            .load(c)?;
        found.extend(rows.into_iter().map(|row| row.session_id));
    }
    Ok(found)
}
