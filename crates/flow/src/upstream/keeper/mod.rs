//! Keeps sessions alive at their upstreams, whose protocols are behind [`Kept`](crate::upstream::traits::Kept).
//!
//! [`use_session`] is the entry point: it returns working credentials for a request to the upstream, refreshed before
//! use when they are about to expire; [`renew_session`] replaces those that the upstream refused all the same.
//!
//! Most refresh tokens work once, and an authorization server that sees one twice ends the session. So
//! at most one refresh of a session is under way in the whole deployment: within this process by a flight
//! that callers share, between processes by a fenced lease in the database that outlives everything a refresh
//! does. A failure is never stored as tokens and erases none; it causes a pause that all processes observe.

pub mod keep_alive;
pub(crate) mod single_flight;

mod absorbed;
mod attempt;
mod head;
mod lease;
mod reason;
mod refresh;

use std::time::Duration;

use causeway_domain::session::{Credentials, Due, SessionHead};
use tokio::time::timeout;

pub(crate) use self::absorbed::absorb;
pub use self::attempt::RENEWAL_TIMEOUT;
pub use crate::upstream::usable::UsableSession;

use self::head::{check_state, current};
use self::reason::Reason;
use self::refresh::{refresh, refresh_once};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::resource::access::Bearer;
use crate::upstream::session::{RETRY_SECONDS, SessionError, limit_prompts};

/// How long a caller with a valid token waits for a fresh one.
const SOON_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns tokens for a request to the provider now: [`look_up`], then [`freshen`].
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
    let policy = ctx.upstreams().of(&current.head)?.policy(&current.head, &current.credentials);
    match policy.due_at(&current.credentials, now) {
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
                    tracing::info!(%error, "not refreshed: the access token is still valid");
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

/// Replaces tokens that the provider has just refused, whatever their age: by those of a concurrent refresh, or of
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

/// Marks a session whose credentials the provider refused although they are new: its user has to connect again. No
/// further call is made. Returns the error for the caller.
pub(crate) async fn reject_session(ctx: &Ctx, refused: &UsableSession) -> SessionError {
    let rejected = match refresh(ctx, &refused.head, Reason::Rejected).await {
        // There are newer ones by now.
        Ok(_) => Err(SessionError::Busy { retry_after: RETRY_SECONDS }),
        Err(error) => Err(error),
    };
    match limit_prompts::<()>(ctx, &refused.head, rejected).await {
        Ok(()) => Internal::Inconsistent("a rejected session has no error").into(),
        Err(error) => error,
    }
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
    refresh_asked(ctx, &bearer.session).await
}

/// The same for a session that its client names.
///
/// # Errors
/// [`SessionError`]; the tokens that were there still are.
pub(crate) async fn refresh_asked(ctx: &Ctx, seen: &SessionHead) -> Result<SessionHead, SessionError> {
    limit_prompts(ctx, seen, refresh(ctx, seen, Reason::Asked).await).await
}

/// Refreshes an unused session.
pub(crate) async fn refresh_unused(ctx: &Ctx, seen: &SessionHead) -> Result<SessionHead, SessionError> {
    refresh(ctx, seen, Reason::Kept).await
}

/// The session behind a token, with the tokens that were loaded when the token was checked, or else by
/// [`look_up`].
///
/// # Errors
/// [`SessionError`].
pub async fn of_bearer(ctx: &Ctx, bearer: &Bearer) -> Result<UsableSession, SessionError> {
    of_found(ctx, &bearer.session, bearer.upstream.clone()).await
}

/// A session, with the tokens that were loaded with its head, or else by [`look_up`].
pub(crate) async fn of_found(
    ctx: &Ctx,
    head: &SessionHead,
    credentials: Option<Credentials>,
) -> Result<UsableSession, SessionError> {
    let Some(credentials) = credentials else { return look_up(ctx, head).await };
    limit_prompts(ctx, head, check_state(ctx, head)).await?;
    Ok(UsableSession { head: head.clone(), credentials })
}

/// The tokens of the head that was seen, or of the one that took its place meanwhile, whatever their age.
///
/// # Errors
/// [`SessionError`].
pub async fn look_up(ctx: &Ctx, seen: &SessionHead) -> Result<UsableSession, SessionError> {
    limit_prompts(ctx, seen, current(ctx, seen).await).await
}
