//! The end of a session: our tokens are revoked at once, those of the authorization server as soon as it
//! accepts the request.

use causeway_domain::session::{ATPROTO, Credentials, SessionHead};
use causeway_types::{TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use super::credentials::{self, NewIteration};
use super::{ENDED, HeadRow, PENDING};
use crate::connections;
use crate::connections::credentials::Renewal;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::tenancy::TenantScope;
use crate::events::{self, EventKind, logouts};
use crate::schema::upstream_session::dsl;
use crate::tokens;

/// State, provider, tenant and user of a session that is to end.
type Before = (String, String, String, Option<String>, Option<String>);

/// The sessions among which one is looked for by its identifier.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach<'a> {
    /// Sessions of every provider and tenant: the caller knows that it may end this one.
    All,
    /// Connections of a tenant.
    ConnectionsOf(&'a TenantId),
}

/// Ends a session that the caller has found within its own reach: our tokens and codes for it are revoked, its upstream
/// tokens are due for revocation, and its client is notified if it wants to be. `false` when it had ended before. An
/// identifier that a client names leads to [`connections::heads::end_connection`], which ends connections of one tenant
/// alone.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn end_session(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    end(c, Reach::All, session_id, now)
}

/// Same as [`end_session`], for a session that ended without a logout: its client gave it back. The client gets no
/// logout notice.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn end_session_quietly(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    end_quietly(c, Reach::All, session_id, now)
}

/// Ends a session within `reach`, and notifies its client of the logout.
pub(crate) fn end(
    c: &mut AnyConnection,
    reach: Reach<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let ended = end_quietly(c, reach, session_id, now)?;
    if ended {
        logouts::note_logout(c, session_id, now)?;
    }
    Ok(ended)
}

/// Ends a session within `reach`, without a logout notice.
pub(crate) fn end_quietly(
    c: &mut AnyConnection,
    reach: Reach<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let live =
        || dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str())).filter(dsl::state.ne(ENDED));
    let wanted =
        live().select((dsl::state, dsl::provider, dsl::tenant_id, dsl::namespace, dsl::user_id)).into_boxed();
    let wanted = match reach {
        Reach::All => wanted,
        Reach::ConnectionsOf(tenant_id) => wanted
            .filter(dsl::tenant_id.eq(tenant_id.as_str()))
            .filter(dsl::namespace.is_not_null())
            .filter(dsl::deleted_at.is_null()),
    };
    let before: Option<Before> = wanted.first(c).optional()?;
    let Some((state, provider, tenant_id, namespace, user_id)) = before else { return Ok(false) };
    if state == PENDING
        && let (Some(namespace), Some(user_id)) = (namespace, user_id)
    {
        // Whether another connection is to the same account is decided below, one after the other.
        let user = Column("upstream_session", "user_id").user(&namespace, &user_id)?;
        let tenant_id = TenantId::new(tenant_id.clone());
        connections::users::lock_user(&mut TenantScope::enter(c, &tenant_id), &user)?;
    }
    let ended = diesel::update(live().filter(dsl::tenant_id.eq(&tenant_id)))
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
    if provider != ATPROTO {
        let tenant_id = TenantId::new(tenant_id);
        let scope = &mut TenantScope::enter(c, &tenant_id);
        connections::credentials::delete_credentials_of(scope, session_id, now)?;
        if state == PENDING {
            connections::reconnect::forget_account(scope, session_id, now)?;
        }
    }
    tokens::revoke_grant(c, session_id)?;
    // A session that was never consented to was never the client's.
    if state != PENDING {
        events::note_session(c, session_id, EventKind::Ended, now)?;
    }
    Ok(true)
}

/// An ended session, claimed for the revocation of its upstream tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRevocation {
    /// The session.
    pub head: SessionHead,
    /// End of the claim.
    pub until: Timestamp,
}

/// Claims at most `limit` ended sessions whose upstream tokens are to be revoked, the longest due first: they
/// are not due again before `until`.
///
/// # Errors
/// [`StoreError`] when a query fails or a row is corrupt.
pub fn claim_due_revocations(
    c: &mut AnyConnection,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<ClaimedRevocation>, StoreError> {
    loop {
        let due: Vec<String> = dsl::upstream_session
            .filter(dsl::revocation_due_at.le(now.as_secs()))
            .order(dsl::revocation_due_at.asc())
            .limit(limit)
            .select(dsl::session_id)
            .load(c)?;
        let nothing_is_due = due.is_empty();
        let mut claimed = Vec::with_capacity(due.len());
        for id in due {
            claimed.extend(claim_revocation(c, &UpstreamSessionId::new(id), now, until)?);
        }
        // Other callers claimed all of these between the read and the update: try the remaining ones.
        if nothing_is_due || !claimed.is_empty() {
            return Ok(claimed);
        }
    }
}

/// Claims one ended session whose upstream tokens are to be revoked now; `None` when none are, or it is
/// claimed already.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn claim_revocation(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<ClaimedRevocation>, StoreError> {
    let due = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::revocation_due_at.le(now.as_secs()));
    if diesel::update(due).set(dsl::revocation_due_at.eq(Some(until.as_secs()))).execute(c)? == 0 {
        return Ok(None);
    }
    let taken = dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str()));
    let head = taken.select(HeadRow::as_select()).get_result::<HeadRow>(c)?.into_domain()?;
    Ok(Some(ClaimedRevocation { head, until }))
}

/// Enqueues the revocation of tokens that a refresh from `from_iteration` brought after the session had
/// ended: they replace those that it spent. `false` when the session has not ended, or is past that
/// iteration.
///
/// # Errors
/// [`StoreError`] when encryption or a query fails.
pub fn enqueue_revocation(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    from_iteration: i64,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let ended = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(from_iteration))
        .filter(dsl::state.eq(ENDED));
    let iteration = from_iteration.saturating_add(1);
    let owing = diesel::update(ended)
        .set((
            dsl::iteration.eq(iteration),
            dsl::revocation_due_at.eq(Some(now.as_secs())),
            dsl::revocation_attempts.eq(0),
        ))
        .returning((dsl::did, dsl::created_at, dsl::tenant_id))
        .get_result::<(Option<String>, i64, String)>(c)
        .optional()?;
    let Some((did, session_created_at, tenant_id)) = owing else { return Ok(false) };
    if let Some(did) = did {
        let new =
            NewIteration { session_id, iteration, did, session_created_at, exchanged_at: now.as_secs() };
        credentials::replace(c, ring, new, credentials)?;
    } else {
        let tenant_id = TenantId::new(tenant_id);
        let scope = &mut TenantScope::enter(c, &tenant_id);
        let renewal = Renewal { from_iteration, credentials, at: now };
        connections::heads::note_renewed_too_late(scope, ring, session_id, renewal)?;
    }
    Ok(true)
}

/// Schedules a failed revocation again at `until`. Returns how often it has failed so far; `None`, with
/// nothing changed, when the claim has expired, or other tokens have come since ([`enqueue_revocation`]).
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn postpone_revocation(
    c: &mut AnyConnection,
    claimed: &ClaimedRevocation,
    until: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let due = dsl::upstream_session
        .filter(dsl::session_id.eq(claimed.head.session_id.as_str()))
        .filter(dsl::revocation_due_at.eq(claimed.until.as_secs()));
    let attempts = diesel::update(due)
        .set((
            dsl::revocation_due_at.eq(Some(until.as_secs())),
            dsl::revocation_attempts.eq(dsl::revocation_attempts + 1),
        ))
        .returning(dsl::revocation_attempts)
        .get_result::<i64>(c)
        .optional()?;
    Ok(attempts)
}

/// Completes the revocation of the tokens of `iteration`, done or given up: nothing is due any more and no
/// secret of the session is left. Nothing changes when other tokens have come since ([`enqueue_revocation`]).
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn complete_revocation(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    iteration: i64,
) -> Result<(), StoreError> {
    let ended = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::state.eq(ENDED));
    let settled = diesel::update(ended)
        .set(dsl::revocation_due_at.eq(None::<i64>))
        .returning((dsl::provider, dsl::tenant_id))
        .get_result::<(String, String)>(c)
        .optional()?;
    let Some((provider, tenant_id)) = settled else { return Ok(()) };
    if provider == ATPROTO {
        // Earlier ones were wiped when they were replaced.
        return credentials::wipe(c, session_id, iteration);
    }
    let tenant_id = TenantId::new(tenant_id);
    connections::credentials::erase_payloads_of(&mut TenantScope::enter(c, &tenant_id), session_id)?;
    Ok(())
}
