//! The session at a person's own server: what the client may know of it, and its refresh.
//!
//! An upstream refresh token works once, and a PDS that sees one twice ends the session. So at most
//! one refresh of a session is under way in the whole deployment: within this process by a lock,
//! between processes by a fenced lease in the database that outlives every timeout of the request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use causeway_atproto::{ResolveError, TokenAnswer};
use causeway_domain::session::{SessionHead, TokenSet};
use causeway_domain::{ErrorCode, Scope, SessionState, UpstreamSessionId};
use causeway_jose::EcKey;
use causeway_store::sessions;
use tracing::Instrument as _;

use crate::access::Bearer;
use crate::callback::token_set;
use crate::ctx::Ctx;
use crate::error::{Class, Internal};

/// Seconds that a lease lasts: longer than everything that a refresh does can take.
const LEASE_SECONDS: i64 = 60;
/// Seconds after which a retry makes sense when the person's server names none.
const RETRY_SECONDS: u64 = 5;
/// How often the answer of a refresh is offered to a database that does not take it.
const COMMIT_TRIES: u32 = 100;
/// How long to wait before it is offered again.
const COMMIT_PAUSE: Duration = Duration::from_millis(200);
/// How often a process that lost the lease looks whether the winner is done.
const LEASE_POLL: Duration = Duration::from_millis(50);
/// How long it looks before it gives up.
const LEASE_PATIENCE: Duration = Duration::from_secs(20);

/// Why a session was not refreshed. Nothing of it is lost.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The person's server ended it, or the account moved away.
    #[error("the session at the person's server has ended: send them through sign-in again")]
    ReauthRequired,
    /// The person's server does not answer; the session stays as it is.
    #[error("the person's server cannot be reached at the moment: try again later")]
    Unavailable {
        /// Seconds after which a retry makes sense.
        retry_after: u64,
    },
    /// The session is over.
    #[error("the access token is unknown, expired or revoked")]
    Ended,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl SessionError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::ReauthRequired => ErrorCode::ReauthRequired,
            Self::Unavailable { .. } => ErrorCode::UpstreamUnavailable,
            Self::Ended => ErrorCode::InvalidToken,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }

    /// Whose doing it is.
    pub const fn class(&self) -> Class {
        match self {
            Self::ReauthRequired | Self::Ended => Class::Denied,
            Self::Unavailable { .. } => Class::Upstream,
            Self::Internal(_) => Class::Internal,
        }
    }

    const UNAVAILABLE: Self = Self::Unavailable { retry_after: RETRY_SECONDS };
}

/// Locks of the refreshes under way in this process.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<UpstreamSessionId, Weak<tokio::sync::Mutex<()>>>>);

impl Flights {
    fn lock_of(&self, id: &UpstreamSessionId) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = flights.get(id).and_then(Weak::upgrade) {
            return lock;
        }
        flights.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        flights.insert(id.clone(), Arc::downgrade(&lock));
        lock
    }
}

/// Refreshes the upstream session behind a token now, and returns its new head.
///
/// Callers that come while a refresh is under way share its result. It runs to its end even when
/// the caller hangs up: the answer must not be lost.
///
/// # Errors
/// [`SessionError`]; the tokens that were there still are.
#[tracing::instrument(name = "flow.session.refresh", skip_all, fields(session = %bearer.session.session_id))]
pub async fn refresh_upstream(ctx: &Ctx, bearer: &Bearer) -> Result<SessionHead, SessionError> {
    let (ctx, seen) = (ctx.clone(), bearer.session.clone());
    let task = tokio::spawn(async move { fly(&ctx, &seen).await }.in_current_span());
    task.await.map_err(Internal::from)?
}

/// One refresh from the iteration that the caller saw: whoever comes second finds it done.
async fn fly(ctx: &Ctx, seen: &SessionHead) -> Result<SessionHead, SessionError> {
    let lock = ctx.flights().lock_of(&seen.session_id);
    let _flight = lock.lock().await;
    let holder = ctx.rng().base64url::<12>();
    let started = tokio::time::Instant::now();
    loop {
        let head = find_head(ctx, seen).await?;
        match head.state_at(ctx.now()) {
            SessionState::Active => {}
            SessionState::ReauthRequired => return Err(SessionError::ReauthRequired),
            SessionState::Pending | SessionState::Ended => return Err(SessionError::Ended),
        }
        if head.iteration > seen.iteration {
            return Ok(head);
        }
        if let Some(fence) = acquire(ctx, &head, &holder).await? {
            let outcome = refresh_leased(ctx, &head, fence).await;
            release(ctx, &head, fence).await;
            tracing::info!(
                session.iteration = head.iteration,
                session.kind = head.kind.as_str(),
                refresh.outcome =
                    outcome.as_ref().map_or_else(|error| error.code().as_str(), |()| "refreshed"),
                "upstream refresh"
            );
            outcome?;
            return find_head(ctx, seen).await;
        }
        if started.elapsed() > LEASE_PATIENCE {
            return Err(SessionError::UNAVAILABLE);
        }
        tokio::time::sleep(LEASE_POLL).await;
    }
}

async fn find_head(ctx: &Ctx, seen: &SessionHead) -> Result<SessionHead, SessionError> {
    let (tenant, id, kind) = (seen.tenant_id.clone(), seen.session_id.clone(), seen.kind);
    ctx.store()
        .read(move |c| sessions::find_session(c, &tenant, &id, kind).map_err(Internal::from))
        .await?
        .ok_or(SessionError::Ended)
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

async fn refresh_leased(ctx: &Ctx, head: &SessionHead, fence: i64) -> Result<(), SessionError> {
    let (ring, id, iteration) = (ctx.ring(), head.session_id.clone(), head.iteration);
    let tokens = ctx
        .store()
        .read(move |c| sessions::find_token_set(c, &ring, &id, iteration).map_err(Internal::from))
        .await?
        .ok_or(Internal::Inconsistent("the head's token set is gone"))?;
    let Some(refresh_token) = &tokens.refresh_token else {
        return require_reauth(ctx, head).await;
    };
    if moved_away(ctx, head).await? {
        tracing::warn!("the account moved to another server");
        return require_reauth(ctx, head).await;
    }
    let server = ctx.atproto().server_by_issuer(&head.upstream.issuer).await.map_err(|error| {
        tracing::warn!(%error, "no metadata of the issuer");
        SessionError::UNAVAILABLE
    })?;
    let me = ctx
        .upstream()
        .identity(&head.upstream)
        .ok_or(Internal::Inconsistent("the client key of this session is not loaded"))?;
    let dpop = EcKey::from_private_jwk(&tokens.dpop_key).map_err(Internal::from)?;
    match ctx.atproto().refresh(&server, &me, &dpop, refresh_token).await {
        Ok(answer) if answer.sub == head.did => {
            let advanced = advance(ctx, head, fence, &tokens, &answer).await;
            if let Err(SessionError::Ended) = &advanced {
                // Ended while the answer was under way: nobody holds the new tokens, so they go back.
                let token = answer.refresh_token.as_ref().unwrap_or(&answer.access_token);
                if let Err(error) = ctx.atproto().revoke(&server, &me, &dpop, token).await {
                    tracing::warn!(%error, "unused upstream tokens were not revoked");
                }
            }
            advanced
        }
        Ok(_) => {
            tracing::error!("a refresh answered with another account");
            require_reauth(ctx, head).await
        }
        Err(error) if error.is_invalid_grant() => {
            // Somebody else may have rotated it: only the head tells.
            let now = find_head(ctx, head).await?;
            if now.iteration > head.iteration { Ok(()) } else { require_reauth(ctx, head).await }
        }
        Err(error) => {
            tracing::warn!(%error, "upstream refresh failed; everything is kept");
            Err(SessionError::Unavailable { retry_after: error.retry_after().unwrap_or(RETRY_SECONDS) })
        }
    }
}

/// Whether the account's own document now leads to another authorization server. A lookup that
/// fails says nothing about the account: the verified binding goes on.
async fn moved_away(ctx: &Ctx, head: &SessionHead) -> Result<bool, Internal> {
    let current: Result<String, ResolveError> = async {
        let identity = ctx.atproto().resolve_did(&head.did).await?;
        Ok(ctx.atproto().server_of_pds(&identity.pds).await?.issuer)
    }
    .await;
    match current {
        Ok(issuer) => Ok(issuer != head.upstream.issuer),
        Err(error) => {
            tracing::warn!(%error, "the account does not resolve at the moment");
            Ok(false)
        }
    }
}

/// Commits the answer before anybody uses it.
async fn advance(
    ctx: &Ctx,
    head: &SessionHead,
    fence: i64,
    old: &TokenSet,
    answer: &TokenAnswer,
) -> Result<(), SessionError> {
    let now = ctx.now();
    let mut fresh = token_set(answer, &old.dpop_key, &old.dpop_jkt, now);
    if fresh.refresh_token.is_none() {
        fresh.refresh_token.clone_from(&old.refresh_token);
    }
    let mut tries = 0;
    let advanced = loop {
        let (ring, id, from, fresh) = (ctx.ring(), head.session_id.clone(), head.iteration, fresh.clone());
        let written = ctx
            .store()
            .write(move |c| {
                sessions::advance_session(c, &ring, &id, from, fence, &fresh, now).map_err(Internal::from)
            })
            .await;
        match written {
            // The old refresh token is spent: giving up now would lose the session.
            Err(error) if error.is_retryable() && tries < COMMIT_TRIES => {
                tracing::warn!(%error, "the answer of a refresh is not committed yet");
                tries += 1;
                tokio::time::sleep(COMMIT_PAUSE).await;
            }
            done => break done?,
        }
    };
    if advanced { Ok(()) } else { Err(SessionError::Ended) }
}

/// The person has to sign in again.
async fn require_reauth(ctx: &Ctx, head: &SessionHead) -> Result<(), SessionError> {
    let (id, iteration) = (head.session_id.clone(), head.iteration);
    ctx.store().write(move |c| sessions::require_reauth(c, &id, iteration).map_err(Internal::from)).await?;
    Err(SessionError::ReauthRequired)
}

/// What a client may know of the session behind its token.
#[derive(Debug)]
pub struct SessionView {
    /// The session as it stands.
    pub head: SessionHead,
    /// Its state now.
    pub state: SessionState,
    /// What the token allows.
    pub scope: Scope,
    /// The upstream token set that the token came from.
    pub session_iteration: Option<i64>,
    /// When our access token ends.
    pub token_expires_at: causeway_domain::Timestamp,
}

/// Shows the session behind a token; `head` when it has moved since the token was checked.
pub fn view(ctx: &Ctx, bearer: &Bearer, head: Option<SessionHead>) -> SessionView {
    let head = head.unwrap_or_else(|| bearer.session.clone());
    SessionView {
        state: head.state_at(ctx.now()),
        scope: bearer.token.scope.clone(),
        session_iteration: bearer.token.session_iteration,
        token_expires_at: bearer.token.expires_at,
        head,
    }
}
