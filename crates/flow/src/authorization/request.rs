//! The authorization request (RFC 6749 section 4.1.1, OAuth 2.1 section 4.1.1).
//!
//! Errors in the client or its redirect URI are shown to the user and never redirected; all others go to the
//! client (RFC 6749 section 4.1.2.1).

use std::sync::Arc;

use causeway_domain::authorization::PromptError;
use causeway_domain::client::{Client, Entitlement, GrantType};
use causeway_domain::grant::{AUTH_REQUEST_SECONDS, AuthRequest, AuthRequestStage};
use causeway_domain::redirect_uri::leads_to;
use causeway_domain::{
    AccessTokenFormat, AuthRequestId, BrowserSessionId, ClientId, CodeChallenge, CorrelationId, Did,
    ErrorCode, Jkt, PkcePolicy, Prompts, RedirectUri, ReplayKey, RequestUri, Resources, ResponseMode, Scope,
    Timestamp,
};
use causeway_store::StoreError;
use causeway_store::authorization::auth_requests;
use causeway_store::authorization::par;
use serde::{Deserialize, Serialize};

use crate::authorization::claims::{self, ClaimsError, RequestedClaims};
use crate::authorization::open_redirect;
use crate::authorization::request_object::{self, RequestObjectError};
use crate::authorization::resources;
use crate::authorization::response::{ClientAnswer, ReplyTo};
use crate::client::document::{self, FindError, StoreDocumentError};
use crate::client::document_fetch::DocumentTrouble;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;
use crate::operations::limits::{self, RateLimitedAction, TooMany};
use crate::operations::trace;
use crate::token::id_token::OPENID;
use crate::token::id_token_hint;

/// The parameters of an authorization request as received, each at most once except `resource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are the specifications' own")]
pub struct AuthorizeParams {
    pub client_id: Option<String>,
    pub redirect_uri: Option<String>,
    pub response_type: Option<String>,
    pub response_mode: Option<String>,
    pub scope: Option<String>,
    pub resource: Vec<String>,
    pub state: Option<String>,
    pub code_challenge: Option<String>,
    pub code_challenge_method: Option<String>,
    pub nonce: Option<String>,
    pub login_hint: Option<String>,
    pub prompt: Option<String>,
    pub max_age: Option<String>,
    pub id_token_hint: Option<String>,
    pub dpop_jkt: Option<String>,
    pub ui_locales: Option<String>,
    pub claims: Option<String>,
    pub request_uri: Option<String>,
    pub request: Option<String>,
}

/// Errors in the client or the redirect URI: shown to the user, never redirected.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeRequest {
    /// No `client_id`.
    #[error("client_id is missing")]
    NoClientId,
    /// A `client_id` that is not registered.
    #[error("no client of this name is registered here: {0}")]
    UnknownClient(String),
    /// The client document is invalid or unavailable.
    #[error(transparent)]
    Document(#[from] DocumentTrouble),
    /// No `redirect_uri`.
    #[error("redirect_uri is missing: name one of the registered ones")]
    NoRedirectUri,
    /// A `redirect_uri` that the client did not register.
    #[error("redirect_uri is not registered for this client: {0}")]
    RedirectUri(String),
    /// A `request_uri` that is unknown, expired, consumed, or another client's.
    #[error("request_uri is unknown, has expired, or was used: push the request again")]
    RequestUri,
    /// Any other error, when no redirect URI is usable because it may be inside the unreadable request.
    #[error(transparent)]
    Refused(Refusal),
}

impl UnsafeRequest {
    /// The code that the page shows, and the answer of the PAR endpoint.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownClient(_) => ErrorCode::InvalidClient,
            Self::Document(trouble) => trouble.code(),
            Self::RequestUri => ErrorCode::InvalidRequestUri,
            Self::Refused(refusal) => refusal.code(),
            Self::NoClientId | Self::NoRedirectUri | Self::RedirectUri(_) => ErrorCode::InvalidRequest,
        }
    }
}

/// Errors in the rest of the request, sent to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `response_type`.
    #[error("response_type is missing: use code")]
    NoResponseType,
    /// A `response_type` other than `code`.
    #[error("response_type is not supported: use code")]
    ResponseType,
    /// An unknown `response_mode`.
    #[error("response_mode is not supported: use query, fragment or form_post")]
    ResponseMode,
    /// An unknown `prompt`, or `none` beside another.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// An `id_token_hint` that we did not sign.
    #[error("id_token_hint is not an id_token of this issuer")]
    IdTokenHint,
    /// A `claims` parameter that cannot be read.
    #[error("{0}")]
    Claims(String),
    /// An essential `acr`, which this server cannot vouch for (OpenID Connect Core section 5.5.1.1).
    #[error(
        "claims asks for an essential acr, and this server cannot say how a person signed in: leave it out"
    )]
    Acr,
    /// A `max_age` that is not a number of seconds.
    #[error("max_age must be a whole number of seconds")]
    MaxAge,
    /// The client did not register the authorization code grant.
    #[error("this client is not registered for the authorization_code grant")]
    Grant,
    /// PKCE is missing (RFC 7636 section 4.4.1).
    #[error("code_challenge is missing: PKCE with the method S256 is required")]
    NoCodeChallenge,
    /// Neither PKCE nor its permitted substitute (OAuth 2.1 section 7.5.1).
    #[error("code_challenge is missing: without PKCE this client has to send a nonce and the scope openid")]
    NoNonce,
    /// A challenge method other than `S256`.
    #[error("code_challenge_method must be S256: plain is not supported")]
    CodeChallengeMethod,
    /// A challenge that is not a SHA-256 hash.
    #[error("code_challenge must be the 43 characters of base64url(SHA-256(code_verifier))")]
    CodeChallenge,
    /// A `dpop_jkt` that is not a thumbprint (RFC 9449 section 10).
    #[error("dpop_jkt must be the 43 characters of a SHA-256 JWK thumbprint in base64url")]
    DpopJkt,
    /// A scope that is malformed or not available.
    #[error("scope: {0}")]
    Scope(String),
    /// A resource that is malformed or not available (RFC 8707 section 2).
    #[error("{0}")]
    Target(String),
    /// The client registered that its requests are signed, or pushed.
    #[error("this client has registered that its requests are {0}")]
    Unprotected(&'static str),
    /// A request object (RFC 9101) that is not accepted.
    #[error("{0}")]
    InvalidRequestObject(String),
    /// A `request_uri` of the client's own (OpenID Connect Core section 6.2).
    #[error("request_uri must be one of this server's: push the request, or send it in request")]
    RequestUriNotSupported,
    /// A parameter that is longer than it may be.
    #[error("{0} is longer than {1} characters")]
    TooLong(&'static str, usize),
}

impl Refusal {
    /// Whether the request itself could not be read, so that its redirect URI may be inside it.
    const fn hides_request(&self) -> bool {
        matches!(self, Self::InvalidRequestObject(_) | Self::RequestUriNotSupported)
    }

    /// The code of RFC 6749 section 4.1.2.1.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::ResponseType => ErrorCode::UnsupportedResponseType,
            Self::Acr => ErrorCode::UnmetAuthenticationRequirements,
            Self::Grant => ErrorCode::UnauthorizedClient,
            Self::Scope(_) => ErrorCode::InvalidScope,
            Self::Target(_) => ErrorCode::InvalidTarget,
            Self::InvalidRequestObject(_) => ErrorCode::InvalidRequestObject,
            Self::RequestUriNotSupported => ErrorCode::RequestUriNotSupported,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

impl From<ClaimsError> for Refusal {
    fn from(error: ClaimsError) -> Self {
        match error {
            ClaimsError::Acr => Self::Acr,
            ClaimsError::Form | ClaimsError::Sub => Self::Claims(error.to_string()),
        }
    }
}

/// Why an authorization request did not begin.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Shown to the user.
    #[error(transparent)]
    Unsafe(#[from] UnsafeRequest),
    /// Sent to the client.
    #[error("{refusal}")]
    Refused {
        /// The error.
        refusal: Refusal,
        /// The error answer to the client.
        answer: ClientAnswer,
        /// Whether the user has to be asked before the redirect.
        ask: bool,
    },
    /// Too many requests were begun: this one is not stored.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreDocumentError> for AuthorizeError {
    fn from(error: StoreDocumentError) -> Self {
        match error {
            StoreDocumentError::TooMany(error) => error.into(),
            StoreDocumentError::Internal(error) => error.into(),
        }
    }
}

impl From<StoreError> for AuthorizeError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// A request that passed all checks, not yet bound to a browser.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    redirect_uri: String,
    scope: Scope,
    resources: Resources,
    state: Option<String>,
    code_challenge: Option<CodeChallenge>,
    nonce: Option<String>,
    login_hint: Option<String>,
    response_mode: ResponseMode,
    prompt: Prompts,
    max_age: Option<i64>,
    dpop_jkt: Option<Jkt>,
    ui_locales: Option<String>,
    required_subs: Vec<Did>,
    /// The request object that it came in.
    pub(crate) object: Option<ReplayKey>,
}

/// Begins an authorization request: checks it, stores it, binds it to the browser.
///
/// A pushed request that this browser has begun before is found again until a decision is made.
///
/// # Errors
/// [`AuthorizeError`].
#[tracing::instrument(name = "flow.authorize", skip_all, fields(client_id = params.client_id.as_deref()))]
pub async fn begin(
    ctx: &Ctx,
    mut params: AuthorizeParams,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, AuthorizeError> {
    let client = find_client(ctx, &params).await?;
    match begin_for(ctx, Arc::clone(&client), &mut params, browser).await {
        Err(AuthorizeError::Refused { refusal, answer, .. }) => {
            let silent = open_redirect::is_prompt_none(params.prompt.as_deref().unwrap_or_default());
            let ask = open_redirect::needs_asking(ctx, &client, silent, &answer, browser).await?;
            Err(AuthorizeError::Refused { refusal, answer, ask })
        }
        done => done,
    }
}

async fn begin_for(
    ctx: &Ctx,
    client: Arc<Client>,
    params: &mut AuthorizeParams,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, AuthorizeError> {
    if let Some(request_uri) = &params.request_uri {
        return match RequestUri::parse(request_uri) {
            Some(request_uri) => begin_pushed(ctx, client, request_uri, browser).await,
            None => Err(refuse(ctx, &client, params, Refusal::RequestUriNotSupported)),
        };
    }
    let correlation_id = Some(CorrelationId::random(ctx.rng()));
    trace::correlate(correlation_id.as_ref());
    if client.wants("require_pushed_authorization_requests") {
        let refusal = Refusal::Unprotected("pushed: send request_uri");
        return Err(refuse(ctx, &client, params, refusal));
    }
    let mut checked = prepare(ctx, &client, params).await?;
    limits::permit(ctx, RateLimitedAction::Authorization, Some(&client.client_id), trace::origin().1)?;
    document::store_loopback(ctx, &client).await?;
    let object = checked.object.take();
    let id = AuthRequestId::issued(ctx.rng(), ctx.unix_millis());
    let mut request = checked.into_request(id, &client, browser, None, ctx.now());
    request.correlation_id = correlation_id;
    let row = request.clone();
    let stored = ctx
        .store()
        .write(move |c| {
            let is_new =
                object.as_ref().map(|once| request_object::consume(c, once, &row.browser_id)).transpose()?;
            if is_new != Some(false) {
                auth_requests::insert_auth_request(c, &row)?;
            }
            Ok::<_, Internal>(is_new)
        })
        .await;
    match stored {
        Ok(Some(false)) => {
            let refusal = Refusal::InvalidRequestObject(RequestObjectError::Replayed.to_string());
            Err(refuse(ctx, &client, params, refusal))
        }
        // The client was deleted a moment ago.
        Err(error) if error.is_dangling() => {
            Err(UnsafeRequest::UnknownClient(request.client_id.into_string()).into())
        }
        done => Ok(done.map(|_| request)?),
    }
}

/// Begins with a pushed request (RFC 9126 section 4): it is bound to the first browser that presents it, and
/// a reload there finds the same request again.
async fn begin_pushed(
    ctx: &Ctx,
    client: Arc<Client>,
    request_uri: RequestUri,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, AuthorizeError> {
    let (now, id, browser) =
        (ctx.now(), AuthRequestId::issued(ctx.rng(), ctx.unix_millis()), browser.clone());
    let rules = ctx.clone();
    let bound = ctx
        .store()
        .write(move |c| {
            let Some(pushed) = par::find_par_request(c, &client.client_id, &request_uri, now)? else {
                return Ok(None);
            };
            if let Some(bound) = &pushed.auth_request_id {
                return Ok(auth_requests::find_auth_request(c, bound, &browser, now)?);
            }
            if !par::bind_par_request(c, &request_uri, &id)? {
                // Another browser was first, between the read and the update.
                return Ok(None);
            }
            let params: AuthorizeParams = serde_json::from_str(&pushed.authorization_request)
                .map_err(|_| Internal::Inconsistent("a pushed request does not parse"))?;
            let checked = check(&rules, &client, &params)?;
            let mut request =
                checked.into_request(id.clone(), &client, &browser, Some(request_uri.clone()), now);
            request.correlation_id = pushed.correlation_id;
            auth_requests::insert_auth_request(c, &request)?;
            Ok::<_, AuthorizeError>(Some(request))
        })
        .await?;
    trace::correlate(bound.as_ref().and_then(|request| request.correlation_id.as_ref()));
    // Once decided, the `request_uri` is consumed.
    bound
        .filter(|request| !matches!(request.stage, AuthRequestStage::Decided { .. }))
        .ok_or(AuthorizeError::Unsafe(UnsafeRequest::RequestUri))
}

async fn find_client(ctx: &Ctx, params: &AuthorizeParams) -> Result<Arc<Client>, AuthorizeError> {
    let client_id =
        params.client_id.as_deref().filter(|id| !id.is_empty()).ok_or(UnsafeRequest::NoClientId)?;
    let client = match document::find(ctx, &ClientId::new(client_id)).await {
        Err(FindError::Document(trouble)) => return Err(UnsafeRequest::from(trouble).into()),
        Err(FindError::Internal(error)) => return Err(error.into()),
        Ok(client) => client,
    };
    Ok(client.ok_or_else(|| UnsafeRequest::UnknownClient(shorten(client_id)))?)
}

/// Checks a request as the client sent it, and leaves the effective parameters in `params`, with the request
/// object and the `id_token_hint` resolved. Plain and pushed requests both pass through here.
pub(crate) async fn prepare(
    ctx: &Ctx,
    client: &Client,
    params: &mut AuthorizeParams,
) -> Result<Checked, AuthorizeError> {
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
    } else if client.wants("require_signed_request_object") {
        return Err(refuse(ctx, client, params, Refusal::Unprotected("signed: send request")));
    }
    if let Some(token) = params.id_token_hint.take() {
        match id_token_hint::read(ctx, &token).await? {
            Some(hint) => params.login_hint = Some(hint.did.to_string()),
            None => return Err(refuse(ctx, client, params, Refusal::IdTokenHint)),
        }
    }
    let checked = check(ctx, client, params)?;
    if checked.scope.contains(OPENID) || client.access_token_format() == AccessTokenFormat::Jwt {
        issuer_keys::ensure(ctx).await?;
    }
    Ok(Checked { object: object_of, ..checked })
}

/// Checks everything but the client's identity.
fn check(ctx: &Ctx, client: &Client, params: &AuthorizeParams) -> Result<Checked, AuthorizeError> {
    let redirect_uri = registered_redirect_uri(ctx, client, params)?;
    check_rest(ctx, client, params, redirect_uri).map_err(|refusal| refuse(ctx, client, params, refusal))
}

/// Builds the error answer to the client, if its redirect URI is safe to use.
fn refuse(ctx: &Ctx, client: &Client, params: &AuthorizeParams, refusal: Refusal) -> AuthorizeError {
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
) -> Result<Checked, Refusal> {
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
    Ok(Checked {
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

impl Checked {
    fn into_request(
        self,
        id: AuthRequestId,
        client: &Client,
        browser: &BrowserSessionId,
        request_uri: Option<RequestUri>,
        now: Timestamp,
    ) -> AuthRequest {
        AuthRequest {
            id,
            tenant_id: client.tenant_id.clone(),
            client_id: client.client_id.clone(),
            redirect_uri: self.redirect_uri,
            scope: self.scope,
            resources: self.resources,
            state: self.state,
            code_challenge: self.code_challenge,
            nonce: self.nonce,
            login_hint: self.login_hint,
            response_mode: self.response_mode,
            prompt: self.prompt,
            max_age: self.max_age,
            dpop_jkt: self.dpop_jkt,
            ui_locales: self.ui_locales,
            required_subs: self.required_subs,
            browser_id: browser.clone(),
            request_uri,
            device_code: None,
            stage: AuthRequestStage::SignIn,
            correlation_id: None,
            created_at: now,
            expires_at: now.plus(AUTH_REQUEST_SECONDS),
        }
    }
}

/// Shortens client input for display, to 200 characters.
fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}
