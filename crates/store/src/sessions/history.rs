//! Past iterations. They hold no secret; they are retained for a while so that a token's provenance can be
//! looked up.

use causeway_types::{Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::upstream_session::dsl;
use crate::schema::{iteration_history, oauth_atp_session};

/// Seconds between two sweeps of a session that is refreshed all the time.
const LOOK_SECONDS: i64 = 86_400;

/// Retention of a session's past iterations: those that are among the last, and those that are young.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Number of latest iterations retained whatever their age; the head's is one of them.
    pub iterations: i64,
    /// Seconds for which the others are retained.
    pub seconds: i64,
}

impl Default for History {
    fn default() -> Self {
        Self { iterations: 100, seconds: 30 * 86_400 }
    }
}

/// Schedules a sweep of a session that has none scheduled.
pub(super) fn schedule(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let plan = (
        iteration_history::session_id.eq(session_id.as_str()),
        iteration_history::due_at.eq(now.plus(LOOK_SECONDS).as_secs()),
    );
    let insert = diesel::insert_into(iteration_history::table).values(plan).on_conflict_do_nothing();
    let insert = |c: &mut AnyConnection| match c {
        AnyConnection::Sqlite(conn) => insert.execute(conn),
        AnyConnection::Postgres(conn) => insert.execute(conn),
    };
    Ok(c.defer(insert)?)
}

/// Deletes iterations past their retention, at most `limit`, of sessions that are due for it; returns how
/// many.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn sweep_history(
    c: &mut AnyConnection,
    keep: History,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let due: Vec<String> = iteration_history::table
        .filter(iteration_history::due_at.le(now.as_secs()))
        .order(iteration_history::due_at.asc())
        .limit(limit)
        .select(iteration_history::session_id)
        .load(c)?;
    let mut deleted = 0;
    for session_id in due {
        let session = dsl::upstream_session.filter(dsl::session_id.eq(&session_id));
        let Some(head) = session.select(dsl::iteration).first::<i64>(c).optional()? else { continue };
        let left = limit.saturating_sub(i64::try_from(deleted).unwrap_or(i64::MAX));
        if left <= 0 {
            break;
        }
        let last = head.saturating_sub(keep.iterations);
        deleted += sweep_session(c, &session_id, last, now.plus(-keep.seconds), left, keep.seconds)?;
    }
    Ok(deleted)
}

/// Deletes at most `limit` iterations up to `last` that are from `until` or before, and schedules the next
/// sweep.
fn sweep_session(
    c: &mut AnyConnection,
    session_id: &str,
    last: i64,
    until: Timestamp,
    limit: i64,
    seconds: i64,
) -> Result<usize, StoreError> {
    let of_session = || oauth_atp_session::table.filter(oauth_atp_session::session_id.eq(session_id));
    let oldest: Vec<(i64, Option<i64>)> = of_session()
        .filter(oauth_atp_session::iteration.le(last))
        .order(oauth_atp_session::iteration.asc())
        .limit(limit)
        .select((oauth_atp_session::iteration, oauth_atp_session::session_exchanged_at))
        .load(c)?;
    let is_old = |made_at: Option<i64>| made_at.is_none_or(|at| at <= until.as_secs());
    let young = oldest.iter().position(|(_, made_at)| !is_old(*made_at)).unwrap_or(oldest.len());
    let (old, young) = oldest.split_at(young);
    let mut deleted = 0;
    if let Some((newest, _)) = old.last() {
        deleted = diesel::delete(of_session().filter(oauth_atp_session::iteration.le(*newest))).execute(c)?;
    }
    let is_whole = i64::try_from(oldest.len()).is_ok_and(|found| found < limit);
    let plan = iteration_history::table.filter(iteration_history::session_id.eq(session_id));
    match young.first() {
        Some((_, made_at)) => {
            let next = made_at.unwrap_or_default().saturating_add(seconds);
            diesel::update(plan).set(iteration_history::due_at.eq(next)).execute(c)?;
        }
        // There may be more.
        None if !is_whole => {}
        None => {
            diesel::delete(plan).execute(c)?;
        }
    }
    Ok(deleted)
}
