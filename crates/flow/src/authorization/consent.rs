//! The user's consent.

use causeway_domain::authorization::device::{DeviceGrant, DeviceStage};
use causeway_domain::authorization::{AuthRequest, AuthRequestStage, CODE_SECONDS};
use causeway_domain::client::Client;
use causeway_domain::session::{AtprotoBinding, Credentials, OtherKind, SessionHead};
use causeway_store::AnyConnection;
use causeway_store::authorization::{auth_requests, codes, device_codes, par};
use causeway_store::clients;
use causeway_store::clients::consents::{self, Agreement};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions::{self, upkeep};
use causeway_types::secret::{Code, PlainToken};
use causeway_types::{
    AuthRequestId, BrowserSessionId, ErrorCode, Scope, SessionKind, SessionState, Timestamp,
    UpstreamSessionId,
};
use futures_util::future::join_all;
use url::Url;

use crate::authorization::code::new_code;
use crate::authorization::response::ClientAnswer;
use crate::authorization::{pending, remembered, scopes};
use crate::connection::mcp::McpUser;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::mcp::first_time::{self, AskedServer, Consented, Onward, Step};
use crate::operations::{audit, trace};
use crate::upstream::atproto::adapter::granted_scope;
use crate::upstream::revocation;

/// The contents of the consent page.
#[derive(Debug)]
pub struct ConsentView {
    /// The request.
    pub request: AuthRequest,
    /// The client that asks.
    pub client: Client,
    /// The user's account and its servers.
    pub account: AtprotoBinding,
    /// The scope that would be granted: the requested one, as far as the authorization server granted it.
    pub scope: Scope,
    /// The scope that the authorization server granted, including the contents of permission sets.
    pub upstream_scope: Scope,
    /// The MCP servers that the client is to use.
    pub servers: Vec<AskedServer>,
    /// Whether the user can choose not to be asked again.
    pub may_remember: bool,
    /// Whether the answer reaches the client and nobody else. Any app on a device can claim a loopback address or
    /// a private scheme, under whatever `client_id` (RFC 8252 section 8.6).
    pub reaches_client_alone: bool,
}

/// The user's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Access is granted.
    Allow {
        /// The user does not want to be asked again.
        remember: bool,
    },
    /// Access is denied.
    Deny,
}

/// The next step after a decision.
#[derive(Debug)]
pub enum ConsentOutcome {
    /// The client gets its answer.
    Client(ClientAnswer),
    /// The user connects an MCP server at its upstream first.
    Upstream(Url),
}

/// Why no decision can be made.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// The request is unknown, expired, decided, or another browser's.
    #[error("this request was already answered, has expired, or belongs to another browser")]
    Gone,
    /// The user has not signed in for it yet.
    #[error("the sign-in for this request is not complete")]
    NotSignedIn,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<OtherKind> for ConsentError {
    fn from(error: OtherKind) -> Self {
        Self::Internal(error.into())
    }
}

impl From<causeway_store::StoreError> for ConsentError {
    fn from(error: causeway_store::StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl ConsentError {
    /// The code that the page shows.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Internal(_) => ErrorCode::ServerError,
            _ => ErrorCode::NonceInvalidOrReused,
        }
    }
}

/// Loads the contents of the consent page.
///
/// # Errors
/// [`ConsentError`].
#[tracing::instrument(name = "flow.consent.view", skip_all, fields(auth_request = %id))]
pub async fn view(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<ConsentView, ConsentError> {
    let (ring, id, browser, now) = (ctx.ring(), id.clone(), browser.clone(), ctx.now());
    let mut view = ctx
        .store()
        .read(move |c| {
            let (request, session_id) = find_pending(c, &id, &browser, now)?;
            let client =
                clients::find_client(c, &request.tenant_id, &request.client_id)?.ok_or(ConsentError::Gone)?;
            let (session, credentials) =
                find_signed_in(c, &ring, &request, &session_id)?.ok_or(ConsentError::Gone)?;
            let upstream_scope = granted_scope(&credentials)?;
            let scope = scopes::grantable(&request.scope, &upstream_scope);
            // A device may use any client's identifier.
            let reaches_client_alone =
                request.device_code.is_none() && remembered::own_origin(&request.redirect_uri).is_some();
            let may_remember = remembered::origin_to_remember(&client, &request, &scope).is_some();
            Ok::<_, ConsentError>(ConsentView {
                request,
                client,
                account: session.atproto()?.clone(),
                servers: Vec::new(),
                scope,
                upstream_scope,
                may_remember,
                reaches_client_alone,
            })
        })
        .await?;
    trace::correlate(view.request.correlation_id.as_ref());
    if let Some(user) = first_time::user_of(ctx, &view.request, &view.account.did).await? {
        view.servers = first_time::asked(ctx, &user, &view.request.resources).await?;
    }
    Ok(view)
}

/// Carries out the user's decision: with `Allow` the code and its grant are committed in one transaction
/// before the redirect exists.
///
/// # Errors
/// [`ConsentError`].
#[tracing::instrument(name = "flow.consent.decide", skip_all, fields(auth_request = %id, ?decision))]
pub async fn decide(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
    decision: Decision,
) -> Result<ConsentOutcome, ConsentError> {
    let request = pending::find(ctx, id, browser).await?.ok_or(ConsentError::Gone)?;
    match (&request.stage, decision) {
        (AuthRequestStage::SignIn, _) => Err(ConsentError::NotSignedIn),
        (AuthRequestStage::Consent { session_id }, Decision::Allow { remember }) => {
            let session_id = session_id.clone();
            go_on(ctx, request, session_id, Consented { remember, sent: 0 }).await
        }
        (AuthRequestStage::Consent { .. }, Decision::Deny) => {
            let event = audit::event(ctx, Actor::User, "consent", "denied");
            let (code, text) = (ErrorCode::AccessDenied, "the user denied the request");
            let refused = pending::refuse(ctx, &request, event, code, text).await?;
            let answer = refused.ok_or(ConsentError::Gone)?;
            tracing::info!("consent denied");
            Ok(ConsentOutcome::Client(answer))
        }
        (AuthRequestStage::Decided { session_id: Some(session_id) }, Decision::Allow { .. }) => {
            let session_id = session_id.clone();
            allow_again(ctx, &request, session_id).await.map(ConsentOutcome::Client)
        }
        (AuthRequestStage::Decided { .. }, _) => Err(ConsentError::Gone),
    }
}

/// Answers a request whose user has just signed in and has chosen before not to be asked again; `None`: the
/// user has to be asked.
///
/// # Errors
/// [`ConsentError`].
pub(crate) async fn allow_remembered(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
) -> Result<Option<ClientAnswer>, ConsentError> {
    let Some(request) = pending::find(ctx, id, browser).await? else { return Ok(None) };
    let AuthRequestStage::Consent { session_id } = request.stage.clone() else { return Ok(None) };
    if first_time::names_any(ctx, &request.resources) {
        let user = signed_in_user(ctx, &request, &session_id).await?;
        let servers = first_time::asked(ctx, &user, &request.resources).await?;
        // Consent to a client is none to what it may do at another server.
        if servers.iter().any(|server| server.step != Step::Nothing) {
            return Ok(None);
        }
    }
    allow(ctx, request, session_id, Agreed::Before).await
}

/// When the user agreed.
#[derive(Clone, Copy)]
enum Agreed {
    /// On our page.
    Now { remember: bool },
    /// Earlier, to at least the same scope.
    Before,
}

/// Issues the code; `None`: the user has to be asked after all.
async fn allow(
    ctx: &Ctx,
    request: AuthRequest,
    session_id: UpstreamSessionId,
    agreed: Agreed,
) -> Result<Option<ClientAnswer>, ConsentError> {
    let now = ctx.now();
    let code = PlainToken::<Code>::issued(ctx.rng(), ctx.unix_millis());
    let (ring, hash, jitter, detached) = (ctx.ring(), code.hash(), ctx.jitter(), ctx.clone());
    let answer = answer_to(ctx, &request, &code);
    let event = audit::event(ctx, Actor::User, "consent", "granted");
    let ended = audit::event(ctx, Actor::User, "revocation", "superseded");
    let issued = ctx
        .store()
        .write(move |c| {
            let (session, credentials) =
                find_signed_in(c, &ring, &request, &session_id)?.ok_or(ConsentError::Gone)?;
            let scope = scopes::grantable(&request.scope, &granted_scope(&credentials)?);
            if !settle_consent(c, &request, &session, &scope, agreed, now)? {
                return Ok(None);
            }
            let origin = match request.device_code {
                None => remembered::own_origin(&request.redirect_uri),
                Some(_) => None,
            };
            let superseded = match session.kind {
                SessionKind::Background => sessions::supersede_background(c, &session, now)?,
                SessionKind::Device => Vec::new(),
            };
            if !auth_requests::decide_auth_request(c, &request.id, &request.stage)?
                || !sessions::activate_session(c, &session_id, &scope, origin.as_deref(), now)?
            {
                return Err(ConsentError::Gone);
            }
            insert_audit_event(c, &event.clone().of_session(&session).with("scope", scope.to_string()))?;
            for before in &superseded {
                let ended = ended.clone().of_session(&session).with("superseded_by", session_id.as_str());
                insert_audit_event(c, &AuditEvent { session_id: Some(before.clone()), ..ended })?;
            }
            if session.kind == SessionKind::Background {
                let upstream = detached.upstreams().of(&session).map_err(Internal::from)?;
                let policy = upstream.policy(&session, &credentials);
                if let Some(due) = policy.keep_alive_at(now, jitter) {
                    upkeep::schedule_refresh(c, &session_id, due)?;
                }
            }
            if let Some(device_code) = &request.device_code {
                let did = session.atproto()?.did.clone();
                let (session_id, session_iteration) = (session.session_id, session.iteration);
                let grant = DeviceGrant { did, session_id, session_iteration, scope };
                let approved = device_codes::approve_device_code(c, device_code, &request.id, &grant, now)?;
                return if approved { Ok(Some(superseded)) } else { Err(ConsentError::Gone) };
            }
            codes::insert_code(c, &new_code(&request, &session, scope, hash.clone(), now)?)?;
            if let Some(uri) = &request.request_uri {
                par::consume_par_request(c, uri)?;
            }
            Ok(Some(superseded))
        })
        .await?;
    let Some(superseded) = issued else { return Ok(None) };
    tracing::info!(remembered = matches!(agreed, Agreed::Before), "consent given");
    // Only now: the new background session is committed and replaces the previous one.
    join_all(superseded.iter().map(|id| revocation::revoke_soon(ctx, id))).await;
    Ok(Some(answer))
}

/// The answer that sends the user back: with a code, or without one when a device waits for the decision.
fn answer_to(ctx: &Ctx, request: &AuthRequest, code: &PlainToken<Code>) -> ClientAnswer {
    match &request.device_code {
        Some(_) => ClientAnswer::of_device(request),
        None => ClientAnswer::with_code(request, ctx.issuer(), code),
    }
}

/// Stores the consent given now, if the user wants it remembered, or finds the remembered one; `false`: there
/// is none.
fn settle_consent(
    c: &mut AnyConnection,
    request: &AuthRequest,
    session: &SessionHead,
    scope: &Scope,
    agreed: Agreed,
    now: Timestamp,
) -> Result<bool, Internal> {
    let Some(client) = clients::find_client(c, &request.tenant_id, &request.client_id)? else {
        return Ok(matches!(agreed, Agreed::Now { .. }));
    };
    let of = Agreement {
        tenant_id: &request.tenant_id,
        client_id: &request.client_id,
        did: &session.atproto()?.did,
    };
    match agreed {
        Agreed::Now { remember: true } => {
            // A form posted by hand may tick a box that was not offered.
            if let Some(origin) = remembered::origin_to_remember(&client, request, scope) {
                // Earlier consent still holds beside it.
                let mut all = consents::find_consent(c, of, &origin, now)?.unwrap_or_default();
                scope.iter().for_each(|value| all.insert(value.clone()));
                consents::put_consent(c, of, &origin, &all, now, now.plus(remembered::REMEMBERED_SECONDS))?;
            }
            Ok(true)
        }
        Agreed::Now { remember: false } => Ok(true),
        Agreed::Before => {
            let Some(origin) = remembered::origin_of_answer(&client, request, scope) else {
                return Ok(false);
            };
            let remembered = consents::find_consent(c, of, &origin, now)?;
            Ok(remembered.is_some_and(|remembered| scopes::has_all(&remembered, scope)))
        }
    }
}

/// Answers a repeated submission, when the browser dropped the first answer: as long as the code in that one
/// is unused, the new code replaces it.
async fn allow_again(
    ctx: &Ctx,
    request: &AuthRequest,
    session_id: UpstreamSessionId,
) -> Result<ClientAnswer, ConsentError> {
    let now = ctx.now();
    let code = PlainToken::<Code>::issued(ctx.rng(), ctx.unix_millis());
    let (hash, device_code) = (code.hash(), request.device_code.clone());
    let renewed = ctx
        .store()
        .write::<_, Internal, _>(move |c| {
            let Some(device_code) = &device_code else {
                let renewed = codes::renew_code(c, &session_id, &hash, now, now.plus(CODE_SECONDS))?;
                return Ok(renewed.is_some());
            };
            let device = device_codes::find_device_code(c, device_code)?;
            Ok(device.is_some_and(|device| match device.stage {
                DeviceStage::Approved(grant) => grant.session_id == session_id,
                DeviceStage::Used => true,
                _ => false,
            }))
        })
        .await?;
    if renewed { Ok(answer_to(ctx, request, &code)) } else { Err(ConsentError::Gone) }
}

/// A request of this browser that waits for a decision, and the session that was made for it.
fn find_pending(
    c: &mut AnyConnection,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
    now: Timestamp,
) -> Result<(AuthRequest, UpstreamSessionId), ConsentError> {
    let request = auth_requests::find_auth_request(c, id, browser, now)?.ok_or(ConsentError::Gone)?;
    match request.stage.clone() {
        AuthRequestStage::Consent { session_id } => Ok((request, session_id)),
        AuthRequestStage::SignIn => Err(ConsentError::NotSignedIn),
        AuthRequestStage::Decided { .. } => Err(ConsentError::Gone),
    }
}

/// The session behind a request, and its credentials.
fn find_signed_in(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    request: &AuthRequest,
    session_id: &UpstreamSessionId,
) -> Result<Option<(SessionHead, Credentials)>, Internal> {
    let kind = SessionKind::asked_by(&request.scope);
    let Some(session) = sessions::find_session(c, &request.tenant_id, session_id, kind)? else {
        return Ok(None);
    };
    if !matches!(session.state, SessionState::Pending | SessionState::Active) {
        return Ok(None);
    }
    let credentials = sessions::find_credentials(c, ring, &session)?;
    Ok(credentials.map(|credentials| (session, credentials)))
}

/// Continues with a request whose user comes back from the upstream of an MCP server. `presented` is the consent that the
/// browser brings back, and `error` what the upstream part ended with.
///
/// # Errors
/// [`ConsentError`].
#[tracing::instrument(name = "flow.consent.resume", skip_all, fields(auth_request = %id))]
pub async fn resume(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
    presented: &str,
    error: Option<&str>,
) -> Result<ConsentOutcome, ConsentError> {
    let request = pending::find(ctx, id, browser).await?.ok_or(ConsentError::Gone)?;
    let AuthRequestStage::Consent { session_id } = request.stage.clone() else {
        return Err(ConsentError::Gone);
    };
    let consented = Consented::take_back(ctx, &request, &session_id, presented).ok_or(ConsentError::Gone)?;
    let Some(error) = error else { return go_on(ctx, request, session_id, consented).await };
    let user = signed_in_user(ctx, &request, &session_id).await?;
    let servers = first_time::asked(ctx, &user, &request.resources).await?;
    let Some(missing) = servers.iter().find(|server| server.step == Step::Connect) else {
        // The user has connected in another tab.
        return go_on(ctx, request, session_id, consented).await;
    };
    refuse_connection(ctx, &request, first_time::refused(missing, Some(error))).await
}

/// Gives the client what the user has agreed to: access to the connections that are there, and the code once nothing else is
/// to be connected.
async fn go_on(
    ctx: &Ctx,
    request: AuthRequest,
    session_id: UpstreamSessionId,
    consented: Consented,
) -> Result<ConsentOutcome, ConsentError> {
    if first_time::names_any(ctx, &request.resources) {
        let user = signed_in_user(ctx, &request, &session_id).await?;
        for server in first_time::asked(ctx, &user, &request.resources).await? {
            match &server.step {
                Step::Nothing => {}
                Step::Share(id) => first_time::share(ctx, &user, id).await?,
                Step::Connect => {
                    let sent =
                        first_time::send(ctx, &user, &request, &session_id, &server, consented).await?;
                    return refuse_connection(ctx, &request, sent).await;
                }
            }
        }
    }
    let agreed = Agreed::Now { remember: consented.remember };
    let answer = allow(ctx, request, session_id, agreed).await?;
    answer.map(ConsentOutcome::Client).ok_or(ConsentError::Gone)
}

/// Sends the browser to an upstream, or the client an error.
async fn refuse_connection(
    ctx: &Ctx,
    request: &AuthRequest,
    onward: Onward,
) -> Result<ConsentOutcome, ConsentError> {
    let (code, text) = match onward {
        Onward::Upstream(url) => return Ok(ConsentOutcome::Upstream(url)),
        Onward::Refused { code, text } => (code, text),
    };
    tracing::warn!(text, "an MCP server was not connected");
    let event = audit::event(ctx, Actor::User, "consent", "not_connected").with("reason", text.clone());
    let refused = pending::refuse(ctx, request, event, code, &text).await?;
    refused.map(ConsentOutcome::Client).ok_or(ConsentError::Gone)
}

/// The user who has signed in for a request, and its client.
async fn signed_in_user(
    ctx: &Ctx,
    request: &AuthRequest,
    session_id: &UpstreamSessionId,
) -> Result<McpUser, ConsentError> {
    let (ring, asked, id) = (ctx.ring(), request.clone(), session_id.clone());
    let found = ctx.store().read(move |c| find_signed_in(c, &ring, &asked, &id));
    let (session, _) = found.await?.ok_or(ConsentError::Gone)?;
    let user = first_time::user_of(ctx, request, &session.atproto()?.did).await?;
    user.ok_or(ConsentError::Gone)
}
