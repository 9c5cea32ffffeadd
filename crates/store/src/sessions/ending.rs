//! The end of a session: our tokens at once, those at the person's server as soon as it takes that.

use causeway_domain::session::SessionHead;
use causeway_domain::{Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use super::{ENDED, HeadRow, PENDING, WIPED};
use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::events::{self, EventKind};
use crate::logouts;
use crate::schema::oauth_atp_session;
use crate::schema::upstream_session::dsl;
use crate::tokens;

/// Ends a session: our tokens and codes of it are revoked, its upstream tokens are due to be, and a client
/// that wants to be told is. `false` when it had ended before.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn end_session(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let ended = end_session_quietly(c, session_id, now)?;
    if ended {
        logouts::note_logout(c, session_id, now)?;
    }
    Ok(ended)
}

/// The same for a session that nobody was signed out of: its client gave it back, or it ran out. The client is
/// not told.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn end_session_quietly(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let live =
        || dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str())).filter(dsl::state.ne(ENDED));
    let state: Option<String> = live().select(dsl::state).first(c).optional()?;
    let ended = diesel::update(live())
        .set((
            dsl::state.eq(ENDED),
            dsl::ended_at.eq(Some(now.as_secs())),
            dsl::revocation_due_at.eq(Some(now.as_secs())),
            dsl::refresh_due_at.eq(None::<i64>),
        ))
        .execute(c)?;
    if ended == 0 {
        return Ok(false);
    }
    tokens::revoke_grant(c, session_id)?;
    // One that nobody agreed to was never theirs.
    if state.is_some_and(|state| state != PENDING) {
        events::note_session(c, session_id, EventKind::Ended, now)?;
    }
    Ok(true)
}

/// Ended sessions whose upstream tokens are to be revoked now, the longest due first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn due_revocations(
    c: &mut AnyConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<SessionHead>, StoreError> {
    dsl::upstream_session
        .filter(dsl::revocation_due_at.le(now.as_secs()))
        .order(dsl::revocation_due_at.asc())
        .limit(limit)
        .select(HeadRow::as_select())
        .load(c)?
        .into_iter()
        .map(HeadRow::into_domain)
        .collect()
}

/// A revocation failed: it is due again at `until`. Returns how often it has failed so far.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn postpone_revocation(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    until: Timestamp,
) -> Result<i64, StoreError> {
    let due = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::revocation_due_at.is_not_null());
    let attempts = diesel::update(due)
        .set((
            dsl::revocation_due_at.eq(Some(until.as_secs())),
            dsl::revocation_attempts.eq(dsl::revocation_attempts + 1),
        ))
        .returning(dsl::revocation_attempts)
        .get_result::<i64>(c)
        .optional()?;
    Ok(attempts.unwrap_or(0))
}

/// A revocation is done, or given up: nothing is due any more and no secret of the session is left.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn complete_revocation(c: &mut AnyConnection, session_id: &UpstreamSessionId) -> Result<(), StoreError> {
    let ended =
        dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str())).filter(dsl::state.eq(ENDED));
    if diesel::update(ended).set(dsl::revocation_due_at.eq(None::<i64>)).execute(c)? == 1 {
        let sets = oauth_atp_session::table.filter(oauth_atp_session::session_id.eq(session_id.as_str()));
        diesel::update(sets).set(WIPED).execute(c)?;
    }
    Ok(())
}
