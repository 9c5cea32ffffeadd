//! Token exchange (RFC 8693): an access token for a background session, with nobody there.
//!
//! What is exchanged is the session's identifier. It is no secret: the client proves who it is, and gets a
//! token for a background session of its own and for nothing else.

use causeway_domain::client::{ClientType, GrantType};
use causeway_domain::{LiveSession, Scope, SessionKind, Timestamp, UpstreamSessionId};
use causeway_store::{AnyConnection, sessions};

use crate::caller::Caller;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::tokens::{FreshPair, IssuedTokens, Subject, TokenError, TokenRefusal};

/// The type of a `subject_token` that is the identifier of a session.
pub const SESSION_TOKEN_TYPE: &str = "urn:causeway:token-type:session";
/// The type of what is issued (RFC 8693 section 3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The parameters of the request (RFC 8693 section 2.1).
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the names are the specification's own")]
pub struct ExchangeParams {
    pub subject_token: Option<String>,
    pub subject_token_type: Option<String>,
    pub requested_token_type: Option<String>,
    pub actor_token: Option<String>,
    pub resource: Option<String>,
    pub audience: Option<String>,
    pub scope: Option<String>,
}

/// Turns the identifier of a background session into an access token for it. The client has been
/// authenticated and its key proven.
///
/// A session that its server has ended (`reauth_required`) gets one, too, as by a refresh: its use says
/// where the person signs in again.
///
/// # Errors
/// [`TokenError`].
#[tracing::instrument(name = "flow.exchange", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn exchange(
    ctx: &Ctx,
    caller: &Caller,
    params: ExchangeParams,
) -> Result<IssuedTokens, TokenError> {
    let client = &caller.client;
    if client.client_type() == ClientType::Public {
        return Err(TokenRefusal::PublicClient.into());
    }
    if !client.allows(GrantType::TokenExchange) {
        return Err(TokenRefusal::Grant.into());
    }
    if !client.allows_background_access() {
        return Err(TokenRefusal::NoBackground.into());
    }
    caller.check_binding()?;
    let (session_id, asked) = read(ctx, params)?;
    let attempt = Attempt { caller: caller.clone(), session_id, asked, now: ctx.now() };
    let pair = FreshPair::without_refresh(caller, ctx.rng(), attempt.now);
    let fresh = pair.clone();
    let (session, scope) = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &fresh)?)
        })
        .await??;
    let head = session.head;
    tracing::info!(
        session = %head.session_id,
        session.kind = head.kind.as_str(),
        session.iteration = head.iteration,
        "session exchanged for a token"
    );
    Ok(IssuedTokens { issued_token_type: Some(ACCESS_TOKEN_TYPE), ..pair.issued(scope, head.did, None) })
}

/// Which session is meant, and for which scope; empty: everything.
fn read(ctx: &Ctx, params: ExchangeParams) -> Result<(UpstreamSessionId, Scope), TokenRefusal> {
    let subject_token = params.subject_token.ok_or(TokenRefusal::NoSubjectToken)?;
    if params.subject_token_type.as_deref() != Some(SESSION_TOKEN_TYPE) {
        return Err(TokenRefusal::SubjectTokenType);
    }
    if params.requested_token_type.is_some_and(|wanted| wanted != ACCESS_TOKEN_TYPE) {
        return Err(TokenRefusal::RequestedTokenType);
    }
    if params.actor_token.is_some() {
        return Err(TokenRefusal::ActorToken);
    }
    let is_here = |target: &String| target.trim_end_matches('/') == ctx.issuer();
    if !params.resource.iter().chain(&params.audience).all(is_here) {
        return Err(TokenRefusal::Target);
    }
    let asked = Scope::parse(params.scope.as_deref().unwrap_or_default()).map_err(|_| TokenRefusal::Scope)?;
    Ok((UpstreamSessionId::new(subject_token), asked))
}

struct Attempt {
    caller: Caller,
    session_id: UpstreamSessionId,
    /// What the token is for; empty: everything.
    asked: Scope,
    now: Timestamp,
}

impl Attempt {
    /// One transaction: look, grant. The proof and the assertion of a request that is refused are used up.
    fn run(
        &self,
        c: &mut AnyConnection,
        pair: &FreshPair,
    ) -> Result<Result<(LiveSession, Scope), TokenError>, Internal> {
        let client = &self.caller.client;
        let found = sessions::find_live_session_of_client(
            c,
            &client.tenant_id,
            &client.client_id,
            &self.session_id,
            self.now,
        )?;
        let Some(session) = found.filter(|session| session.head.kind == SessionKind::Background) else {
            return Ok(Err(TokenRefusal::SubjectToken.into()));
        };
        let scope = if self.asked.is_empty() { &session.granted } else { &self.asked };
        if !scope.is_subset_of(&session.granted) {
            return Ok(Err(TokenRefusal::Scope.into()));
        }
        let scope = scope.clone();
        let subject = Subject {
            client,
            did: &session.head.did,
            session_id: &session.head.session_id,
            session_iteration: Some(session.head.iteration),
            access_scope: &scope,
            refresh_scope: &scope,
            parent: None,
        };
        pair.insert(c, &subject)?;
        sessions::touch_session(c, &session.head.session_id, self.now)?;
        Ok(Ok((session, scope)))
    }
}
