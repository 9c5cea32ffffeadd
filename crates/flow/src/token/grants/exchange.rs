//! Token exchange (RFC 8693): an access token for a background session, without the user present.
//!
//! The subject token is the session's identifier. It is not a secret: the client authenticates, and gets a
//! token only for a background session of its own.

use causeway_store::AnyConnection;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_types::{ClientType, GrantType, Resources, Scope, SessionKind, UpstreamSessionId};
use schemars::JsonSchema;
use url::Url;

use crate::authorization::resources;
use crate::authorization::scopes::{self, with_atproto};
use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::operations::audit;
use crate::token::issue::{Grant, Outcome, issue};
use crate::token::new_tokens::{IssuedTokens, NewTokens};
use crate::token::refusal::{ExchangeRefusal, TokenError, TokenRefusal};
use crate::token::request::TokenRequest;
use crate::token::resolved_grant::{ResolvedGrant, UserGrant};
use crate::token::token_type::{ACCESS_TOKEN_TYPE, SESSION_TOKEN_TYPE};

/// The parameters of the request (RFC 8693 section 2.1).
#[derive(Debug, Default, JsonSchema)]
pub struct ExchangeParams {
    /// The session_id of a background session, for token exchange (RFC 8693).
    pub subject_token: Option<String>,
    /// The type of the subject_token.
    #[schemars(extend("const" = SESSION_TOKEN_TYPE))]
    pub subject_token_type: Option<String>,
    /// The type of the token to issue.
    #[schemars(extend("const" = ACCESS_TOKEN_TYPE))]
    pub requested_token_type: Option<String>,
    /// Not supported: leave it out.
    pub actor_token: Option<String>,
    /// The resource that the access token is for (RFC 8707); may be repeated.
    #[schemars(with = "Vec<Url>", default)]
    pub resource: Vec<String>,
    /// This server, for token exchange; may be left out.
    pub audience: Option<String>,
    /// At most the granted scope, for refresh_token and token exchange.
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
#[tracing::instrument(name = "flow.exchange", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn exchange(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    params: ExchangeParams,
) -> Result<IssuedTokens, TokenError> {
    let client = &authenticated.client;
    if client.client_type() == ClientType::Public {
        return Err(ExchangeRefusal::PublicClient.into());
    }
    if !client.allows(GrantType::TokenExchange) {
        return Err(TokenRefusal::Grant.into());
    }
    if !client.allows_background_access() {
        return Err(ExchangeRefusal::NoBackground.into());
    }
    authenticated.check_binding()?;
    let resources = resources::admit(ctx, client, &params.resource).map_err(TokenError::Target)?;
    let (session_id, asked) = read(ctx, params)?;
    let event = audit::event(ctx, Actor::Client, "token_exchange", "ok");
    let issued = issue(ctx, authenticated, TokenExchange { session_id, asked, resources, event }).await?;
    Ok(IssuedTokens { issued_token_type: Some(ACCESS_TOKEN_TYPE), ..issued })
}

/// Reads the requested session and scope; an empty scope means everything.
fn read(ctx: &Ctx, params: ExchangeParams) -> Result<(UpstreamSessionId, Scope), TokenRefusal> {
    let subject_token = params.subject_token.ok_or(ExchangeRefusal::Missing)?;
    if params.subject_token_type.as_deref() != Some(SESSION_TOKEN_TYPE) {
        return Err(ExchangeRefusal::SubjectTokenType.into());
    }
    if params.requested_token_type.is_some_and(|wanted| wanted != ACCESS_TOKEN_TYPE) {
        return Err(ExchangeRefusal::RequestedTokenType.into());
    }
    if params.actor_token.is_some() {
        return Err(ExchangeRefusal::ActorToken.into());
    }
    if params.audience.is_some_and(|target| target.trim_end_matches('/') != ctx.issuer()) {
        return Err(ExchangeRefusal::Audience.into());
    }
    let asked =
        Scope::parse_asked(params.scope.as_deref().unwrap_or_default()).map_err(|_| TokenRefusal::Scope)?;
    Ok((UpstreamSessionId::new(subject_token), asked))
}

struct TokenExchange {
    session_id: UpstreamSessionId,
    /// The requested scope; empty: everything.
    asked: Scope,
    /// The resources of the token.
    resources: Resources,
    event: AuditEvent,
}

impl Grant for TokenExchange {
    /// Finds the requested session and narrows its scope.
    fn evaluate(&self, request: &TokenRequest, c: &mut AnyConnection) -> Result<ResolvedGrant, TokenError> {
        let client = request.client();
        let found = sessions::find_live_session_of_client(
            c,
            &client.tenant_id,
            &client.client_id,
            &self.session_id,
            request.now,
        )?;
        let session = found.filter(|session| session.head.kind == SessionKind::Background);
        let session = session.ok_or(ExchangeRefusal::SubjectToken)?;
        let asked = scopes::known_in(&session.granted, &self.asked);
        let scope = if self.asked.is_empty() { session.granted.clone() } else { asked };
        if scope.is_empty() || !scope.is_subset_of(&with_atproto(&session.granted)) {
            return Err(TokenRefusal::Scope.into());
        }
        let user = UserGrant {
            did: session.head.atproto()?.did.clone(),
            session_iteration: Some(session.head.iteration),
            session: session.head,
            granted: None,
            parent: None,
            nonce: None,
        };
        let access = request.authorization(&scope, self.resources.clone());
        Ok(ResolvedGrant { user: Some(user), access })
    }

    /// There is nothing to consume: the session can be exchanged as long as it lives.
    fn consume(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        _tokens: &NewTokens,
    ) -> Result<Outcome, TokenError> {
        let resolved = self.evaluate(request, c)?;
        if let Some(UserGrant { session, .. }) = &resolved.user {
            sessions::touch_session(c, &session.session_id, request.now)?;
            let event = self.event.clone().of_session(session);
            insert_audit_event(c, &event.with("scope", resolved.access.scope.to_string()))?;
        }
        Ok(Outcome::Granted(resolved))
    }

    fn log(grant: &ResolvedGrant) {
        if let Some(UserGrant { session, .. }) = &grant.user {
            tracing::info!(
                session = %session.session_id,
                session.kind = session.kind.as_str(),
                session.iteration = session.iteration,
                "session exchanged for a token"
            );
        }
    }
}
