//! Keeping a session alive at a person's own server.
//!
//! An upstream refresh token works once, and a PDS that sees one twice ends the session. So at most
//! one refresh of a session is under way in the whole deployment: within this process by a flight
//! that callers share, between processes by a fenced lease in the database that outlives everything
//! a refresh does. A failure is never stored and erases nothing.

use std::time::Duration;

use causeway_atproto::{AuthorizationServer, ResolveError, TokenAnswer};
use causeway_domain::SessionState;
use causeway_domain::session::{SessionHead, TokenSet};
use causeway_jose::EcKey;
use causeway_store::{AnyConnection, sessions};
use tokio::time::{Instant, sleep, timeout};

use crate::access::Bearer;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::flights::Failed;
use crate::session::SessionError;
use crate::upstream::{give_back, token_set};

/// Seconds that a lease lasts. Looking the account up takes [`LOOKUP_PATIENCE`] at most, the request
/// with its one repetition 20 s, the commit of its answer 10 s of pauses and what the database adds.
const LEASE_SECONDS: i64 = 120;
/// How long the look-ups before a refresh may take together.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(20);
/// How often a process that lost the lease looks whether the winner is done.
const LEASE_POLL: Duration = Duration::from_millis(50);
/// How long it looks before it gives up.
const LEASE_PATIENCE: Duration = Duration::from_secs(20);
/// Seconds after which a retry makes sense when the person's server names none.
const RETRY_SECONDS: u64 = 5;

/// Refreshes the upstream session behind a token now, and returns its new head.
///
/// Callers that come while a refresh is under way share its result, whatever it is. It runs to its
/// end even when the caller hangs up: the answer must not be lost.
///
/// # Errors
/// [`SessionError`]; the tokens that were there still are.
#[tracing::instrument(name = "flow.session.refresh", skip_all, fields(session = %bearer.session.session_id))]
pub async fn refresh_upstream(ctx: &Ctx, bearer: &Bearer) -> Result<SessionHead, SessionError> {
    let (detached, seen) = (ctx.clone(), bearer.session.clone());
    ctx.finish(async move { fly(&detached, &seen).await }).await?
}

/// One flight from the iteration that the caller saw: whoever comes second finds it done.
async fn fly(ctx: &Ctx, seen: &SessionHead) -> Result<SessionHead, SessionError> {
    let flight = ctx.flights().join(&seen.session_id);
    let mut shared = if let Ok(first) = flight.try_lock() {
        first
    } else {
        let waited = flight.lock().await;
        if let Some(failed) = *waited {
            return Err(failed.into());
        }
        waited
    };
    let outcome = refresh_once(ctx, seen).await;
    *shared = outcome.as_ref().err().and_then(Failed::of);
    outcome
}

/// Waits for the lease, or for the iteration that its holder makes.
async fn refresh_once(ctx: &Ctx, seen: &SessionHead) -> Result<SessionHead, SessionError> {
    let holder = ctx.rng().base64url::<12>();
    let started = Instant::now();
    loop {
        if let Some(head) = moved_on(ctx, seen).await? {
            return Ok(head);
        }
        if let Some(fence) = acquire(ctx, seen, &holder).await? {
            let outcome = refresh_leased(ctx, seen, fence).await;
            release(ctx, seen, fence).await;
            let said = outcome.as_ref().map_or_else(|error| error.code().as_str(), |_| "refreshed");
            tracing::info!(
                session.iteration = outcome.as_ref().map_or(seen.iteration, |head| head.iteration),
                session.kind = seen.kind.as_str(),
                refresh.outcome = said,
                "upstream refresh"
            );
            return outcome;
        }
        if started.elapsed() > LEASE_PATIENCE {
            return Err(SessionError::Busy { retry_after: RETRY_SECONDS });
        }
        sleep(LEASE_POLL).await;
    }
}

const fn unavailable(retry_after: Option<u64>) -> SessionError {
    match retry_after {
        Some(retry_after) => SessionError::Unavailable { retry_after },
        None => SessionError::Unavailable { retry_after: RETRY_SECONDS },
    }
}

/// The head, if it is past the iteration that was seen; an error, if there is nothing to refresh.
async fn moved_on(ctx: &Ctx, seen: &SessionHead) -> Result<Option<SessionHead>, SessionError> {
    let head = find_head(ctx, seen).await?.ok_or(SessionError::Ended)?;
    match head.state_at(ctx.now()) {
        SessionState::Active if head.iteration > seen.iteration => Ok(Some(head)),
        SessionState::Active => Ok(None),
        SessionState::ReauthRequired => Err(SessionError::ReauthRequired),
        SessionState::Pending | SessionState::Ended => Err(SessionError::Ended),
    }
}

async fn find_head(ctx: &Ctx, seen: &SessionHead) -> Result<Option<SessionHead>, Internal> {
    let (tenant, id, kind) = (seen.tenant_id.clone(), seen.session_id.clone(), seen.kind);
    ctx.store().read(move |c| sessions::find_session(c, &tenant, &id, kind).map_err(Internal::from)).await
}

/// Takes the lease. That this commits is also the proof that the answer could be written.
async fn acquire(ctx: &Ctx, head: &SessionHead, holder: &str) -> Result<Option<i64>, Internal> {
    let (id, holder, now) = (head.session_id.clone(), holder.to_owned(), ctx.now());
    let until = now.plus(LEASE_SECONDS);
    ctx.store()
        .write(move |c| sessions::acquire_lease(c, &id, &holder, now, until).map_err(Internal::from))
        .await
}

/// Gives the lease back. When that fails it runs out by itself.
async fn release(ctx: &Ctx, head: &SessionHead, fence: i64) {
    let id = head.session_id.clone();
    let released =
        ctx.store().write(move |c| sessions::release_lease(c, &id, fence).map_err(Internal::from)).await;
    if let Err(error) = released {
        tracing::warn!(%error, "a refresh lease was not released and has to run out");
    }
}

/// The refresh itself, by whoever holds the lease.
async fn refresh_leased(ctx: &Ctx, seen: &SessionHead, fence: i64) -> Result<SessionHead, SessionError> {
    // The last holder may have finished between the look and the lease.
    if let Some(head) = moved_on(ctx, seen).await? {
        return Ok(head);
    }
    let (ring, id, iteration) = (ctx.ring(), seen.session_id.clone(), seen.iteration);
    let tokens = ctx
        .store()
        .read(move |c| sessions::find_token_set(c, &ring, &id, iteration).map_err(Internal::from))
        .await?
        .ok_or(Internal::Inconsistent("the head's token set is gone"))?;
    let Some(refresh_token) = &tokens.refresh_token else {
        return require_reauth(ctx, seen, fence).await;
    };
    let server = match timeout(LOOKUP_PATIENCE, find_server(ctx, seen)).await {
        Ok(Ok(Some(server))) => server,
        Ok(Ok(None)) => {
            tracing::warn!("the account moved to another server");
            return require_reauth(ctx, seen, fence).await;
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "no metadata of the issuer");
            return Err(unavailable(None));
        }
        Err(_) => {
            tracing::warn!("looking the account up took too long");
            return Err(unavailable(None));
        }
    };
    let me = ctx
        .upstream()
        .identity(&seen.upstream)
        .ok_or(Internal::Inconsistent("the client key of this session is not loaded"))?;
    let dpop = EcKey::from_private_jwk(&tokens.dpop_key).map_err(Internal::from)?;
    match ctx.atproto().refresh(&server, &me, &dpop, refresh_token).await {
        Ok(answer) if answer.sub == seen.did => {
            let kept = keep(ctx, seen, &tokens, &answer).await;
            if let Err(SessionError::Ended) = &kept {
                // Ended while the answer was under way: nobody holds the new tokens.
                give_back(ctx, &server, &me, &dpop, &answer).await;
            }
            kept
        }
        Ok(_) => {
            tracing::error!("a refresh answered with another account");
            require_reauth(ctx, seen, fence).await
        }
        Err(error) if error.is_invalid_grant() => match moved_on(ctx, seen).await? {
            Some(head) => Ok(head),
            None => require_reauth(ctx, seen, fence).await,
        },
        Err(error) => {
            tracing::warn!(%error, "upstream refresh failed; everything is kept");
            Err(unavailable(error.retry_after()))
        }
    }
}

/// The authorization server that the session began at, `None` when the account's own document now
/// leads to another one. A look-up that fails says nothing about the account: the verified binding
/// goes on.
async fn find_server(ctx: &Ctx, head: &SessionHead) -> Result<Option<AuthorizationServer>, ResolveError> {
    let current: Result<AuthorizationServer, ResolveError> = async {
        let identity = ctx.atproto().resolve_did(&head.did).await?;
        ctx.atproto().server_of_pds(&identity.pds).await
    }
    .await;
    match current {
        Ok(server) => Ok((server.issuer == head.upstream.issuer).then_some(server)),
        Err(error) if error.is_upstream_fault() => {
            tracing::warn!(%error, "the account does not resolve at the moment");
            ctx.atproto().server_by_issuer(&head.upstream.issuer).await.map(Some)
        }
        Err(error) => {
            tracing::warn!(%error, "the account does not resolve any more");
            Ok(None)
        }
    }
}

/// Commits the answer before anybody uses it.
async fn keep(
    ctx: &Ctx,
    head: &SessionHead,
    old: &TokenSet,
    answer: &TokenAnswer,
) -> Result<SessionHead, SessionError> {
    let now = ctx.now();
    let mut fresh = token_set(answer, &old.dpop_key, &old.dpop_jkt, now);
    if fresh.refresh_token.is_none() {
        fresh.refresh_token.clone_from(&old.refresh_token);
    }
    // Not advanced: an earlier try did commit after all, somebody else moved the head, or the session
    // has ended. The head tells which.
    ctx.write_answer(|| {
        let (ring, id, from) = (ctx.ring(), head.session_id.clone(), head.iteration);
        let fresh = fresh.clone();
        move |c: &mut AnyConnection| Ok(sessions::advance_session(c, &ring, &id, from, &fresh, now)?)
    })
    .await?;
    moved_on(ctx, head).await?.ok_or_else(|| Internal::Inconsistent("the head did not move").into())
}

/// The person has to sign in again.
async fn require_reauth(ctx: &Ctx, head: &SessionHead, fence: i64) -> Result<SessionHead, SessionError> {
    let (id, iteration) = (head.session_id.clone(), head.iteration);
    ctx.store()
        .write(move |c| sessions::require_reauth(c, &id, iteration, fence).map_err(Internal::from))
        .await?;
    Err(SessionError::ReauthRequired)
}
