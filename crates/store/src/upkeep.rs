//! What a try to refresh leaves on a session's head besides new tokens: the pause after a failure, and
//! the proof that the account is still where it was.

use causeway_domain::upkeep::Cooldown;
use causeway_domain::{Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::schema::upstream_session::dsl;

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
