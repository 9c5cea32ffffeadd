//! What a try to refresh leaves on a session's head besides new tokens: the pause after a failure, and
//! the proof that the account is still where it was. And when a refresh is due that nobody asks for.

use causeway_domain::session::SessionHead;
use causeway_domain::upkeep::Cooldown;
use causeway_domain::{SessionKind, SessionState, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::schema::upstream_session::dsl;
use crate::sessions::HeadRow;

/// Notes that a refresh of `iteration` failed. `pause` makes the new cooldown from the one before
/// ([`Cooldown::after_failure`]). `None`, with nothing changed, when the head has moved since or somebody else
/// has taken the lease with this `fence`.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_refresh_failure(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    iteration: i64,
    fence: i64,
    pause: impl Fn(Cooldown) -> Cooldown,
) -> Result<Option<Cooldown>, StoreError> {
    // The count goes up first: that takes the row, so that nobody else counts meanwhile.
    let failed = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::lease_fence.eq(fence));
    let counted = diesel::update(failed)
        .set(dsl::refresh_failures.eq(dsl::refresh_failures + 1))
        .returning(dsl::refresh_failures)
        .get_result::<i64>(c)
        .optional()?;
    let Some(failures) = counted else { return Ok(None) };
    let cooldown = pause(Cooldown { failures: failures - 1, not_before: None });
    let counted = dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str()));
    diesel::update(counted)
        .set(dsl::refresh_not_before.eq(cooldown.not_before.map(Timestamp::as_secs)))
        .execute(c)?;
    Ok(Some(Cooldown { failures, ..cooldown }))
}

/// Notes that the account's own document led to the session's issuer at `at`, by way of this PDS.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn note_verified(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    pds: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let session = dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str()));
    diesel::update(session).set((dsl::pds.eq(pds), dsl::verified_at.eq(Some(at.as_secs())))).execute(c)?;
    Ok(())
}

/// Has a background session refreshed at `due`, whether anybody uses it or not. Others are left alone.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn schedule_refresh(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    due: Timestamp,
) -> Result<(), StoreError> {
    let background = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::session_kind.eq(SessionKind::Background.as_str()))
        .filter(dsl::state.eq(SessionState::Active.as_str()));
    diesel::update(background).set(dsl::refresh_due_at.eq(Some(due.as_secs()))).execute(c)?;
    Ok(())
}

/// Takes at most `limit` sessions whose refresh is due, the longest due first: they are due for nobody else
/// before `until`, by when whoever took them has refreshed them or is dead.
///
/// # Errors
/// [`StoreError`] when a query fails or a row is corrupt.
pub fn claim_due_refreshes(
    c: &mut AnyConnection,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<SessionHead>, StoreError> {
    loop {
        let due: Vec<(HeadRow, Option<i64>)> = dsl::upstream_session
            .filter(dsl::refresh_due_at.le(now.as_secs()))
            .filter(dsl::state.eq(SessionState::Active.as_str()))
            .order(dsl::refresh_due_at.asc())
            .limit(limit)
            .select((HeadRow::as_select(), dsl::refresh_due_at))
            .load(c)?;
        let nothing_is_due = due.is_empty();
        let mut claimed = Vec::with_capacity(due.len());
        for (row, due_at) in due {
            let head = row.into_domain()?;
            let still_due = dsl::upstream_session
                .filter(dsl::session_id.eq(head.session_id.as_str()))
                .filter(dsl::refresh_due_at.eq(due_at.unwrap_or_default()));
            let taken =
                diesel::update(still_due).set(dsl::refresh_due_at.eq(Some(until.as_secs()))).execute(c)?;
            if taken == 1 {
                claimed.push(head);
            }
        }
        // Somebody else took all of these, between the look and the swap: look at what is left.
        if nothing_is_due || !claimed.is_empty() {
            return Ok(claimed);
        }
    }
}

/// Seconds that pass between two times that callers are told where the person of a session signs in again.
pub const PROMPT_SECONDS: i64 = 300;

/// Whether callers were told so long ago that they may be told again at `now`.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn may_prompt(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let prompted_at = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .select(dsl::prompted_at)
        .first::<Option<i64>>(c)
        .optional()?;
    let lately = |at: i64| now.since(Timestamp(at)) < PROMPT_SECONDS;
    Ok(prompted_at.is_some_and(|at| !at.is_some_and(lately)))
}

/// Notes that a caller is told at `now`; `false`: another one was told lately.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn note_prompt(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let long_ago = dsl::prompted_at
        .is_null()
        .or(dsl::prompted_at.le(now.plus(-PROMPT_SECONDS).as_secs()).assume_not_null());
    let silent = dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str())).filter(long_ago);
    Ok(diesel::update(silent).set(dsl::prompted_at.eq(Some(now.as_secs()))).execute(c)? == 1)
}
