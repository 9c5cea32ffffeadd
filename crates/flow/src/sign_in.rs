//! Sending a person to their own server: identity resolution, then a pushed request there
//! (atproto OAuth specification, "Authorization Requests").

use crate::account;
use crate::audit;
use crate::clients;
use crate::ctx::Ctx;
use crate::error::{Class, Internal};
use crate::maintenance;
use crate::negotiate::{self, Outgoing};
use crate::open_redirect;
use crate::remember;
use crate::required::Required;
use crate::respond::ClientAnswer;
use crate::trace;
use causeway_atproto::{PushRequest, ResolveError, TokenError as UpstreamTokenError};
use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::grant::{AUTH_REQUEST_SECONDS, AuthRequest, AuthRequestStage};
use causeway_domain::identity::IdentityError;
use causeway_domain::session::UpstreamRequest;
use causeway_domain::{
    AuthRequestId, BrowserSessionId, CodeVerifier, Did, ErrorCode, Handle, OauthState, Prompt, SignInInput,
};
use causeway_jose::EcKey;
use causeway_store::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::events::{self, EventKind};
use causeway_store::{admin, auth_requests, device_codes, par, sessions, upstream_requests};
use url::Url;

/// Why a person could not be sent on. They can try again on the same page.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// What they typed is no handle, DID or server address.
    #[error("{0}")]
    Input(#[from] IdentityError),
    /// It leads nowhere, or to a contradiction.
    #[error("{0}")]
    Resolve(#[source] ResolveError),
    /// Their server did not take our request.
    #[error("{0}")]
    Upstream(#[source] UpstreamTokenError),
    /// The authorization request is over, expired, or another browser's.
    #[error("this sign-in has ended or belongs to another browser")]
    Gone,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl SignInError {
    /// Whose doing it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Internal(_) => Class::Internal,
            Self::Upstream(_) => Class::Upstream,
            Self::Resolve(error) if error.is_upstream_fault() => Class::Upstream,
            Self::Input(_) | Self::Gone | Self::Resolve(_) => Class::Client,
        }
    }

    /// What the person may know; `None` when they cannot try again.
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
        match self.class() {
            _ if matches!(self, Self::Gone) => ErrorCode::NonceInvalidOrReused,
            Class::Upstream => ErrorCode::UpstreamUnavailable,
            Class::Internal => ErrorCode::ServerError,
            _ => ErrorCode::IdentityNotFound,
        }
    }
}

/// What is wrong with a try to sign in, as far as the person may know: whose server it was and that it
/// failed, not how our network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInTrouble {
    /// Nothing was typed.
    NoInput,
    /// It begins like a DID and is none.
    NotADid,
    /// It is no handle.
    NotAHandle,
    /// It is a web address, but not that of a server.
    NotAServer,
    /// Nobody has this handle.
    UnknownHandle,
    /// Whether somebody has this handle could not be asked.
    UnansweredHandle,
    /// The handle's DNS records contradict each other.
    AmbiguousHandle,
    /// The handle's account goes by another one.
    ForeignHandle,
    /// There is no such DID.
    UnknownDid,
    /// The DID is longer than apps take.
    LongDid,
    /// The DID document cannot be used.
    BadDidDocument,
    /// The account has no server.
    NoServer,
    /// The server's metadata does not allow a safe sign-in.
    BadServer,
    /// The server, or what leads to it, does not answer.
    Unreachable,
    /// The server refused our request.
    NotAccepted,
}

/// What the sign-in page shows.
#[derive(Debug)]
pub struct SignInView {
    /// The request that it is for.
    pub request: AuthRequest,
    /// Who asks.
    pub client: Arc<Client>,
}

/// What the sign-in page of a request shows.
///
/// # Errors
/// [`SignInError::Gone`] or [`SignInError::Internal`].
pub async fn view(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<SignInView, SignInError> {
    let request = find_request(ctx, id, browser).await?;
    let client = clients::find(ctx, &request.client_id).await?.ok_or(SignInError::Gone)?;
    Ok(SignInView { request, client })
}

/// The accounts that a person is asked to choose from before they sign in: when the client asks for that, or
/// their browser knows several. Nobody is asked whom the client has named already.
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

/// A live request of this browser.
async fn find_request(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, SignInError> {
    let (id, browser, now) = (id.clone(), browser.clone(), ctx.now());
    let found = ctx
        .store()
        .read(move |c| auth_requests::find_auth_request(c, &id, &browser, now).map_err(Internal::from))
        .await?;
    trace::correlate(found.as_ref().and_then(|request| request.correlation_id.as_ref()));
    found
        .filter(|request| !matches!(request.stage, AuthRequestStage::Decided { .. }))
        .ok_or(SignInError::Gone)
}

/// Finds out where somebody's account lives, pushes a request there, and remembers what has to come
/// back. The state is committed before the address is returned.
///
/// # Errors
/// [`SignInError`].
#[tracing::instrument(name = "flow.sign_in", skip_all, fields(auth_request = %request.id))]
pub async fn start(ctx: &Ctx, request: &AuthRequest, typed: &str) -> Result<Url, SignInError> {
    trace::correlate(request.correlation_id.as_ref());
    send(ctx, request, SignInInput::parse(typed)?, None).await
}

/// The host that an account is sent to, where a page has to name it first: for a client that nobody answers for, whose
/// link must not lead straight to whatever the account's documents say (RFC 9700 section 4.11.2). `None`: it need not.
///
/// # Errors
/// [`SignInError`].
pub async fn host_to_show(
    ctx: &Ctx,
    request: &AuthRequest,
    hint: &str,
) -> Result<Option<String>, SignInError> {
    let client = clients::find(ctx, &request.client_id).await?.ok_or(SignInError::Gone)?;
    if open_redirect::is_vouched_for(&client) {
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

/// Sends somebody to the same PDS once more, which had something to show them that was not asked for.
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

/// `again`: what the PDS wanted to show when it was asked the first time.
async fn send(
    ctx: &Ctx,
    request: &AuthRequest,
    input: SignInInput,
    mut again: Option<Required>,
) -> Result<Url, SignInError> {
    let target = ctx.atproto().resolve(&input).await.map_err(SignInError::Resolve)?;
    let client = clients::find(ctx, &request.client_id).await?.ok_or(SignInError::Gone)?;
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
        match negotiate::push(ctx, outgoing).await {
            Err(SignInError::Upstream(error)) if again.is_none() => {
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
    tracing::info!(issuer = %target.server.issuer, "person sent to their server");
    Ok(pushed.authorize_url)
}

/// What the person's own server has to show them. It alone knows when they last proved who they are, so
/// a `max_age` asks for that anew. Who has named an account on our page has chosen one.
fn upstream_prompt(request: &AuthRequest, named: bool) -> Option<Prompt> {
    let chosen = named && request.login_hint.is_none();
    if wants_login(request) {
        Some(Prompt::Login)
    } else {
        (request.prompt.contains(Prompt::SelectAccount) && !chosen).then_some(Prompt::SelectAccount)
    }
}

/// What it has to show them after all. There is nothing to choose from where nobody is signed in: a PDS says so, instead
/// of showing them how to sign in.
fn prompt_again(request: &AuthRequest, required: Required) -> Prompt {
    if required == Required::Consent && !wants_login(request) { Prompt::Consent } else { Prompt::Login }
}

fn wants_login(request: &AuthRequest) -> bool {
    request.prompt.contains(Prompt::Login) || request.max_age.is_some()
}

/// The person does not want to sign in: the client is told.
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
    let act = audit::act(ctx, Actor::Person, "sign_in", "cancelled");
    if !end_request(ctx, &request, act).await? {
        return Err(SignInError::Gone);
    }
    if let AuthRequestStage::Consent { session_id } = &request.stage {
        maintenance::revoke_soon(ctx, session_id).await;
    }
    let text = "the person cancelled the sign-in";
    Ok(ClientAnswer::with_error(&request, ctx.issuer(), ErrorCode::AccessDenied, text))
}

/// Ends a request without a grant, unless it has moved on since it was read: its pushed request is
/// used up, the device that it is for is told, and a session that was made for it is over. `act`: what it is
/// written down as.
pub(crate) async fn end_request(ctx: &Ctx, request: &AuthRequest, act: AuditEvent) -> Result<bool, Internal> {
    let (request, now) = (request.clone(), ctx.now());
    let act = act.of_client(&request.client_id);
    ctx.store()
        .write(move |c| {
            if !auth_requests::decide_auth_request(c, &request.id, &request.stage)? {
                return Ok(false);
            }
            if let Some(uri) = &request.request_uri {
                par::consume_par_request(c, uri)?;
            }
            if let Some(code) = &request.device_code {
                device_codes::deny_device_code(c, code, Some(&request.id))?;
            }
            let mut act = act.clone();
            if let AuthRequestStage::Consent { session_id } = &request.stage {
                sessions::end_session(c, session_id, now)?;
                if let Some(session) = admin::find_session(c, &request.tenant_id, session_id)? {
                    // Who says no wants to be asked the next time.
                    remember::forget(c, &session)?;
                    act = act.of_session(&session);
                }
            }
            let correlation_id = request.correlation_id.as_ref();
            events::note_sign_in(c, &request.client_id, correlation_id, EventKind::Failed, now)?;
            insert_audit_event(c, &act)?;
            Ok(true)
        })
        .await
}
