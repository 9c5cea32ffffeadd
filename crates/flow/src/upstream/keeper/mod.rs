//! Keeps sessions alive at their authorization servers, whose protocol is behind [`Upstream`].
//!
//! [`use_session`] is the entry point: it returns working tokens for a request to the PDS, refreshed before
//! use when they are about to expire; [`renew_session`] replaces tokens that the PDS refused all the same.
//!
//! An upstream refresh token works once, and an authorization server that sees one twice ends the session. So
//! at most one refresh of a session is under way in the whole deployment: within this process by a flight
//! that callers share, between processes by a fenced lease in the database that outlives everything a refresh
//! does. A failure is never stored as tokens and erases none; it causes a pause that all processes observe.

pub mod keep_alive;
pub(crate) mod single_flight;

mod attempt;
mod upstream;

use std::time::Duration;

use causeway_domain::SessionState;
use causeway_domain::session::{SessionHead, TokenSet};
use causeway_domain::upkeep::Due;
use causeway_store::AnyConnection;
use causeway_store::sessions;
use causeway_store::sessions::LeaseClaim;
use tokio::time::{Instant, sleep, timeout};

use self::attempt::RefreshAttempt;
pub(crate) use self::upstream::{Lookup, NoAnswer, RefreshFailure, Refreshed, Upstream};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::resource::access::Bearer;
use crate::upstream::session::{SessionError, limit_prompts, reauth_required};

/// Seconds that a lease lasts, unless the heartbeat of its node ends earlier. Resolving the account takes
/// [`attempt::LOOKUP_TIMEOUT`] at most, and the request with its one repetition 20 seconds. While the
/// database rejects the answer, the lease is renewed.
const LEASE_SECONDS: i64 = 120;
/// How often a process that did not get the lease checks whether the holder is done.
const LEASE_POLL: Duration = Duration::from_millis(50);
/// How long it waits before it gives up.
const LEASE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a caller with a valid token waits for a fresh one.
const SOON_TIMEOUT: Duration = Duration::from_secs(5);
/// The default `retry_after`, in seconds.
const RETRY_SECONDS: u64 = 5;

/// A session with tokens that are valid as far as we know.
#[derive(Clone, Debug)]
pub struct UsableSession {
    /// The head that the tokens belong to.
    pub head: SessionHead,
    /// The tokens.
    pub tokens: TokenSet,
}

/// Why a session is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// A client asked for it.
    Asked,
    /// The access token is about to expire.
    Due,
    /// The access token has expired.
    Spent,
    /// The PDS refused the access token.
    Refused,
    /// A background session is unused, and its refresh token would otherwise expire.
    Kept,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Due => "due",
            Self::Spent => "spent",
            Self::Refused => "refused",
            Self::Kept => "kept",
        }
    }
}

/// Returns tokens for a request to the PDS now: [`look_up`], then [`freshen`].
///
/// # Errors
/// [`SessionError`].
pub async fn use_session(ctx: &Ctx, seen: &SessionHead) -> Result<UsableSession, SessionError> {
    let used = async { fresh(ctx, current(ctx, seen).await?).await };
    limit_prompts(ctx, seen, used.await).await
}

/// Refreshes tokens before use, when they are about to expire or older than the upstream profile allows.
/// Returns the old ones when that fails and they are still valid.
///
/// # Errors
/// [`SessionError`].
pub async fn freshen(ctx: &Ctx, found: UsableSession) -> Result<UsableSession, SessionError> {
    let head = found.head.clone();
    limit_prompts(ctx, &head, fresh(ctx, found).await).await
}

async fn fresh(ctx: &Ctx, current: UsableSession) -> Result<UsableSession, SessionError> {
    let now = ctx.now();
    match current.tokens.due_at(now, ctx.upstream().max_token_age()) {
        Due::No => Ok(current),
        Due::Soon if current.head.cooldown.seconds_left(now).is_some() => Ok(current),
        Due::Soon => {
            let (detached, head) = (ctx.clone(), current.head.clone());
            let work = ctx.start(async move { refresh_once(&detached, &head, Reason::Due).await });
            let outcome = match timeout(SOON_TIMEOUT, work).await {
                Ok(outcome) => outcome.map_err(Internal::from)?,
                Err(_) => Err(Internal::Slow.into()),
            };
            match outcome {
                Ok(head) => self::current(ctx, &head).await,
                Err(error) if error.is_passing() => {
                    tracing::info!(%error, "not refreshed: the old token still lives");
                    Ok(current)
                }
                Err(error) => Err(error),
            }
        }
        Due::Spent => {
            let head = refresh(ctx, &current.head, Reason::Spent).await?;
            self::current(ctx, &head).await
        }
    }
}

/// Replaces tokens that the PDS has just refused, whatever their age: by those of a concurrent refresh, or of
/// a refresh now.
///
/// # Errors
/// [`SessionError`].
pub async fn renew_session(ctx: &Ctx, refused: &UsableSession) -> Result<UsableSession, SessionError> {
    let renewed = async {
        let head = refresh(ctx, &refused.head, Reason::Refused).await?;
        current(ctx, &head).await
    };
    limit_prompts(ctx, &refused.head, renewed.await).await
}

/// Refreshes the upstream session behind a token now, and returns its new head.
///
/// Callers that arrive while a refresh is under way share its result, whatever it is. It runs to its end even
/// when the caller disconnects: the answer must not be lost.
///
/// # Errors
/// [`SessionError`]; the tokens that were there still are.
#[tracing::instrument(name = "flow.session.refresh", skip_all, fields(session = %bearer.session.session_id))]
pub async fn refresh_upstream(ctx: &Ctx, bearer: &Bearer) -> Result<SessionHead, SessionError> {
    let refreshed = refresh(ctx, &bearer.session, Reason::Asked).await;
    limit_prompts(ctx, &bearer.session, refreshed).await
}

/// Refreshes a session that nobody uses.
pub(crate) async fn keep_alive(ctx: &Ctx, seen: &SessionHead) -> Result<SessionHead, SessionError> {
    refresh(ctx, seen, Reason::Kept).await
}

async fn refresh(ctx: &Ctx, seen: &SessionHead, reason: Reason) -> Result<SessionHead, SessionError> {
    let (detached, seen) = (ctx.clone(), seen.clone());
    ctx.finish(async move { refresh_once(&detached, &seen, reason).await }).await?
}

/// The session behind a token, with the tokens that were loaded when the token was checked, or else by
/// [`look_up`].
///
/// # Errors
/// [`SessionError`].
pub async fn of_bearer(ctx: &Ctx, bearer: &Bearer) -> Result<UsableSession, SessionError> {
    let Some(tokens) = bearer.upstream.clone() else { return look_up(ctx, &bearer.session).await };
    let usable = check_state(ctx, &bearer.session);
    limit_prompts(ctx, &bearer.session, usable).await?;
    Ok(UsableSession { head: bearer.session.clone(), tokens })
}

/// The tokens of the head that was seen, or of the one that took its place meanwhile, whatever their age.
///
/// # Errors
/// [`SessionError`].
pub async fn look_up(ctx: &Ctx, seen: &SessionHead) -> Result<UsableSession, SessionError> {
    limit_prompts(ctx, seen, current(ctx, seen).await).await
}

async fn current(ctx: &Ctx, seen: &SessionHead) -> Result<UsableSession, SessionError> {
    let (ring, wanted) = (ctx.ring(), seen.clone());
    let found = ctx
        .store()
        .find(move |c| {
            if let Some(tokens) = sessions::find_token_set(c, &ring, &wanted.session_id, wanted.iteration)? {
                return Ok::<_, Internal>(Some((wanted, Some(tokens))));
            }
            let Some(head) = find_head(c, &wanted)? else { return Ok(None) };
            let tokens = sessions::find_token_set(c, &ring, &head.session_id, head.iteration)?;
            Ok(Some((head, tokens)))
        })
        .await?;
    let (head, tokens) = found.ok_or(SessionError::Ended)?;
    check_state(ctx, &head)?;
    // Only the end of a session deletes the token set of its head.
    Ok(UsableSession { head, tokens: tokens.ok_or(SessionError::Ended)? })
}

fn find_head(c: &mut AnyConnection, seen: &SessionHead) -> Result<Option<SessionHead>, Internal> {
    Ok(sessions::find_session(c, &seen.tenant_id, &seen.session_id, seen.kind)?)
}

/// Checks that a session is active.
fn check_state(ctx: &Ctx, head: &SessionHead) -> Result<(), SessionError> {
    match head.state_at(ctx.now()) {
        SessionState::Active => Ok(()),
        SessionState::ReauthRequired => Err(reauth_required(ctx, head)),
        SessionState::Pending | SessionState::Ended => Err(SessionError::Ended),
    }
}

/// Refreshes in one flight from the iteration that the caller saw: later callers find it done.
#[tracing::instrument(
    name = "flow.session.fly",
    skip_all,
    fields(
        correlation_id = seen.correlation_id.as_ref().map(tracing::field::display),
        session.kind = seen.kind.as_str(),
        session.iteration = seen.iteration,
        refresh.reason = reason.as_str(),
    )
)]
async fn refresh_once(ctx: &Ctx, seen: &SessionHead, reason: Reason) -> Result<SessionHead, SessionError> {
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
        if let Some(fence) = acquire(ctx, seen, &holder).await? {
            note_wait(ctx, waits);
            let leased = Instant::now();
            let outcome = refresh_leased(ctx, seen, fence).await;
            release(ctx, seen, fence).await;
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
async fn refresh_leased(ctx: &Ctx, seen: &SessionHead, fence: i64) -> Result<SessionHead, SessionError> {
    // The last holder may have finished, or failed, between the check and the lease.
    match evaluate(ctx, seen).await? {
        Evaluation::Moved(head) => Ok(head),
        Evaluation::Same(head) => RefreshAttempt { ctx, upstream: ctx.upstream(), head, fence }.run().await,
    }
}

/// The current head compared with the one that was seen before.
enum Evaluation {
    /// It is past the iteration that was seen.
    Moved(SessionHead),
    /// It is where it was, and a refresh may be tried.
    Same(SessionHead),
}

/// Reads the head again; an error if there is nothing to refresh or it is too soon.
async fn evaluate(ctx: &Ctx, seen: &SessionHead) -> Result<Evaluation, SessionError> {
    let wanted = seen.clone();
    let head = ctx.store().find(move |c| find_head(c, &wanted)).await?.ok_or(SessionError::Ended)?;
    check_state(ctx, &head)?;
    if head.iteration > seen.iteration {
        return Ok(Evaluation::Moved(head));
    }
    match head.cooldown.seconds_left(ctx.now()) {
        Some(retry_after) => Err(SessionError::Unavailable { retry_after }),
        None => Ok(Evaluation::Same(head)),
    }
}

/// Acquires the lease. Its commit also proves that the answer could be written.
async fn acquire(ctx: &Ctx, head: &SessionHead, holder: &str) -> Result<Option<i64>, Internal> {
    let (id, holder, now) = (head.session_id.clone(), holder.to_owned(), ctx.now());
    let (node, until) = (ctx.node().alive().cloned(), now.plus(LEASE_SECONDS));
    let lease = ctx
        .store()
        .write(move |c| {
            let claim = LeaseClaim { holder: &holder, node: node.as_ref(), now, until };
            sessions::acquire_lease(c, &id, claim).map_err(Internal::from)
        })
        .await?;
    if lease.is_some_and(|lease| lease.taken_over) {
        ctx.stats().note_lease_takeover();
        tracing::warn!(
            session = %head.session_id,
            "the lease of a refresh that did not end is taken over: what the person's server answered it, if it did, is lost"
        );
    }
    Ok(lease.map(|lease| lease.fence))
}

/// Releases the lease. When that fails, the lease expires by itself.
async fn release(ctx: &Ctx, head: &SessionHead, fence: i64) {
    let id = head.session_id.clone();
    let released =
        ctx.store().write(move |c| sessions::release_lease(c, &id, fence).map_err(Internal::from)).await;
    if let Err(error) = released {
        tracing::warn!(%error, "a refresh lease was not released and has to run out");
    }
}
