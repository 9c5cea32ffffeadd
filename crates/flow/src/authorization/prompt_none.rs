//! `prompt=none`: an answer without showing the user any page (OpenID Connect Core section 3.1.2.1).
//!
//! It succeeds only with a live grant of this client in this browser that covers the requested scope, and
//! whose user consented to an answer to this same origin, since no user sees now where it is sent. The new code
//! is for that grant's session: the authorization server is not asked.

use crate::authorization::code::new_code;
use crate::authorization::open_redirect;
use crate::authorization::pending;
use crate::authorization::remembered;
use crate::authorization::response::ClientAnswer;
use crate::authorization::scopes;
use crate::client::lookup;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::mcp::first_time;
use crate::operations::audit;
use crate::upstream::atproto::handles;
use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_domain::client::{Client, ClientOrigin};
use causeway_domain::session::SessionHead;
use causeway_store::authorization::auth_requests;
use causeway_store::authorization::codes;
use causeway_store::authorization::par;
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::tokens::grants;
use causeway_store::tokens::grants::Grant;
use causeway_types::secret::{Code, PlainToken};
use causeway_types::{ErrorCode, SessionKind, SignInInput, Timestamp};
use futures_util::future::join_all;

/// Why a request cannot be answered silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Silence {
    #[error("no user is signed in to this client in this browser: send the request without prompt=none")]
    Login,
    #[error(
        "the user has not consented to all of this scope for this redirect_uri: send the request without prompt=none"
    )]
    Consent,
    #[error(
        "any app on the user's device can claim this redirect_uri, so consent is asked each time: send the request without prompt=none"
    )]
    Anybody,
}

impl Silence {
    const fn code(self) -> ErrorCode {
        match self {
            Self::Login => ErrorCode::LoginRequired,
            Self::Consent | Self::Anybody => ErrorCode::ConsentRequired,
        }
    }
}

/// The outcome of a request that must not show anything.
#[derive(Debug)]
pub enum PromptNoneAnswer {
    /// The browser takes the answer to the client.
    Client(ClientAnswer),
    /// This browser does not know the client: the user is shown why, and may go on.
    Stranger {
        /// The error code for the client.
        code: ErrorCode,
        /// Its description.
        text: String,
        /// The answer that would take it to the client.
        answer: ClientAnswer,
    },
}

/// Answers a request that has just begun.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.prompt_none", skip_all, fields(auth_request = %request.id))]
pub async fn answer(ctx: &Ctx, request: &AuthRequest) -> Result<PromptNoneAnswer, Internal> {
    let client = lookup::find(ctx, &request.client_id).await?;
    let anybody =
        client.as_ref().is_some_and(|client| matches!(client.origin, ClientOrigin::Loopback { .. }));
    // Consent to one app on a device is none to the next (RFC 8252 section 8.6).
    let origin = if anybody { None } else { remembered::own_origin(&request.redirect_uri) };
    let Some(origin) = origin else { return end(ctx, client.as_deref(), request, Silence::Anybody).await };
    // Whether the client may use a connection is asked each time.
    if first_time::names_any(ctx, &request.resources) {
        return end(ctx, client.as_deref(), request, Silence::Consent).await;
    }
    let now = ctx.now();
    if let Some(Ok(SignInInput::Handle(_))) = request.login_hint.as_deref().map(SignInInput::parse) {
        look_handles_up(ctx, request).await?;
    }
    let code = PlainToken::<Code>::issued(ctx.rng(), ctx.unix_millis());
    let (hash, row) = (code.hash(), request.clone());
    let event = audit::event(ctx, Actor::Client, "consent", "silent");
    let outcome = ctx
        .store()
        .write(move |c| {
            let grants =
                grants::list_grants_of_browser(c, &row.tenant_id, &row.client_id, &row.browser_id, now)?;
            let found = choose(&row, &origin, grants, now);
            if let Ok(session) = &found {
                auth_requests::begin_consent(c, &row.id, &session.session_id)?;
                let event = event.clone().of_session(session).with("scope", row.scope.to_string());
                insert_audit_event(c, &event)?;
                codes::insert_code(c, &new_code(&row, session, row.scope.clone(), hash.clone(), now)?)?;
                let stage = AuthRequestStage::Consent { session_id: session.session_id.clone() };
                auth_requests::decide_auth_request(c, &row.id, &stage)?;
            } else {
                auth_requests::decide_auth_request(c, &row.id, &row.stage)?;
            }
            if let Some(uri) = &row.request_uri {
                par::consume_par_request(c, uri)?;
            }
            Ok::<_, Internal>(found)
        })
        .await?;
    match outcome {
        Ok(session) => {
            // Tokens for this code have the correlation ID of the sign-in that began the session.
            let continues = session.correlation_id.as_ref().map(tracing::field::display);
            tracing::info!(session = %session.session_id, continues, "code issued without user interaction");
            Ok(PromptNoneAnswer::Client(ClientAnswer::with_code(request, ctx.issuer(), &code)))
        }
        Err(silence) => refuse(ctx, client.as_deref(), request, silence).await,
    }
}

/// Ends a request that no grant can answer.
async fn end(
    ctx: &Ctx,
    client: Option<&Client>,
    request: &AuthRequest,
    silence: Silence,
) -> Result<PromptNoneAnswer, Internal> {
    let event = audit::event(ctx, Actor::Client, "consent", "refused");
    pending::end(ctx, request, event).await?;
    refuse(ctx, client, request, silence).await
}

/// Answers the client with an error, if this browser may be sent there.
async fn refuse(
    ctx: &Ctx,
    client: Option<&Client>,
    request: &AuthRequest,
    silence: Silence,
) -> Result<PromptNoneAnswer, Internal> {
    let (code, text) = (silence.code(), silence.to_string());
    let answer = ClientAnswer::with_error(request, ctx.issuer(), code, &text);
    let ask = match client {
        Some(client) => open_redirect::needs_asking(ctx, client, true, &answer, &request.browser_id).await?,
        None => true,
    };
    Ok(if ask { PromptNoneAnswer::Stranger { code, text, answer } } else { PromptNoneAnswer::Client(answer) })
}

/// Reverifies the handles of the accounts whose grants could answer the request.
async fn look_handles_up(ctx: &Ctx, request: &AuthRequest) -> Result<(), Internal> {
    let (row, now) = (request.clone(), ctx.now());
    let grants = ctx
        .store()
        .read(move |c| {
            grants::list_grants_of_browser(c, &row.tenant_id, &row.client_id, &row.browser_id, now)
                .map_err(Internal::from)
        })
        .await?;
    join_all(grants.iter().map(|grant| handles::shown(ctx, &grant.session))).await;
    Ok(())
}

/// Chooses the grant that answers the request: of the user that it names, signed in recently enough, for the
/// whole requested scope and the origin of its answer.
fn choose(
    request: &AuthRequest,
    origin: &str,
    grants: Vec<Grant>,
    now: Timestamp,
) -> Result<SessionHead, Silence> {
    // Consent to background access is never remembered: each authorization is asked for.
    if SessionKind::asked_by(&request.scope) == SessionKind::Background {
        return Err(Silence::Consent);
    }
    let hint = request.login_hint.as_deref().map(SignInInput::parse);
    let is_meant = |session: &SessionHead| match &hint {
        None => true,
        Some(Ok(SignInInput::Did(did))) => session.subject() == did.as_str(),
        Some(Ok(SignInInput::Handle(handle))) => {
            session.atproto().is_ok_and(|account| account.handle_at(now) == Some(handle))
        }
        Some(_) => false,
    };
    let is_required = |session: &SessionHead| {
        request.required_subs.is_empty()
            || session.atproto().is_ok_and(|account| request.required_subs.contains(&account.did))
    };
    let is_recent = |session: &SessionHead| {
        // 0 is the same as prompt=login (OpenID Connect Core section 3.1.2.1), even within the same second.
        request.max_age.is_none_or(|seconds| seconds > 0 && now.since(session.created_at) <= seconds)
    };
    let mut best = Err(Silence::Login);
    for Grant { session, scope, redirect_origin } in grants {
        if !is_meant(&session) || !is_required(&session) || !is_recent(&session) {
            continue;
        }
        if redirect_origin.as_deref() == Some(origin) && scopes::has_all(&scope, &request.scope) {
            return Ok(session);
        }
        best = Err(Silence::Consent);
    }
    best
}
