//! The user's return from their authorization server: the state is consumed, then the answer is redeemed, and the
//! session stored.

use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_domain::session::UpstreamRequest;
use causeway_store::authorization::auth_requests;
use causeway_store::operations::audit::Actor;
use causeway_store::sessions::upstream_requests;
use causeway_types::{AuthRequestId, BrowserSessionId, Did, ErrorCode, OauthState, Prompt};
use url::Url;

use crate::account::proof;
use crate::authorization::consent::{self, ConsentError};
use crate::authorization::pending;
use crate::authorization::response::ClientAnswer;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::trace;
use crate::upstream::connect::failure::{ConnectFailure, SignInError};
use crate::upstream::connect::new_session::{pending_session, store_session};
use crate::upstream::connect::sign_in;
use crate::upstream::traits::{CallbackParams, Completion, ConnectError, NewConnection};

/// The next step of the sign-in.
#[derive(Debug)]
pub enum CallbackOutcome {
    /// Signed in: the user is asked for consent.
    Consent(AuthRequestId),
    /// The user has proven that an account is theirs, and goes on to this address of ours.
    Account(String),
    /// The user is sent to the authorization server once more.
    Upstream(Url),
    /// The client gets its answer: an error, or a code by remembered consent.
    Client(ClientAnswer),
}

/// Why the callback cannot be processed.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The state is unknown, expired, used, or another browser's.
    #[error("this sign-in was already completed, has expired, or was started in another browser")]
    State,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl CallbackError {
    /// The code that the page shows.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::State => ErrorCode::NonceInvalidOrReused,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Processes the authorization response. The state works once and only in the browser that it was made for.
/// Everything from there on runs to its end even when that browser disconnects: the upstream's code works
/// once, too.
///
/// # Errors
/// [`CallbackError`]: there is no client to answer.
#[tracing::instrument(name = "flow.callback", skip_all, fields(auth_request, issuer))]
pub async fn complete(
    ctx: &Ctx,
    params: CallbackParams,
    browser: &BrowserSessionId,
) -> Result<CallbackOutcome, CallbackError> {
    let state = OauthState::new(params.state.as_deref().ok_or(CallbackError::State)?);
    let (detached, browser) = (ctx.clone(), browser.clone());
    ctx.finish(async move { run(&detached, state, params, &browser).await }).await?
}

async fn run(
    ctx: &Ctx,
    state: OauthState,
    params: CallbackParams,
    browser: &BrowserSessionId,
) -> Result<CallbackOutcome, CallbackError> {
    let (upstream, request) = consume_state(ctx, state, browser).await?.ok_or(CallbackError::State)?;
    trace::correlate(request.correlation_id.as_ref());
    let span = tracing::Span::current();
    span.record("auth_request", upstream.auth_request_id.as_str());
    span.record("issuer", upstream.pending.server());
    match request.stage {
        AuthRequestStage::SignIn => {}
        // A second tab of the same sign-in: the first one's answer stands, and is shown.
        AuthRequestStage::Consent { .. } => return Ok(CallbackOutcome::Consent(request.id)),
        AuthRequestStage::Decided { .. } => return Err(CallbackError::State),
    }
    match connect(ctx, &params, &upstream, &request).await {
        Ok(()) if proof::is_for_proof(&request) => Ok(CallbackOutcome::Account(request.redirect_uri)),
        Ok(()) => Ok(match consent::allow_remembered(ctx, &request.id, browser).await {
            Ok(Some(answer)) => CallbackOutcome::Client(answer),
            Ok(None) | Err(ConsentError::Gone | ConsentError::NotSignedIn) => {
                CallbackOutcome::Consent(request.id)
            }
            Err(ConsentError::Internal(error)) => return Err(error.into()),
        }),
        Err(ConnectError::Failed(ConnectFailure::Required(required)))
            if may_ask_again(&upstream, &request) =>
        {
            match sign_in::start_again(ctx, &request, &upstream, required).await {
                Ok(url) => Ok(CallbackOutcome::Upstream(url)),
                Err(SignInError::Internal(error)) => Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the authorization server was not asked again");
                    fail(ctx, &request, &upstream, &ConnectFailure::Unavailable).await
                }
            }
        }
        Err(ConnectError::Failed(failure)) => fail(ctx, &request, &upstream, &failure).await,
        Err(ConnectError::Internal(error)) => Err(error.into()),
    }
}

/// Whether the authorization server may be asked again: once, and never with `prompt=none`.
fn may_ask_again(upstream: &UpstreamRequest, request: &AuthRequest) -> bool {
    !upstream.asked_again && !request.prompt.contains(Prompt::None)
}

/// Ends a failed sign-in with an error for the client.
async fn fail(
    ctx: &Ctx,
    request: &AuthRequest,
    upstream: &UpstreamRequest,
    failure: &ConnectFailure,
) -> Result<CallbackOutcome, CallbackError> {
    tracing::warn!(%failure, "sign-in failed");
    let event = audit::event(ctx, Actor::User, "sign_in", "failed").with("reason", failure.to_string());
    let event = event.with("issuer", upstream.pending.server());
    let refused = pending::refuse(ctx, request, event, failure.code(), &failure.to_string()).await?;
    // `None`: another tab has advanced it meanwhile, whose page is shown.
    Ok(refused.map_or_else(|| CallbackOutcome::Consent(request.id.clone()), CallbackOutcome::Client))
}

/// Consumes the state and finds the client's request behind it.
async fn consume_state(
    ctx: &Ctx,
    state: OauthState,
    browser: &BrowserSessionId,
) -> Result<Option<(UpstreamRequest, AuthRequest)>, Internal> {
    let (ring, browser, now) = (ctx.ring(), browser.clone(), ctx.now());
    ctx.store()
        .write(move |c| {
            let Some(upstream) =
                upstream_requests::consume_upstream_request(c, &ring, &state, &browser, now)?
            else {
                return Ok(None);
            };
            let request = auth_requests::find_auth_request(c, &upstream.auth_request_id, &browser, now)?;
            Ok(request.map(|request| (upstream, request)))
        })
        .await
}

/// Redeems the answer and stores the session. Credentials whose session was not stored are revoked.
async fn connect(
    ctx: &Ctx,
    answer: &CallbackParams,
    upstream: &UpstreamRequest,
    request: &AuthRequest,
) -> Result<(), ConnectError> {
    let provider = ctx.upstreams().named(upstream.pending.provider()).map_err(Internal::from)?;
    let subjects: Vec<_> = request.required_subs.iter().map(Did::as_str).collect();
    let completion = Completion {
        tenant_id: &request.tenant_id,
        pending: &upstream.pending,
        answer,
        subjects: &subjects,
        begun_at: upstream.created_at,
    };
    // Nobody but a user who is here loses anything if these tokens are lost: they are not kept before they are judged.
    let redeemed = provider.redeem(&completion).await?;
    let identified = provider.identify(&completion, &redeemed).await;
    if identified.is_err()
        && let Err(error) = provider.give_back(&request.tenant_id, &redeemed).await
    {
        tracing::warn!(%error, "unused upstream tokens were not revoked");
    }
    let NewConnection { binding, credentials, .. } = identified?;
    let head = pending_session(ctx, request, binding);
    let stored = store_session(ctx, request, &head, &credentials).await;
    if !matches!(stored, Ok(true))
        && let Err(error) = provider.revoke(&head, &credentials).await
    {
        // They are not stored, so this is tried only once.
        tracing::warn!(%error, "unused upstream tokens were not revoked");
    }
    if stored? { Ok(()) } else { Err(ConnectFailure::Overtaken.into()) }
}
