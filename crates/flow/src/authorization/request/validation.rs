//! Validation of an authorization request.

use causeway_domain::client::members::REQUIRE_SIGNED_REQUEST_OBJECT;
use causeway_domain::client::{Client, Entitlement, PkcePolicy};
use causeway_types::redirect_uri::leads_to;
use causeway_types::{CodeChallenge, GrantType, Jkt, Prompts, RedirectUri, ResponseMode, Scope};

use super::refusal::{AuthorizeError, Refusal, UnsafeRequest};
use crate::authorization::claims::{self, RequestedClaims};
use crate::authorization::new_request::ValidRequest;
use crate::authorization::parameters::AuthorizeParams;
use crate::authorization::request_object;
use crate::authorization::resources;
use crate::authorization::response::{ClientAnswer, ReplyTo};
use crate::ctx::Ctx;
use crate::token::id_token::{OPENID, ensure_keys};
use crate::token::id_token_hint;

/// Checks a request as the client sent it, and leaves the effective parameters in `params`, with the request
/// object and the `id_token_hint` resolved. Plain and pushed requests both pass through here.
pub(crate) async fn prepare(
    ctx: &Ctx,
    client: &Client,
    params: &mut AuthorizeParams,
) -> Result<ValidRequest, AuthorizeError> {
    let mut object_of = None;
    if let Some(object) = params.request.take() {
        match request_object::unfold(ctx, client, &object).await {
            Ok((unfolded, once)) => {
                *params = unfolded;
                object_of = Some(once);
            }
            Err(error) => {
                let refusal = Refusal::InvalidRequestObject(error.to_string());
                return Err(refuse(ctx, client, params, refusal));
            }
        }
    } else if client.wants(REQUIRE_SIGNED_REQUEST_OBJECT) {
        return Err(refuse(ctx, client, params, Refusal::Unprotected("signed: send request")));
    }
    if let Some(token) = params.id_token_hint.take() {
        match id_token_hint::read(ctx, &token).await? {
            Some(hint) => params.login_hint = Some(hint.did.to_string()),
            None => return Err(refuse(ctx, client, params, Refusal::IdTokenHint)),
        }
    }
    let checked = check(ctx, client, params)?;
    ensure_keys(ctx, client, &checked.scope).await?;
    Ok(ValidRequest { object: object_of, ..checked })
}

/// Checks everything but the client's identity.
pub(super) fn check(
    ctx: &Ctx,
    client: &Client,
    params: &AuthorizeParams,
) -> Result<ValidRequest, AuthorizeError> {
    let redirect_uri = registered_redirect_uri(ctx, client, params)?;
    check_rest(ctx, client, params, redirect_uri).map_err(|refusal| refuse(ctx, client, params, refusal))
}

/// Builds the error answer to the client, if its redirect URI is safe to use.
pub(super) fn refuse(
    ctx: &Ctx,
    client: &Client,
    params: &AuthorizeParams,
    refusal: Refusal,
) -> AuthorizeError {
    let redirect_uri = match registered_redirect_uri(ctx, client, params) {
        Ok(redirect_uri) => redirect_uri,
        // An unreadable request takes precedence over what is missing beside it (RFC 9101 section 7).
        Err(_) if refusal.hides_request() => return UnsafeRequest::Refused(refusal).into(),
        Err(error) => return error.into(),
    };
    let (state, issuer) = (params.state.as_deref(), ctx.issuer());
    let mode = response_mode(params).unwrap_or_default();
    let to = ReplyTo { redirect_uri, mode, state, issuer, ui_locales: params.ui_locales.as_deref() };
    let answer = ClientAnswer::error_to(to, refusal.code(), &refusal.to_string());
    AuthorizeError::Refused { refusal, answer, ask: false }
}

/// The registered redirect URI of a request. A loopback URI may have any port except this server's own.
fn registered_redirect_uri<'a>(
    ctx: &Ctx,
    client: &Client,
    params: &'a AuthorizeParams,
) -> Result<&'a str, UnsafeRequest> {
    let redirect_uri = params.redirect_uri.as_deref().ok_or(UnsafeRequest::NoRedirectUri)?;
    let is_meant = |registered: &RedirectUri| {
        registered.as_str() == redirect_uri || !leads_to(redirect_uri, ctx.issuer())
    };
    match client.find_redirect_uri(redirect_uri) {
        Some(registered) if is_meant(registered) => Ok(redirect_uri),
        _ => Err(UnsafeRequest::RedirectUri(shorten(redirect_uri))),
    }
}

fn check_rest(
    ctx: &Ctx,
    client: &Client,
    params: &AuthorizeParams,
    redirect_uri: &str,
) -> Result<ValidRequest, Refusal> {
    for (name, value, max) in [
        ("state", &params.state, 8192),
        ("nonce", &params.nonce, 512),
        ("login_hint", &params.login_hint, 512),
        ("scope", &params.scope, 8192),
        ("claims", &params.claims, claims::MAX_BYTES),
    ] {
        if value.as_ref().is_some_and(|value| value.len() > max) {
            return Err(Refusal::TooLong(name, max));
        }
    }
    match params.response_type.as_deref() {
        None | Some("") => return Err(Refusal::NoResponseType),
        Some("code") => {}
        Some(_) => return Err(Refusal::ResponseType),
    }
    let response_mode = response_mode(params)?;
    let prompt = Prompts::parse(params.prompt.as_deref().unwrap_or_default())?;
    let max_age = params.max_age.as_deref().map(parse_seconds).transpose()?.or(client.default_max_age());
    if !client.allows(GrantType::AuthorizationCode) {
        return Err(Refusal::Grant);
    }
    let code_challenge = code_challenge(params)?;
    let dpop_jkt = match params.dpop_jkt.as_deref() {
        None => None,
        Some(jkt) => Some(Jkt::parse(jkt).ok_or(Refusal::DpopJkt)?),
    };
    let claims = params.claims.as_deref().map(RequestedClaims::read).transpose();
    let claims = claims.map_err(Refusal::from)?.unwrap_or_default();
    let mut asked = params.scope.clone().unwrap_or_default();
    if claims.email || (claims.email_in_id_token && client.has_entitlement(Entitlement::IdTokenClaims)) {
        asked.push_str(" email");
    }
    let resources = resources::admit(ctx, client, &params.resource).map_err(Refusal::Target)?;
    let scope = ctx.scopes().admit(asked.trim(), client, &resources).map_err(Refusal::Scope)?;
    if code_challenge.is_none() {
        check_nonce_instead(client, params, &scope)?;
    }
    // If there are several, the user chooses.
    let required = if let [did] = &*claims.subs { Some(did.to_string()) } else { None };
    Ok(ValidRequest {
        redirect_uri: redirect_uri.to_owned(),
        scope,
        resources,
        state: params.state.clone(),
        code_challenge,
        nonce: params.nonce.clone(),
        login_hint: required.or(params.login_hint.clone()).filter(|hint| !hint.trim().is_empty()),
        response_mode,
        prompt,
        max_age,
        dpop_jkt,
        // A wish, never a reason to refuse.
        ui_locales: params.ui_locales.clone().filter(|locales| locales.len() <= 256),
        required_subs: claims.subs,
        object: None,
    })
}

/// The challenge, if the request has one.
fn code_challenge(params: &AuthorizeParams) -> Result<Option<CodeChallenge>, Refusal> {
    match (params.code_challenge.as_deref(), params.code_challenge_method.as_deref()) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Refusal::NoCodeChallenge),
        (Some(challenge), Some("S256")) => {
            CodeChallenge::parse(challenge).map(Some).map_err(|_| Refusal::CodeChallenge)
        }
        (Some(_), _) => Err(Refusal::CodeChallengeMethod),
    }
}

/// OAuth 2.1 section 7.5.1: a confidential OpenID Connect client that checks its `nonce` needs no PKCE, if
/// the operator allows it.
fn check_nonce_instead(client: &Client, params: &AuthorizeParams, scope: &Scope) -> Result<(), Refusal> {
    match client.pkce_policy() {
        PkcePolicy::Required => Err(Refusal::NoCodeChallenge),
        PkcePolicy::Nonce if params.nonce.is_some() && scope.contains(OPENID) => Ok(()),
        PkcePolicy::Nonce => Err(Refusal::NoNonce),
    }
}

fn response_mode(params: &AuthorizeParams) -> Result<ResponseMode, Refusal> {
    match params.response_mode.as_deref() {
        None => Ok(ResponseMode::default()),
        Some(mode) => ResponseMode::parse(mode).ok_or(Refusal::ResponseMode),
    }
}

/// Parses a number of seconds: 1 to 10 digits, no sign.
fn parse_seconds(text: &str) -> Result<i64, Refusal> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(Refusal::MaxAge)
}

/// Shortens client input for display, to 200 characters.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}
