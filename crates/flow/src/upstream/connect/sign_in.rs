//! Sending a user to their authorization server: what is pending is committed before they leave.

use std::sync::Arc;

use causeway_domain::authorization::{AUTH_REQUEST_SECONDS, AuthRequest, AuthRequestStage};
use causeway_domain::client::Client;
use causeway_domain::session::{ATPROTO, UpstreamRequest};
use causeway_store::events::{self, EventKind};
use causeway_store::operations::audit::Actor;
use causeway_store::sessions::upstream_requests;
use causeway_types::{
    AuthRequestId, BrowserSessionId, Did, ErrorCode, Handle, OauthState, Prompt, SignInInput,
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
use crate::upstream::connect::failure::SignInError;
use crate::upstream::connect::required::Required;
use crate::upstream::traits::{BeginRequest, Begun, Purpose, SignInRequest};

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

/// Prepares the sign-in with the account or at the server that was typed, and stores the state that the callback is
/// checked against. It is committed before the URL is returned.
///
/// # Errors
/// [`SignInError`].
#[tracing::instrument(name = "flow.sign_in", skip_all, fields(auth_request = %request.id))]
pub async fn start(ctx: &Ctx, request: &AuthRequest, typed: &str) -> Result<Url, SignInError> {
    trace::correlate(request.correlation_id.as_ref());
    send(ctx, request, typed, None).await
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

/// Sends a user once more to the same server, which has to show them something that it was not asked to.
///
/// # Errors
/// [`SignInError`].
pub(crate) async fn start_again(
    ctx: &Ctx,
    request: &AuthRequest,
    before: &UpstreamRequest,
    required: Required,
) -> Result<Url, SignInError> {
    let before = before.pending.atproto().map_err(Internal::from)?;
    send(ctx, request, before.named(), Some(required)).await
}

/// Prepares and stores; `required` is what the server had to show when it was asked the first time.
async fn send(
    ctx: &Ctx,
    request: &AuthRequest,
    named: &str,
    required: Option<Required>,
) -> Result<Url, SignInError> {
    let client = lookup::find(ctx, &request.client_id).await?.ok_or(SignInError::Gone)?;
    let state = OauthState::random(ctx.rng());
    let wanted = BeginRequest {
        client: &client,
        state: &state,
        purpose: Purpose::SignIn(SignInRequest {
            scope: &request.scope,
            named,
            is_chosen: request.login_hint.is_none(),
            login: request.prompt.contains(Prompt::Login) || request.max_age.is_some(),
            select_account: request.prompt.contains(Prompt::SelectAccount),
            required,
        }),
    };
    // Users sign in at AT Protocol servers.
    let upstream = ctx.upstreams().named(ATPROTO).map_err(Internal::from)?;
    let Begun { url, pending, asked_again, .. } = upstream.begin(&wanted).await?;
    let (now, server) = (ctx.now(), pending.server().to_owned());
    let row = UpstreamRequest {
        oauth_state: state,
        auth_request_id: request.id.clone(),
        browser_id: request.browser_id.clone(),
        pending,
        asked_again,
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
    tracing::info!(issuer = server, "user redirected to the authorization server");
    Ok(url)
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
