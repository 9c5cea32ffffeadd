//! The refresh token grant (RFC 6749 section 6) with rotation (RFC 9700 section 4.14.2).
//!
//! It never calls the authorization server or the PDS of the account: it works while they are down.

use std::sync::Arc;

use crate::authorization::scopes;
use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;
use crate::operations::trace;
use crate::resource::user_claims::Asking;
use crate::token::issue::{IssuedTokens, NewTokens, TokenError, TokenRefusal};
use crate::token::resolved_grant::{self, Authorization, ResolvedGrant};
use crate::token::superseded;
use causeway_domain::client::{ClientType, GrantType};
use causeway_domain::grant::{PresentedRefreshToken, RefreshDecision, RefreshToken, decide_refresh};
use causeway_domain::secret::{PlainToken, Refresh};
use causeway_domain::session::SessionHead;
use causeway_domain::{Resources, Scope, Timestamp, TokenHash};
use causeway_store::AnyConnection;
use causeway_store::operations::audit::AuditEvent;
use causeway_store::sessions;
use causeway_store::tokens;

/// The parameters of the request.
#[derive(Debug, Default)]
pub struct RefreshParams {
    /// The refresh token.
    pub refresh_token: Option<PlainToken<Refresh>>,
    /// A narrower scope for the new access token.
    pub scope: Option<String>,
    /// The resources for the new access token, among those that were granted (RFC 8707 section 2.2).
    pub resource: Vec<String>,
}

/// The outcome of the transaction.
enum Outcome {
    Granted(ResolvedGrant),
    Refused(TokenRefusal),
    Revoked(SessionHead),
}

/// Exchanges a refresh token for a new pair. The client has been authenticated and its key proven.
///
/// # Errors
/// [`TokenError`].
#[tracing::instrument(name = "flow.refresh", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn refresh(
    ctx: &Ctx,
    caller: &AuthenticatedClient,
    params: RefreshParams,
) -> Result<IssuedTokens, TokenError> {
    if !caller.client.allows(GrantType::RefreshToken) {
        return Err(TokenRefusal::Grant.into());
    }
    caller.check_binding()?;
    let token = params.refresh_token.ok_or(TokenRefusal::NoRefreshToken)?.hash();
    let asked =
        Scope::parse_asked(params.scope.as_deref().unwrap_or_default()).map_err(|_| TokenRefusal::Scope)?;
    let resources = Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?;
    let attempt = Arc::new(RefreshTokenGrant {
        ctx: ctx.clone(),
        caller: caller.clone(),
        asked,
        resources,
        now: ctx.now(),
        reused: superseded::audit_event(ctx),
    });
    let keys = issuer_keys::current(ctx).await?;
    let (this, hash) = (Arc::clone(&attempt), token.clone());
    let claims = resolved_grant::preview(ctx, &caller.client, move |c| this.preview(c, &hash)).await?;
    let pair = NewTokens::make(ctx, caller, attempt.now, claims.as_ref()).await?;
    let fresh = pair.clone();
    let outcome = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &token, &fresh)?)
        })
        .await?;
    match outcome {
        Outcome::Granted(grant) => {
            let session = &grant.session;
            trace::correlate(session.correlation_id.as_ref());
            tracing::info!(session = %session.session_id, session.iteration = grant.session_iteration, "tokens rotated");
            Ok(grant.answer(ctx, &caller.client, &keys, pair, Asking::Nobody).await?)
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Revoked(session) => {
            superseded::follow_up(ctx, &session).await;
            Err(TokenRefusal::RefreshToken.into())
        }
    }
}

struct RefreshTokenGrant {
    ctx: Ctx,
    caller: AuthenticatedClient,
    /// The scope requested for the new access token; empty: everything.
    asked: Scope,
    /// The resources requested for it; none: all that were granted.
    resources: Resources,
    now: Timestamp,
    /// The audit event for a token that has been used before.
    reused: AuditEvent,
}

impl RefreshTokenGrant {
    /// Previews the grant that the token would be grant for now; `None` when it would be refused.
    fn preview(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<Refresh>,
    ) -> Result<Option<ResolvedGrant>, Internal> {
        match tokens::find_refresh_token(c, hash)?.filter(|token| token.revoked.is_none()) {
            Some(token) => Ok(self.evaluate(c, &token)?.ok()),
            None => Ok(None),
        }
    }

    /// Resolves the grant behind a token, assuming that it may still be used.
    fn evaluate(
        &self,
        c: &mut AnyConnection,
        token: &RefreshToken,
    ) -> Result<Result<ResolvedGrant, TokenRefusal>, Internal> {
        if token.client_id != self.caller.client.client_id {
            return Ok(Err(TokenRefusal::RefreshToken));
        }
        // Before anything else: a caller without the key learns nothing, and spends and revokes nothing.
        if token.dpop_jkt.is_some() && token.dpop_jkt != self.caller.dpop_jkt {
            return Ok(Err(TokenRefusal::RefreshKey));
        }
        let session = resolved_grant::find_session(c, &self.caller.client, &token.session_id, self.now)?;
        let Some(session) = session else { return Ok(Err(TokenRefusal::SessionEnded)) };
        Ok(self.narrow(token).map(|access| ResolvedGrant {
            session,
            session_iteration: token.session_iteration,
            granted: Authorization { scope: token.scope.clone(), resources: token.resources.clone() },
            access,
            nonce: None,
        }))
    }

    /// The scope and resources of the new access token.
    fn narrow(&self, token: &RefreshToken) -> Result<Authorization, TokenRefusal> {
        let scope = scopes::narrow(&token.scope, &self.asked).ok_or(TokenRefusal::Scope)?;
        let resources =
            token.resources.narrow(&self.resources, self.ctx.issuer()).ok_or(TokenRefusal::Target)?;
        Ok(Authorization::at(&self.ctx, &scope, resources))
    }

    /// The transaction: find, decide, consume, grant.
    fn run(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<Refresh>,
        pair: &NewTokens,
    ) -> Result<Outcome, Internal> {
        let Some(token) = tokens::lock_refresh_token(c, hash)? else {
            return Ok(Outcome::Refused(TokenRefusal::RefreshToken));
        };
        let grant = match self.evaluate(c, &token)? {
            Ok(grant) => grant,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        match self.decide(c, &token)? {
            RefreshDecision::Rotate => {
                if !tokens::consume_refresh_token(c, hash, self.now)? {
                    // Another request consumed it first, between the read and the compare-and-swap: rerun.
                    return self.run(c, hash, pair);
                }
            }
            RefreshDecision::Sibling => {}
            RefreshDecision::Replace => {
                tokens::revoke_unused_successors(c, &token)?;
                // On PostgreSQL one of them may have been used between the read and the update.
                if tokens::successor_used(c, &token)? {
                    return self.revoke(c, grant.session);
                }
            }
            RefreshDecision::Expired => return Ok(Outcome::Refused(TokenRefusal::RefreshTokenExpired)),
            RefreshDecision::Dead => return Ok(Outcome::Refused(TokenRefusal::RefreshToken)),
            RefreshDecision::RevokeGrant => return self.revoke(c, grant.session),
        }
        sessions::touch_session(c, &token.session_id, self.now)?;
        pair.insert(c, &self.caller.client, &grant, Some(hash))?;
        Ok(Outcome::Granted(grant))
    }

    /// Ends the grant, which two parties hold.
    fn revoke(&self, c: &mut AnyConnection, session: SessionHead) -> Result<Outcome, Internal> {
        superseded::end_grant(c, &session, &self.reused, self.now)?;
        Ok(Outcome::Revoked(session))
    }

    fn decide(&self, c: &mut AnyConnection, token: &RefreshToken) -> Result<RefreshDecision, Internal> {
        let successor_used = token.used_at.is_some() && tokens::successor_used(c, token)?;
        Ok(decide_refresh(PresentedRefreshToken {
            now: self.now,
            expires_at: token.expires_at,
            used_at: token.used_at,
            revoked: token.revoked,
            successor_used,
            // By client authentication, or by the key that the token is bound to.
            proven: self.caller.client.client_type() == ClientType::Confidential || token.dpop_jkt.is_some(),
        }))
    }
}
