//! The authorization response of the user's authorization server, and the proof that it can be trusted.
//!
//! The `sub` of a token answer is a claim of a server that may be hostile. It is trusted only when the
//! callback's `iss` is the issuer that this request was sent to (RFC 9207 section 2.4), and the DID's own
//! document leads to a PDS whose authorization server is that issuer (atproto OAuth specification, "Identity
//! Authentication"). If an account was named, it must be that one.

use causeway_atproto::{CodeExchange, Identity, ResolveError, TokenAnswer, UpstreamTokenError};
use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_domain::session::UpstreamRequest;
use causeway_jose::EcKey;
use causeway_outbound::HttpError;
use causeway_store::authorization::auth_requests;
use causeway_store::operations::audit::Actor;
use causeway_store::sessions::upstream_requests;
use causeway_types::{AuthRequestId, BrowserSessionId, Did, ErrorCode, OauthState, Prompt, Scope, Secret};
use url::Url;

use crate::account::proof;
use crate::authorization::consent::{self, ConsentError};
use crate::authorization::pending;
use crate::authorization::response::ClientAnswer;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::trace;
use crate::upstream::atproto::adapter::{credentials_of, give_back};
use crate::upstream::atproto::new_session::store_session;
use crate::upstream::atproto::required::Required;
use crate::upstream::atproto::sign_in::{self, SignInError};

/// The parameters of the response (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207 section 2).
#[derive(Clone, Debug, Default)]
pub struct CallbackParams {
    /// Our state.
    pub state: Option<String>,
    /// The code.
    pub code: Option<Secret>,
    /// The issuer that answers.
    pub iss: Option<String>,
    /// The error, instead of a code.
    pub error: Option<String>,
}

/// The next step of the sign-in.
#[derive(Debug)]
pub enum CallbackOutcome {
    /// Signed in: the user is asked for consent.
    Consent(AuthRequestId),
    /// The user has proven that an account is theirs: the account page shows it.
    Account,
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

/// Why a sign-in failed; sent to the client as an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the response came from another authorization server than the request was sent to")]
    Issuer,
    #[error("the user denied access at the authorization server")]
    Declined,
    #[error("the authorization server refused the request")]
    Refused,
    #[error("the user signed in with another account than the one requested")]
    OtherAccount,
    #[error("the account does not belong to the authorization server that named it")]
    ForeignAccount,
    #[error("the account's DID is longer than the 255 characters that apps accept")]
    LongDid,
    #[error("the authorization server sent an invalid response")]
    Malformed,
    #[error("the user's PDS or authorization server cannot be reached at the moment")]
    Unavailable,
    #[error("another tab has completed this sign-in")]
    Overtaken,
    #[error("the authorization server requires user interaction, but did not show its page when asked to")]
    Required(Required),
}

impl Failure {
    const fn code(&self) -> ErrorCode {
        match self {
            Self::Issuer
            | Self::Declined
            | Self::OtherAccount
            | Self::ForeignAccount
            | Self::LongDid
            | Self::Overtaken => ErrorCode::AccessDenied,
            Self::Refused | Self::Malformed => ErrorCode::ServerError,
            Self::Unavailable => ErrorCode::TemporarilyUnavailable,
            Self::Required(required) => required.code(),
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
    span.record("issuer", upstream.upstream.issuer.as_str());
    match request.stage {
        AuthRequestStage::SignIn => {}
        // A second tab of the same sign-in: the first one's answer stands, and is shown.
        AuthRequestStage::Consent { .. } => return Ok(CallbackOutcome::Consent(request.id)),
        AuthRequestStage::Decided { .. } => return Err(CallbackError::State),
    }
    match redeem(ctx, params, &upstream, &request).await? {
        Ok(()) if proof::is_for_proof(&request) => Ok(CallbackOutcome::Account),
        Ok(()) => Ok(match consent::allow_remembered(ctx, &request.id, browser).await {
            Ok(Some(answer)) => CallbackOutcome::Client(answer),
            Ok(None) | Err(ConsentError::Gone | ConsentError::NotSignedIn) => {
                CallbackOutcome::Consent(request.id)
            }
            Err(ConsentError::Internal(error)) => return Err(error.into()),
        }),
        Err(Failure::Required(required)) if may_ask_again(&upstream, &request) => {
            match sign_in::start_again(ctx, &request, &upstream, required).await {
                Ok(url) => Ok(CallbackOutcome::Upstream(url)),
                Err(SignInError::Internal(error)) => Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the authorization server was not asked again");
                    fail(ctx, &request, &upstream, Failure::Unavailable).await
                }
            }
        }
        Err(failure) => fail(ctx, &request, &upstream, failure).await,
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
    failure: Failure,
) -> Result<CallbackOutcome, CallbackError> {
    tracing::warn!(%failure, "sign-in failed");
    let event = audit::event(ctx, Actor::User, "sign_in", "failed").with("reason", failure.to_string());
    let event = event.with("issuer", upstream.upstream.issuer.as_str());
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

/// Redeems the upstream's code, proves the identity, stores the session.
async fn redeem(
    ctx: &Ctx,
    params: CallbackParams,
    upstream: &UpstreamRequest,
    request: &AuthRequest,
) -> Result<Result<(), Failure>, Internal> {
    let code = match read_answer(params, &upstream.upstream.issuer) {
        Ok(code) => code,
        Err(failure) => return Ok(Err(failure)),
    };
    let dpop = EcKey::from_private_jwk(&upstream.dpop_private_key)?;
    let server = match ctx.atproto().server_by_issuer(&upstream.upstream.issuer).await {
        Ok(server) => server,
        Err(error) => {
            tracing::warn!(%error, "the issuer's metadata cannot be fetched");
            return Ok(Err(Failure::Unavailable));
        }
    };
    let Some(me) = ctx.profile().identity(&upstream.upstream) else {
        return Err(Internal::Inconsistent("the client key of this sign-in is not loaded"));
    };
    let exchange = CodeExchange {
        code: &code,
        verifier: &upstream.pkce_verifier,
        redirect_uri: &upstream.upstream.redirect_uri,
        nonce: Some(upstream.nonce.as_str()).filter(|nonce| !nonce.is_empty()),
    };
    let answer = match ctx.atproto().exchange_code(&server, &me, &dpop, &exchange).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, "the upstream code was not exchanged");
            return Ok(Err(match error {
                UpstreamTokenError::OAuth { .. } => Failure::Refused,
                UpstreamTokenError::Malformed(_)
                | UpstreamTokenError::Http(
                    HttpError::NotJson | HttpError::TooLarge | HttpError::Redirected,
                ) => Failure::Malformed,
                UpstreamTokenError::Http(_) => Failure::Unavailable,
                UpstreamTokenError::Sign(error) => return Err(error.into()),
            }));
        }
    };
    let stored = match judge(&answer) {
        Ok((sub, scope)) => match prove_identity(ctx, upstream, request, sub).await {
            Ok(identity) => {
                let key = (&upstream.dpop_private_key, &*upstream.dpop_jkt);
                let credentials = credentials_of(&answer, scope.to_string(), key, ctx.now());
                let stored = store_session(ctx, upstream, request, credentials, identity).await;
                stored.map(|stored| if stored { Ok(()) } else { Err(Failure::Overtaken) })
            }
            Err(failure) => Ok(Err(failure)),
        },
        Err(problem) => {
            tracing::warn!(problem, "the tokens of a sign-in cannot be used");
            Ok(Err(Failure::Malformed))
        }
    };
    if !matches!(stored, Ok(Ok(()))) {
        give_back(ctx.atproto(), &server, &me, &dpop, &answer).await;
    }
    stored
}

/// The account and the scope that a sign-in's tokens are for; an error says why they cannot be used. Unlike
/// at a refresh, there are no earlier values to fall back on.
fn judge(answer: &TokenAnswer) -> Result<(&Did, &Scope), &'static str> {
    if let Some(flaw) = answer.flaw {
        return Err(flaw);
    }
    let sub = answer.sub.as_ref().ok_or("sub is missing")?;
    Ok((sub, answer.scope.as_ref().ok_or("scope is missing or malformed")?))
}

/// The code, if the answer comes from the server that was asked.
fn read_answer(params: CallbackParams, issuer: &str) -> Result<Secret, Failure> {
    if params.iss.as_deref() != Some(issuer) {
        return Err(Failure::Issuer);
    }
    match params.error.as_deref() {
        Some("access_denied") => Err(Failure::Declined),
        Some("temporarily_unavailable") => Err(Failure::Unavailable),
        Some(error) => Err(Required::parse(error).map_or(Failure::Refused, Failure::Required)),
        None => params.code.ok_or(Failure::Refused),
    }
}

/// Resolves the DID's own document, bypassing the cache, to the issuer that answered.
async fn prove_identity(
    ctx: &Ctx,
    upstream: &UpstreamRequest,
    request: &AuthRequest,
    sub: &Did,
) -> Result<Identity, Failure> {
    let is_expected = upstream.expected_did.as_ref().is_none_or(|expected| expected == sub);
    let is_required = request.required_subs.is_empty() || request.required_subs.contains(sub);
    if !is_expected || !is_required {
        return Err(Failure::OtherAccount);
    }
    let unavailable_or = |error: ResolveError, otherwise: Failure| {
        tracing::warn!(%error, "the account cannot be resolved");
        if error.is_upstream_fault() { Failure::Unavailable } else { otherwise }
    };
    let find = async || {
        let identity = ctx.atproto().resolve_did_fresh(sub).await.map_err(|error| match error {
            ResolveError::DidTooLong => Failure::LongDid,
            error => unavailable_or(error, Failure::ForeignAccount),
        })?;
        let server = ctx.atproto().server_of_pds(&identity.pds).await;
        let server = server.map_err(|error| unavailable_or(error, Failure::ForeignAccount))?;
        Ok::<_, Failure>((server.issuer == upstream.upstream.issuer).then_some(identity))
    };
    if let Some(identity) = find().await? {
        return Ok(identity);
    }
    // The cached authorization server of its PDS may be outdated.
    ctx.atproto().forget(sub);
    find().await?.ok_or(Failure::ForeignAccount)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error reference for app developers.
    const REFERENCE: &str = include_str!("../../../../../docs/src/reference/errors.md");

    #[test]
    fn every_failure_is_in_the_reference() {
        use Failure as F;
        let all = [
            F::Issuer,
            F::Declined,
            F::Refused,
            F::OtherAccount,
            F::ForeignAccount,
            F::LongDid,
            F::Malformed,
            F::Unavailable,
            F::Overtaken,
            F::Required(Required::Login),
        ];
        for failure in all {
            let (code, text) = (failure.code(), format!("| {failure} |"));
            let row = REFERENCE.lines().position(|line| line.contains(&text));
            let row = row.unwrap_or_else(|| panic!("{text}"));
            // A row without a code has that of the one above it.
            let codes = REFERENCE.lines().take(row + 1).filter_map(|line| line.strip_prefix("| `"));
            assert_eq!(codes.last().and_then(|rest| rest.split('`').next()), Some(code.as_str()), "{text}");
        }
    }
}
