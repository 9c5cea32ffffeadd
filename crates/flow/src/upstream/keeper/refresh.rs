//! Refreshes of a session, at most one at a time in the whole deployment.

use std::time::Duration;

use causeway_domain::session::SessionHead;
use tokio::time::{Instant, sleep};

use super::attempt::RefreshAttempt;
use super::head::{Evaluation, evaluate};
use super::lease::{self, HeldLease};
use super::reason::Reason;
use crate::ctx::Ctx;
use crate::upstream::session::{RETRY_SECONDS, SessionError};

/// How often a process that did not get the lease checks whether the holder is done.
const LEASE_POLL: Duration = Duration::from_millis(50);
/// How long it waits before it gives up.
const LEASE_TIMEOUT: Duration = Duration::from_secs(20);

/// Refreshes a session for a caller, to the end even if the caller disconnects.
pub(super) async fn refresh(
    ctx: &Ctx,
    seen: &SessionHead,
    reason: Reason,
) -> Result<SessionHead, SessionError> {
    let (detached, seen) = (ctx.clone(), seen.clone());
    ctx.finish(async move { refresh_once(&detached, &seen, reason).await }).await?
}

/// Refreshes in one flight from the iteration that the caller saw: later callers find it done.
#[tracing::instrument(
    name = "flow.session.refresh_once",
    skip_all,
    fields(
        correlation_id = seen.correlation_id.as_ref().map(tracing::field::display),
        session.kind = seen.kind.as_str(),
        session.iteration = seen.iteration,
        refresh.reason = reason.as_str(),
    )
)]
pub(super) async fn refresh_once(
    ctx: &Ctx,
    seen: &SessionHead,
    reason: Reason,
) -> Result<SessionHead, SessionError> {
    let work = Box::pin(lease_and_refresh(ctx, seen, reason));
    let outcome =
        ctx.single_flight().run(&seen.session_id, work, |failed| failed.into_error(ctx, seen)).await;
    if let Err(SessionError::Internal(error)) = &outcome {
        tracing::warn!(%error, "a refresh failed on our side");
    }
    outcome
}

/// Refreshes once the lease is acquired, or waits for the iteration that its holder makes.
async fn lease_and_refresh(
    ctx: &Ctx,
    seen: &SessionHead,
    reason: Reason,
) -> Result<SessionHead, SessionError> {
    let holder = ctx.rng().base64url::<12>();
    let mut waits = None;
    loop {
        if let Evaluation::Moved(head) = evaluate(ctx, seen).await? {
            note_wait(ctx, waits);
            return Ok(head);
        }
        if let Some(lease) = lease::acquire(ctx, seen, &holder).await? {
            note_wait(ctx, waits);
            let leased = Instant::now();
            let outcome = refresh_leased(ctx, seen, &lease, reason).await;
            lease::release(ctx, seen, &lease).await;
            let said = outcome.as_ref().map_or_else(|error| error.code().as_str(), |_| "refreshed");
            ctx.stats().note_refresh(reason.as_str(), said, leased.elapsed());
            tracing::info!(
                session = %seen.session_id,
                session.iteration = outcome.as_ref().map_or(seen.iteration, |head| head.iteration),
                session.kind = seen.kind.as_str(),
                refresh.reason = reason.as_str(),
                refresh.outcome = said,
                "upstream refresh"
            );
            return outcome;
        }
        if waits.get_or_insert_with(Instant::now).elapsed() > LEASE_TIMEOUT {
            note_wait(ctx, waits);
            return Err(SessionError::Busy { retry_after: RETRY_SECONDS });
        }
        sleep(LEASE_POLL).await;
    }
}

/// Counts a wait, unless the lease was free or the refresh done at the first check.
fn note_wait(ctx: &Ctx, since: Option<Instant>) {
    if let Some(since) = since {
        ctx.stats().note_lease_wait(since.elapsed());
    }
}

/// The refresh itself, under the lease.
async fn refresh_leased(
    ctx: &Ctx,
    seen: &SessionHead,
    lease: &HeldLease,
    reason: Reason,
) -> Result<SessionHead, SessionError> {
    // The last holder may have finished, or failed, between the check and the lease.
    match evaluate(ctx, seen).await? {
        Evaluation::Moved(head) => Ok(head),
        Evaluation::Same(head) => {
            let upstream = ctx.upstreams().of(&head)?;
            RefreshAttempt { ctx, upstream: &*upstream, head, lease, reason }.run().await
        }
    }
}
