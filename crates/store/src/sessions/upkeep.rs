//! Refresh state on a session's head besides new tokens: the pause after a failure, the proof that the
//! account is still at the same server, and the due time of a refresh that no request asks for.

use causeway_domain::session::{ATPROTO, Cooldown, HandleCheck, SessionHead, VERIFIED_SECONDS};
use causeway_types::{SessionKind, SessionState, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::refresh_refusal;
use crate::schema::upstream_session::dsl;
use crate::sessions::HeadRow;

/// A refresh that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedRefresh<'a> {
    /// The session.
    pub session_id: &'a UpstreamSessionId,
    /// The iteration that the refresh started from.
    pub iteration: i64,
    /// The lease of the attempt.
    pub fence: i64,
    /// The definite answer that caused it, for the log and for `doctor`; `None`: there was none.
    pub refused_with: Option<&'a str>,
    /// When it failed.
    pub at: Timestamp,
}

/// Consecutive failures so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The pause until the next attempt.
    pub cooldown: Cooldown,
    /// Start of an unbroken series of failures, the first of which was a definite answer.
    pub refused_since: Option<Timestamp>,
    /// Whether the definite answer of this failure was that of an earlier one, too.
    pub is_repeated: bool,
}

/// Records a failed refresh. `pause` computes the new cooldown from the previous one
/// ([`Cooldown::after_failure`]). `None`, with nothing changed, when the head has moved since or another
/// caller has taken the lease with this `fence`.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_refresh_failure(
    c: &mut AnyConnection,
    failed: FailedRefresh<'_>,
    pause: impl Fn(Cooldown) -> Cooldown,
) -> Result<Option<Failures>, StoreError> {
    // The counter is increased first: that locks the row, so that no other caller counts meanwhile.
    let current = dsl::upstream_session
        .filter(dsl::session_id.eq(failed.session_id.as_str()))
        .filter(dsl::iteration.eq(failed.iteration))
        .filter(dsl::lease_fence.eq(failed.fence));
    let counted = diesel::update(current)
        .set(dsl::refresh_failures.eq(dsl::refresh_failures + 1))
        .returning(dsl::refresh_failures)
        .get_result::<i64>(c)
        .optional()?;
    let Some(failures) = counted else { return Ok(None) };
    let cooldown = pause(Cooldown { failures: failures - 1, not_before: None });
    let session = dsl::upstream_session.filter(dsl::session_id.eq(failed.session_id.as_str()));
    diesel::update(session)
        .set(dsl::refresh_not_before.eq(cooldown.not_before.map(Timestamp::as_secs)))
        .execute(c)?;
    let (refused_since, is_repeated) = note_refusal(c, &failed)?;
    Ok(Some(Failures { cooldown: Cooldown { failures, ..cooldown }, refused_since, is_repeated }))
}

/// Records the definite answer of a failure, if there was one; returns the start of the series of failures, and
/// whether its last definite answer was the same.
fn note_refusal(
    c: &mut AnyConnection,
    failed: &FailedRefresh<'_>,
) -> Result<(Option<Timestamp>, bool), StoreError> {
    let known = refresh_refusal::table.filter(refresh_refusal::session_id.eq(failed.session_id.as_str()));
    let before = known
        .select((refresh_refusal::since, refresh_refusal::answer))
        .first::<(i64, String)>(c)
        .optional()?;
    match (failed.refused_with, &before) {
        (Some(answer), Some(_)) => {
            diesel::update(known).set(refresh_refusal::answer.eq(answer)).execute(c)?;
        }
        (Some(answer), None) => {
            let row = (
                refresh_refusal::session_id.eq(failed.session_id.as_str()),
                refresh_refusal::answer.eq(answer),
                refresh_refusal::since.eq(failed.at.as_secs()),
            );
            diesel::insert_into(refresh_refusal::table).values(row).execute(c)?;
            return Ok((Some(failed.at), false));
        }
        (None, _) => {}
    }
    let is_repeated = before.as_ref().is_some_and(|(_, last)| failed.refused_with == Some(last.as_str()));
    Ok((before.map(|(since, _)| Timestamp(since)), is_repeated))
}

/// Deletes the recorded refusal after a successful refresh.
pub(crate) fn forget_refusal(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
) -> Result<(), StoreError> {
    let known = refresh_refusal::table.filter(refresh_refusal::session_id.eq(session_id.as_str()));
    Ok(fixed!(diesel::delete(known)).defer(c)?)
}

/// Sessions at one server whose refreshes are refused.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Refused {
    /// The server's issuer, or the provider.
    #[diesel(sql_type = Text)]
    pub issuer: String,
    /// The latest definite answer to them.
    #[diesel(sql_type = Text)]
    pub answer: String,
    /// Their number.
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
}

/// Counts live sessions whose refreshes are refused at the moment, by server and definite answer.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn count_refused(c: &mut AnyConnection) -> Result<Vec<Refused>, StoreError> {
    let query = "SELECT COALESCE(s.issuer, s.provider) AS issuer, r.answer AS answer, COUNT(*) AS sessions \
        FROM refresh_refusal r JOIN upstream_session s ON s.session_id = r.session_id WHERE s.state = 'active' \
        GROUP BY COALESCE(s.issuer, s.provider), r.answer ORDER BY 1, 2";
    Ok(sql_query(query).load(c)?)
}

/// Result of verifying an account.
#[derive(Clone, Debug)]
pub struct VerifiedAccount {
    /// The origin of its PDS, which belongs to the session's issuer.
    pub pds: String,
    /// Its handle.
    pub handle: HandleCheck,
    /// When it was verified.
    pub at: Timestamp,
}

/// Records that the account's own document led to the session's issuer, by way of this PDS, and its handle.
///
/// While the handle cannot be checked, the last verified one is retained for [`VERIFIED_SECONDS`], and
/// `verified_at` with it. Then it is dropped.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_verified(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    verified: &VerifiedAccount,
) -> Result<(), StoreError> {
    let session = || dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str()));
    let pds = dsl::pds.eq(Some(&verified.pds));
    let handle = match &verified.handle {
        HandleCheck::Verified(handle) => Some(handle.as_str()),
        HandleCheck::None => None,
        HandleCheck::Unknown => {
            let oldest = verified.at.plus(-VERIFIED_SECONDS).as_secs();
            let young = session().filter(dsl::verified_at.gt(oldest));
            if diesel::update(young).set(pds).execute(c)? == 1 {
                return Ok(());
            }
            None
        }
    };
    diesel::update(session())
        .set((pds, dsl::handle.eq(handle), dsl::verified_at.eq(Some(verified.at.as_secs()))))
        .execute(c)?;
    Ok(())
}

/// Schedules the refresh of a session without an idle end for `due`, whether the session is in use or not. Others, the
/// device sessions at AT Protocol servers, are left alone.
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
        .filter(dsl::session_kind.eq(SessionKind::Background.as_str()).or(dsl::provider.ne(ATPROTO)))
        .filter(dsl::state.eq(SessionState::Active.as_str()));
    Ok(fixed!(diesel::update(background).set(dsl::refresh_due_at.eq(Some(due.as_secs())))).defer(c)?)
}

/// Claims at most `limit` sessions whose refresh is due, the longest due first: they are not due again before
/// `until`, by when the claiming process has refreshed them or is dead.
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
        // Other callers claimed all of these between the read and the update: try the remaining ones.
        if nothing_is_due || !claimed.is_empty() {
            return Ok(claimed);
        }
    }
}

/// Minimum seconds between two prompts to callers that the user of a session has to sign in again.
pub const PROMPT_SECONDS: i64 = 300;

/// Whether the last prompt was so long ago that callers may be prompted again at `now`.
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

/// Records a prompt at `now`; `false`: another caller was prompted recently.
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
