//! Token exchange (RFC 8693): an access token for a background session, without the user present.
//!
//! The subject token is the session's identifier. It is not a secret: the client authenticates, and gets a
//! token only for a background session of its own.

use std::sync::Arc;

use causeway_domain::client::{ClientType, GrantType};
use causeway_domain::{Resources, Scope, SessionKind, Timestamp, UpstreamSessionId};
use causeway_store::AnyConnection;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;

use crate::authorization::resources;
use crate::authorization::scopes::{self, with_atproto};
use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::token::issue::{IssuedTokens, NewTokens, TokenError, TokenRefusal};
use crate::token::resolved_grant::{self, Authorization, ResolvedGrant};
use crate::token::token_type::{ACCESS_TOKEN_TYPE, SESSION_TOKEN_TYPE};

/// The parameters of the request (RFC 8693 section 2.1).
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the names are the specification's own")]
pub struct ExchangeParams {
    pub subject_token: Option<String>,
    pub subject_token_type: Option<String>,
    pub requested_token_type: Option<String>,
    pub actor_token: Option<String>,
    pub resource: Vec<String>,
    pub audience: Option<String>,
    pub scope: Option<String>,
}

/// Turns the identifier of a background session into an access token for it. The client has been
/// authenticated and its key proven.
///
/// A session that its authorization server has ended (`reauth_required`) gets one, too, as by a refresh: its
/// use says where the user signs in again.
///
/// # Errors
/// [`TokenError`].
#[tracing::instrument(name = "flow.exchange", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn exchange(
    ctx: &Ctx,
    caller: &AuthenticatedClient,
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
    let resources = resources::admit(ctx, client, &params.resource).map_err(TokenError::Target)?;
    let (session_id, asked) = read(ctx, params)?;
    let attempt = Arc::new(TokenExchange {
        ctx: ctx.clone(),
        caller: caller.clone(),
        session_id,
        asked,
        resources,
        now: ctx.now(),
        event: audit::event(ctx, Actor::Client, "token_exchange", "ok"),
    });
    let this = Arc::clone(&attempt);
    let claims = resolved_grant::preview(ctx, client, move |c| Ok(this.evaluate(c)?.ok())).await?;
    let pair = NewTokens::make(ctx, caller, attempt.now, claims.as_ref()).await?.without_refresh();
    let fresh = pair.clone();
    let ResolvedGrant { session: head, access, .. } = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &fresh)?)
        })
        .await??;
    tracing::info!(
        session = %head.session_id,
        session.kind = head.kind.as_str(),
        session.iteration = head.iteration,
        "session exchanged for a token"
    );
    Ok(IssuedTokens {
        issued_token_type: Some(ACCESS_TOKEN_TYPE),
        ..pair.issued(access.scope, head.did, None)
    })
}

/// Reads the requested session and scope; an empty scope means everything.
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
    if params.audience.is_some_and(|target| target.trim_end_matches('/') != ctx.issuer()) {
        return Err(TokenRefusal::Audience);
    }
    let asked =
        Scope::parse_asked(params.scope.as_deref().unwrap_or_default()).map_err(|_| TokenRefusal::Scope)?;
    Ok((UpstreamSessionId::new(subject_token), asked))
}

struct TokenExchange {
    ctx: Ctx,
    caller: AuthenticatedClient,
    session_id: UpstreamSessionId,
    /// The requested scope; empty: everything.
    asked: Scope,
    /// The resources of the token.
    resources: Resources,
    now: Timestamp,
    event: AuditEvent,
}

impl TokenExchange {
    /// Finds the requested session and narrows its scope.
    fn evaluate(&self, c: &mut AnyConnection) -> Result<Result<ResolvedGrant, TokenRefusal>, Internal> {
        let client = &self.caller.client;
        let found = sessions::find_live_session_of_client(
            c,
            &client.tenant_id,
            &client.client_id,
            &self.session_id,
            self.now,
        )?;
        let Some(session) = found.filter(|session| session.head.kind == SessionKind::Background) else {
            return Ok(Err(TokenRefusal::SubjectToken));
        };
        let asked = scopes::known_in(&session.granted, &self.asked);
        let scope = if self.asked.is_empty() { session.granted.clone() } else { asked };
        if scope.is_empty() || !scope.is_subset_of(&with_atproto(&session.granted)) {
            return Ok(Err(TokenRefusal::Scope));
        }
        let allowed = Authorization::at(&self.ctx, &scope, self.resources.clone());
        Ok(Ok(ResolvedGrant {
            session_iteration: Some(session.head.iteration),
            session: session.head,
            granted: allowed.clone(),
            access: allowed,
            nonce: None,
        }))
    }

    /// Evaluates and grants, in one transaction. The proof and the assertion of a request that is refused are
    /// consumed.
    fn run(
        &self,
        c: &mut AnyConnection,
        pair: &NewTokens,
    ) -> Result<Result<ResolvedGrant, TokenError>, Internal> {
        let grant = match self.evaluate(c)? {
            Ok(grant) => grant,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        pair.insert(c, &self.caller.client, &grant, None)?;
        sessions::touch_session(c, &grant.session.session_id, self.now)?;
        let event = self.event.clone().of_session(&grant.session);
        insert_audit_event(c, &event.with("scope", grant.access.scope.to_string()))?;
        Ok(Ok(grant))
    }
}
