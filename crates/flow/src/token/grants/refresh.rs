//! The refresh token grant (RFC 6749 section 6) with rotation (RFC 9700 section 4.14.2).
//!
//! It never calls the authorization server or the PDS of the account: it works while they are down.

use causeway_domain::session::SessionHead;
use causeway_domain::token::{PresentedRefreshToken, RefreshDecision, RefreshToken, decide_refresh};
use causeway_store::operations::audit::AuditEvent;
use causeway_store::sessions;
use causeway_store::tokens;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::secret::{PlainToken, Refresh};
use causeway_types::{ClientType, GrantType, Resources, Scope, TokenHash};
use schemars::JsonSchema;
use url::Url;

use crate::authorization::scopes;
use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::resource::user_claims::Asking;
use crate::token::issue::{Grant, Outcome, issue};
use crate::token::new_tokens::{IssuedTokens, NewTokens};
use crate::token::refusal::{RefreshRefusal, TokenError, TokenRefusal};
use crate::token::request::{TokenRequest, check_grant_type};
use crate::token::resolved_grant::{Authorization, ResolvedGrant, UserGrant};
use crate::token::superseded::{self, EndedGrant};

/// The parameters of the request.
#[derive(Debug, Default, JsonSchema)]
pub struct RefreshParams {
    /// The refresh token, for refresh_token.
    #[schemars(with = "Option<String>")]
    pub refresh_token: Option<PlainToken<Refresh>>,
    /// A narrower scope for the new access token.
    pub scope: Option<String>,
    /// The resources for the new access token, among those that were granted (RFC 8707 section 2.2).
    #[schemars(with = "Vec<Url>", default)]
    pub resource: Vec<String>,
}

/// Exchanges a refresh token for a new pair. The client has been authenticated and its key proven.
///
/// # Errors
/// [`TokenError`].
#[tracing::instrument(name = "flow.refresh", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn refresh(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    params: RefreshParams,
) -> Result<IssuedTokens, TokenError> {
    check_grant_type(authenticated, GrantType::RefreshToken)?;
    let token = params.refresh_token.ok_or(RefreshRefusal::Missing)?.hash();
    let grant = RefreshTokenGrant {
        token,
        asked: Scope::parse_asked(params.scope.as_deref().unwrap_or_default())
            .map_err(|_| TokenRefusal::Scope)?,
        resources: Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?,
        reused: superseded::audit_event(ctx),
    };
    issue(ctx, authenticated, grant).await
}

struct RefreshTokenGrant {
    token: TokenHash<Refresh>,
    /// The scope requested for the new access token; empty: everything.
    asked: Scope,
    /// The resources requested for it; none: all that were granted.
    resources: Resources,
    /// The audit event for a token that has been used before.
    reused: AuditEvent,
}

impl Grant for RefreshTokenGrant {
    const ID_TOKEN: Option<Asking> = Some(Asking::Nobody);

    fn evaluate(&self, request: &TokenRequest, c: &mut AnyConnection) -> Result<ResolvedGrant, TokenError> {
        let token = tokens::find_refresh_token(c, &self.token)?.filter(|token| token.revoked.is_none());
        let (user, access) = self.resolve(request, c, &token.ok_or(RefreshRefusal::Unknown)?)?;
        Ok(ResolvedGrant { user: Some(user), access })
    }

    fn consume(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        _tokens: &NewTokens,
    ) -> Result<Outcome, TokenError> {
        self.rotate(request, c)
    }

    fn log(grant: &ResolvedGrant) {
        if let Some(UserGrant { session, session_iteration, .. }) = &grant.user {
            tracing::info!(session = %session.session_id, session.iteration = session_iteration, "tokens rotated");
        }
    }
}

impl RefreshTokenGrant {
    /// Consumes the token, or decides about one that was consumed before.
    fn rotate(&self, request: &TokenRequest, c: &mut AnyConnection) -> Result<Outcome, TokenError> {
        let token = tokens::lock_refresh_token(c, &self.token)?.ok_or(RefreshRefusal::Unknown)?;
        let (user, access) = self.resolve(request, c, &token)?;
        match decide(request, c, &token)? {
            RefreshDecision::Rotate => {
                if !tokens::consume_refresh_token(c, &self.token, request.now)? {
                    // Another request consumed it first, between the read and the compare-and-swap: rerun.
                    return self.rotate(request, c);
                }
            }
            RefreshDecision::Sibling => {}
            RefreshDecision::Replace => {
                tokens::revoke_unused_successors(c, &token)?;
                // On PostgreSQL one of them may have been used between the read and the update.
                if tokens::successor_used(c, &token)? {
                    return self.revoke(request, c, user.session);
                }
            }
            RefreshDecision::Expired => return Err(RefreshRefusal::Expired.into()),
            RefreshDecision::Dead => return Err(RefreshRefusal::Unknown.into()),
            RefreshDecision::RevokeGrant => return self.revoke(request, c, user.session),
        }
        sessions::touch_session(c, &token.session_id, request.now)?;
        Ok(Outcome::Granted(ResolvedGrant { user: Some(user), access }))
    }

    /// Resolves the grant behind a token, assuming that it may still be used: the user's part of it, and what
    /// the new access token allows.
    fn resolve(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        token: &RefreshToken,
    ) -> Result<(UserGrant, Authorization), TokenError> {
        if token.client_id != request.client().client_id {
            return Err(RefreshRefusal::Unknown.into());
        }
        // Before anything else: a client without the key learns nothing, and spends and revokes nothing.
        if token.dpop_jkt.is_some() && token.dpop_jkt != request.authenticated.dpop_jkt {
            return Err(RefreshRefusal::Key.into());
        }
        let user = UserGrant {
            did: token.did.clone(),
            session: request.find_session(c, &token.session_id)?,
            session_iteration: token.session_iteration,
            granted: Some(Authorization { scope: token.scope.clone(), resources: token.resources.clone() }),
            parent: Some(self.token.clone()),
            nonce: None,
        };
        let scope = scopes::narrow(&token.scope, &self.asked).ok_or(TokenRefusal::Scope)?;
        let resources =
            token.resources.narrow(&self.resources, request.ctx.issuer()).ok_or(TokenRefusal::Target)?;
        Ok((user, request.authorization(&scope, resources)))
    }

    /// Ends the grant, which two parties hold.
    fn revoke(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        session: SessionHead,
    ) -> Result<Outcome, TokenError> {
        superseded::end_grant(c, &session, &self.reused, request.now)?;
        Ok(Outcome::Revoked(RefreshRefusal::Unknown.into(), EndedGrant::of_token(session)))
    }
}

fn decide(
    request: &TokenRequest,
    c: &mut AnyConnection,
    token: &RefreshToken,
) -> Result<RefreshDecision, StoreError> {
    let successor_used = token.used_at.is_some() && tokens::successor_used(c, token)?;
    Ok(decide_refresh(PresentedRefreshToken {
        now: request.now,
        expires_at: token.expires_at,
        used_at: token.used_at,
        revoked: token.revoked,
        successor_used,
        // By client authentication, or by the key that the token is bound to.
        proven: request.client().client_type() == ClientType::Confidential || token.dpop_jkt.is_some(),
    }))
}
