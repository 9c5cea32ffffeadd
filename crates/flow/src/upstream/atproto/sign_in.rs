//! Sending a user to their authorization server: identity resolution, then a pushed request there
//! (atproto OAuth specification, "Authorization Requests").

use std::sync::Arc;

use causeway_atproto::{PushRequest, ResolveError, UpstreamTokenError};
use causeway_domain::authorization::{AUTH_REQUEST_SECONDS, AuthRequest, AuthRequestStage};
use causeway_domain::client::Client;
use causeway_domain::session::UpstreamRequest;
use causeway_jose::EcKey;
use causeway_store::events::{self, EventKind};
use causeway_store::operations::audit::Actor;
use causeway_store::sessions::upstream_requests;
use causeway_types::identity::IdentityError;
use causeway_types::{
    AuthRequestId, BrowserSessionId, CodeVerifier, Did, ErrorCode, Handle, OauthState, Prompt, SignInInput,
};
use url::Url;

use crate::account;
use crate::authorization::pending;
use crate::authorization::response::ClientAnswer;
use crate::client::lookup;
use crate::client::trust;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::trace;
use crate::upstream::atproto::required::Required;
use crate::upstream::atproto::scope_fallback::{self, Outgoing, PushError};

/// Why a user could not be sent to their authorization server. They can try again on the same page.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The input is not a handle, a DID or a server address.
    #[error("{0}")]
    Input(#[from] IdentityError),
    /// The input does not resolve, or resolves inconsistently.
    #[error("{0}")]
    Resolve(#[source] ResolveError),
    /// The authorization server did not accept our request.
    #[error("{0}")]
    Upstream(#[source] UpstreamTokenError),
    /// The authorization request has ended or expired, or is another browser's.
    #[error("this sign-in has ended or belongs to another browser")]
    Gone,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl SignInError {
    /// The trouble to show to the user; `None` when they cannot try again.
    pub const fn trouble(&self) -> Option<SignInTrouble> {
        use SignInTrouble as T;
        Some(match self {
            Self::Gone | Self::Internal(_) => return None,
            Self::Input(IdentityError::Empty) => T::NoInput,
            Self::Input(IdentityError::Did) => T::NotADid,
            Self::Input(IdentityError::Handle) => T::NotAHandle,
            Self::Input(IdentityError::Server) => T::NotAServer,
            Self::Resolve(ResolveError::HandleNotFound) => T::UnknownHandle,
            Self::Resolve(ResolveError::HandleAmbiguous) => T::AmbiguousHandle,
            Self::Resolve(ResolveError::HandleMismatch) => T::ForeignHandle,
            Self::Resolve(ResolveError::DidNotFound | ResolveError::DidDeactivated) => T::UnknownDid,
            Self::Resolve(ResolveError::DidTooLong) => T::LongDid,
            Self::Resolve(ResolveError::DidDocument(_)) => T::BadDidDocument,
            Self::Resolve(ResolveError::NoPds) => T::NoServer,
            Self::Resolve(ResolveError::ServerMetadata(_)) => T::BadServer,
            Self::Resolve(ResolveError::HandleUnanswered(_) | ResolveError::Dns) => T::UnansweredHandle,
            Self::Resolve(ResolveError::Http(_)) => T::Unreachable,
            Self::Upstream(_) => T::NotAccepted,
        })
    }

    /// The code that the page shows.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Gone => ErrorCode::NonceInvalidOrReused,
            Self::Internal(_) => ErrorCode::ServerError,
            Self::Upstream(_) => ErrorCode::UpstreamUnavailable,
            Self::Resolve(error) if error.is_upstream_fault() => ErrorCode::UpstreamUnavailable,
            Self::Input(_) | Self::Resolve(_) => ErrorCode::IdentityNotFound,
        }
    }
}

impl From<PushError> for SignInError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Upstream(error) => Self::Upstream(error),
            PushError::Internal(error) => Self::Internal(error),
        }
    }
}

/// Why a sign-in attempt failed, as far as it is shown to the user: whose server failed, without details of
/// our network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInTrouble {
    /// The input is empty.
    NoInput,
    /// The input begins like a DID and is none.
    NotADid,
    /// The input is not a handle.
    NotAHandle,
    /// The input is a web address, but not that of a server.
    NotAServer,
    /// No account has this handle.
    UnknownHandle,
    /// The handle could not be looked up.
    UnansweredHandle,
    /// The handle's DNS records contradict each other.
    AmbiguousHandle,
    /// The handle's account uses another handle.
    ForeignHandle,
    /// There is no such DID.
    UnknownDid,
    /// The DID is longer than apps accept.
    LongDid,
    /// The DID document cannot be used.
    BadDidDocument,
    /// The account has no PDS.
    NoServer,
    /// The server's metadata does not allow a safe sign-in.
    BadServer,
    /// The server does not answer, or a lookup on the way to it fails.
    Unreachable,
    /// The server refused our request.
    NotAccepted,
}

/// The contents of the sign-in page.
#[derive(Debug)]
pub struct SignInView {
    /// The authorization request.
    pub request: AuthRequest,
    /// The requesting client.
    pub client: Arc<Client>,
}

/// Loads the sign-in page of a request.
///
/// # Errors
/// [`SignInError::Gone`] or [`SignInError::Internal`].
pub async fn view(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<SignInView, SignInError> {
    let request = find_request(ctx, id, browser).await?;
    let client = lookup::find(ctx, &request.client_id).await?.ok_or(SignInError::Gone)?;
    Ok(SignInView { request, client })
}

/// The accounts that a user may choose from before they sign in: when the client requests that, or their
/// browser knows several. Empty when the client has already named one.
///
/// # Errors
/// When the database does not answer.
pub async fn choices(ctx: &Ctx, request: &AuthRequest) -> Result<Vec<(Did, Option<Handle>)>, Internal> {
    if request.login_hint.is_some() {
        return Ok(Vec::new());
    }
    let mut known = account::known_accounts(ctx, &request.browser_id).await?;
    if known.len() < 2 && !request.prompt.contains(Prompt::SelectAccount) {
        known.clear();
    }
    Ok(known)
}

/// Finds a live request of this browser.
async fn find_request(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, SignInError> {
    let found = pending::find(ctx, id, browser).await?;
    found
        .filter(|request| !matches!(request.stage, AuthRequestStage::Decided { .. }))
        .ok_or(SignInError::Gone)
}

/// Resolves the account or server that was typed, pushes a request to its authorization server, and stores
/// the state that the callback is checked against. It is committed before the URL is returned.
///
/// # Errors
/// [`SignInError`].
#[tracing::instrument(name = "flow.sign_in", skip_all, fields(auth_request = %request.id))]
pub async fn start(ctx: &Ctx, request: &AuthRequest, typed: &str) -> Result<Url, SignInError> {
    trace::correlate(request.correlation_id.as_ref());
    send(ctx, request, SignInInput::parse(typed)?, None).await
}

/// The host that a page has to show before the user is sent there: for a client whose identity is unknown,
/// whose link must not lead straight to whatever the account's documents say (RFC 9700 section 4.11.2).
/// `None`: no such page is needed.
///
/// # Errors
/// [`SignInError`].
pub async fn host_to_show(
    ctx: &Ctx,
    request: &AuthRequest,
    hint: &str,
) -> Result<Option<String>, SignInError> {
    let client = lookup::find(ctx, &request.client_id).await?.ok_or(SignInError::Gone)?;
    if trust::is_vouched_for(&client) {
        return Ok(None);
    }
    let target = ctx.atproto().resolve(&SignInInput::parse(hint)?).await.map_err(SignInError::Resolve)?;
    let issuer = target.server.issuer;
    let host = Url::parse(&issuer).ok().and_then(|url| {
        let host = url.host_str()?.to_owned();
        Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
    });
    Ok(Some(host.unwrap_or(issuer)))
}

/// Sends a user once more to the same PDS, which has to show them something that it was not asked to.
///
/// # Errors
/// [`SignInError`].
pub(crate) async fn start_again(
    ctx: &Ctx,
    request: &AuthRequest,
    before: &UpstreamRequest,
    required: Required,
) -> Result<Url, SignInError> {
    let input = match (&before.typed_handle, &before.expected_did) {
        (Some(handle), _) => SignInInput::Handle(handle.clone()),
        (None, Some(did)) => SignInInput::Did(did.clone()),
        (None, None) => SignInInput::parse(&before.upstream.issuer)?,
    };
    send(ctx, request, input, Some(required)).await
}

/// Resolves, pushes and stores; `again` is what the PDS had to show when it was asked the first time.
async fn send(
    ctx: &Ctx,
    request: &AuthRequest,
    input: SignInInput,
    mut again: Option<Required>,
) -> Result<Url, SignInError> {
    let target = ctx.atproto().resolve(&input).await.map_err(SignInError::Resolve)?;
    let client = lookup::find(ctx, &request.client_id).await?.ok_or(SignInError::Gone)?;
    let dpop = EcKey::generate().map_err(Internal::from)?;
    let verifier = CodeVerifier::random(ctx.rng());
    let state = OauthState::random(ctx.rng());
    let login_hint = match (&input, &target.identity) {
        (SignInInput::Handle(handle), _) => Some(handle.to_string()),
        (_, Some(identity)) => Some(identity.did.to_string()),
        (_, None) => None,
    };
    let push = PushRequest {
        redirect_uri: ctx.profile().redirect_uri().to_owned(),
        scope: request.scope.clone(),
        state: state.clone(),
        code_challenge: verifier.challenge(),
        login_hint,
        prompt: None,
    };
    let pds = target.identity.as_ref().map(|identity| identity.pds.as_str());
    let (upstream, pushed) = loop {
        let prompt = match again {
            None => upstream_prompt(request, target.identity.is_some()),
            Some(required) => Some(prompt_again(request, required)),
        };
        let push = PushRequest { prompt: prompt.map(|prompt| prompt.as_str().to_owned()), ..push.clone() };
        let outgoing = Outgoing { client: &client, server: &target.server, pds, dpop: &dpop, push };
        match scope_fallback::push(ctx, outgoing).await {
            Err(PushError::Upstream(error)) if again.is_none() => {
                again =
                    Some(error.oauth_error().and_then(Required::parse).ok_or(SignInError::Upstream(error))?);
            }
            pushed => break pushed?,
        }
    };
    let now = ctx.now();
    let row = UpstreamRequest {
        oauth_state: state,
        auth_request_id: request.id.clone(),
        browser_id: request.browser_id.clone(),
        upstream,
        typed_handle: match input {
            SignInInput::Handle(handle) => Some(handle),
            _ => None,
        },
        expected_did: target.identity.map(|identity| identity.did),
        nonce: pushed.dpop_nonce.unwrap_or_default(),
        pkce_verifier: verifier,
        dpop_private_key: dpop.private_jwk(),
        dpop_jkt: dpop.thumbprint().to_owned(),
        asked_again: again.is_some(),
        created_at: now,
        expires_at: now.plus(AUTH_REQUEST_SECONDS),
    };
    let ring = ctx.ring();
    let (client_id, correlation_id) = (client.client_id.clone(), request.correlation_id.clone());
    ctx.store()
        .write(move |c| {
            upstream_requests::insert_upstream_request(c, &ring, &row)?;
            events::note_sign_in(c, &client_id, correlation_id.as_ref(), EventKind::Started, now)
                .map_err(Internal::from)
        })
        .await?;
    tracing::info!(issuer = %target.server.issuer, "user redirected to the authorization server");
    Ok(pushed.authorize_url)
}

/// The `prompt` for the authorization server. It alone knows when the user last authenticated, so `max_age`
/// requests a new login. A user who has named an account on our page has already selected one.
fn upstream_prompt(request: &AuthRequest, named: bool) -> Option<Prompt> {
    let chosen = named && request.login_hint.is_none();
    if wants_login(request) {
        Some(Prompt::Login)
    } else {
        (request.prompt.contains(Prompt::SelectAccount) && !chosen).then_some(Prompt::SelectAccount)
    }
}

/// The `prompt` for a second attempt. Account selection is never repeated: where no user is signed in, a PDS
/// answers it with an error instead of showing a login.
fn prompt_again(request: &AuthRequest, required: Required) -> Prompt {
    if required == Required::Consent && !wants_login(request) { Prompt::Consent } else { Prompt::Login }
}

fn wants_login(request: &AuthRequest) -> bool {
    request.prompt.contains(Prompt::Login) || request.max_age.is_some()
}

/// Cancels a sign-in at the user's wish; returns the error for the client.
///
/// # Errors
/// [`SignInError::Gone`] or [`SignInError::Internal`].
#[tracing::instrument(name = "flow.sign_in.cancel", skip_all, fields(auth_request = %id))]
pub async fn cancel(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<ClientAnswer, SignInError> {
    let request = find_request(ctx, id, browser).await?;
    let event = audit::event(ctx, Actor::User, "sign_in", "cancelled");
    let (code, text) = (ErrorCode::AccessDenied, "the user cancelled the sign-in");
    pending::refuse(ctx, &request, event, code, text).await?.ok_or(SignInError::Gone)
}
