//! The person's decision.

use causeway_domain::client::Client;
use causeway_domain::grant::{AuthRequest, AuthRequestStage, AuthorizationCode, CODE_SECONDS};
use causeway_domain::secret::{Code, PlainToken};
use causeway_domain::session::SessionHead;
use causeway_domain::{
    AuthRequestId, BrowserSessionId, ErrorCode, Scope, SessionKind, SessionState, Timestamp,
    UpstreamSessionId,
};
use causeway_store::audit::{Actor, insert_audit_event};
use causeway_store::seal::SealingKeyRing;
use causeway_store::{AnyConnection, auth_requests, clients, codes, par, sessions};

use crate::audit;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::maintenance;
use crate::respond::ClientAnswer;
use crate::scopes;
use crate::sign_in::end_request;
use crate::trace;

/// What the person is asked.
#[derive(Debug)]
pub struct ConsentView {
    /// The request.
    pub request: AuthRequest,
    /// Who asks.
    pub client: Client,
    /// Who is asked, and where their account lives.
    pub session: SessionHead,
    /// What would be granted: what was asked for, as far as the person's server granted it.
    pub scope: Scope,
    /// What the person's server granted: what is in permission sets is in it.
    pub upstream_scope: Scope,
}

/// What the person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The client may.
    Allow,
    /// It may not.
    Deny,
}

/// Why there is nothing to decide.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// The request is unknown, expired, decided, or another browser's.
    #[error("this request was already decided, has expired, or belongs to another browser")]
    Gone,
    /// The person has not signed in for it yet.
    #[error("the sign-in for this request is not complete")]
    NotSignedIn,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
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

/// What the consent page shows.
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
    let view = ctx
        .store()
        .read(move |c| {
            let (request, session_id) = find_pending(c, &id, &browser, now)?;
            let client =
                clients::find_client(c, &request.tenant_id, &request.client_id)?.ok_or(ConsentError::Gone)?;
            let (session, upstream_scope) =
                find_signed_in(c, &ring, &request, &session_id)?.ok_or(ConsentError::Gone)?;
            let scope = scopes::grantable(&request.scope, &upstream_scope);
            Ok::<_, ConsentError>(ConsentView { request, client, session, scope, upstream_scope })
        })
        .await?;
    trace::correlate(view.request.correlation_id.as_ref());
    Ok(view)
}

/// Carries out the person's decision: with `Allow` the code and everything that it stands for are
/// committed in one transaction before the redirect exists.
///
/// # Errors
/// [`ConsentError`].
#[tracing::instrument(name = "flow.consent.decide", skip_all, fields(auth_request = %id, ?decision))]
pub async fn decide(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
    decision: Decision,
) -> Result<ClientAnswer, ConsentError> {
    let (id, holder, now) = (id.clone(), browser.clone(), ctx.now());
    let request = ctx
        .store()
        .read::<_, Internal, _>(move |c| Ok(auth_requests::find_auth_request(c, &id, &holder, now)?))
        .await?
        .ok_or(ConsentError::Gone)?;
    trace::correlate(request.correlation_id.as_ref());
    match (&request.stage, decision) {
        (AuthRequestStage::SignIn, _) => Err(ConsentError::NotSignedIn),
        (AuthRequestStage::Consent { session_id }, Decision::Allow) => {
            let session_id = session_id.clone();
            allow(ctx, request, session_id).await
        }
        (AuthRequestStage::Consent { session_id }, Decision::Deny) => {
            let act = audit::act(ctx, Actor::Person, "consent", "denied");
            if !end_request(ctx, &request, act).await? {
                return Err(ConsentError::Gone);
            }
            maintenance::revoke_soon(ctx, session_id).await;
            tracing::info!("consent denied");
            let text = "the person denied the request";
            Ok(ClientAnswer::with_error(&request, ctx.issuer(), ErrorCode::AccessDenied, text))
        }
        (AuthRequestStage::Decided { session_id: Some(session_id) }, Decision::Allow) => {
            let session_id = session_id.clone();
            allow_again(ctx, &request, session_id).await
        }
        (AuthRequestStage::Decided { .. }, _) => Err(ConsentError::Gone),
    }
}

async fn allow(
    ctx: &Ctx,
    request: AuthRequest,
    session_id: UpstreamSessionId,
) -> Result<ClientAnswer, ConsentError> {
    let code = PlainToken::<Code>::random(ctx.rng());
    let (ring, now, hash) = (ctx.ring(), ctx.now(), code.hash());
    let redirect = ClientAnswer::with_code(&request, ctx.issuer(), &code);
    let act = audit::act(ctx, Actor::Person, "consent", "granted");
    ctx.store()
        .write(move |c| {
            let (session, upstream_scope) =
                find_signed_in(c, &ring, &request, &session_id)?.ok_or(ConsentError::Gone)?;
            let scope = scopes::grantable(&request.scope, &upstream_scope);
            if !auth_requests::decide_auth_request(c, &request.id, &request.stage)?
                || !sessions::activate_session(c, &session_id, &scope, now)?
            {
                return Err(ConsentError::Gone);
            }
            insert_audit_event(c, &act.clone().of_session(&session).with("scope", scope.to_string()))?;
            let row = AuthorizationCode {
                code: hash.clone(),
                client_id: request.client_id.clone(),
                did: session.did,
                session_id: session.session_id,
                session_iteration: session.iteration,
                redirect_uri: request.redirect_uri.clone(),
                scope,
                code_challenge: request.code_challenge.clone(),
                nonce: request.nonce.clone(),
                dpop_jkt: request.dpop_jkt.clone(),
                created_at: now,
                expires_at: now.plus(CODE_SECONDS),
                used_at: None,
            };
            codes::insert_code(c, &row)?;
            if let Some(uri) = &request.request_uri {
                par::consume_par_request(c, uri)?;
            }
            Ok(())
        })
        .await?;
    tracing::info!("consent given, code issued");
    Ok(redirect)
}

/// The same person pressed the button twice and the browser dropped the first answer: as long as the
/// code in it is unused, this answer's code takes its place.
async fn allow_again(
    ctx: &Ctx,
    request: &AuthRequest,
    session_id: UpstreamSessionId,
) -> Result<ClientAnswer, ConsentError> {
    let code = PlainToken::<Code>::random(ctx.rng());
    let (now, hash) = (ctx.now(), code.hash());
    let renewed = ctx
        .store()
        .write::<_, Internal, _>(move |c| {
            Ok(codes::renew_code(c, &session_id, &hash, now, now.plus(CODE_SECONDS))?)
        })
        .await?;
    match renewed {
        Some(_) => Ok(ClientAnswer::with_code(request, ctx.issuer(), &code)),
        None => Err(ConsentError::Gone),
    }
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

/// The session behind a request, and what the person's server granted.
fn find_signed_in(
    c: &mut AnyConnection,
    ring: &SealingKeyRing,
    request: &AuthRequest,
    session_id: &UpstreamSessionId,
) -> Result<Option<(SessionHead, Scope)>, Internal> {
    let Some(session) = sessions::find_session(c, &request.tenant_id, session_id, SessionKind::Device)?
    else {
        return Ok(None);
    };
    if !matches!(session.state, SessionState::Pending | SessionState::Active) {
        return Ok(None);
    }
    let Some(tokens) = sessions::find_token_set(c, ring, session_id, session.iteration)? else {
        return Ok(None);
    };
    Ok(Some((session, tokens.scope)))
}
