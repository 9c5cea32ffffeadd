//! The refresh token grant (RFC 6749 section 6) with rotation (RFC 9700 section 4.14.2).
//!
//! It never calls the person's server: it works while that is down.

use crate::access_jwt::{self, Facts};
use crate::audit;
use crate::caller::Caller;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::id_token;
use crate::maintenance;
use crate::scopes;
use crate::tokens::{FreshPair, IssuedTokens, Subject, TokenError, TokenRefusal};
use crate::trace;
use causeway_domain::client::{ClientType, GrantType};
use causeway_domain::grant::{RefreshDecision, RefreshFacts, RefreshToken, decide_refresh};
use causeway_domain::secret::{PlainToken, Refresh};
use causeway_domain::session::SessionHead;
use causeway_domain::{Resources, Scope, Timestamp, TokenHash};
use causeway_store::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::{AnyConnection, sessions, tokens};

/// The parameters of the request.
#[derive(Debug, Default)]
pub struct RefreshParams {
    /// The refresh token.
    pub refresh_token: Option<PlainToken<Refresh>>,
    /// A narrower scope for the new access token.
    pub scope: Option<String>,
    /// Where the new access token is to be used, of what was granted (RFC 8707 section 2.2).
    pub resource: Vec<String>,
}

/// What the transaction came to.
enum Outcome {
    Granted { token: RefreshToken, session: SessionHead, scope: Scope },
    Refused(TokenRefusal),
    Revoked { token: RefreshToken, session: SessionHead },
}

/// Turns a refresh token into a new pair. The client has been authenticated and its key proven.
///
/// # Errors
/// [`TokenError`].
#[tracing::instrument(name = "flow.refresh", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn refresh(ctx: &Ctx, caller: &Caller, params: RefreshParams) -> Result<IssuedTokens, TokenError> {
    if !caller.client.allows(GrantType::RefreshToken) {
        return Err(TokenRefusal::Grant.into());
    }
    caller.check_binding()?;
    let token = params.refresh_token.ok_or(TokenRefusal::NoRefreshToken)?.hash();
    let asked = Scope::parse(params.scope.as_deref().unwrap_or_default()).map_err(|_| TokenRefusal::Scope)?;
    let resources = Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?;
    let attempt = Attempt {
        caller: caller.clone(),
        asked,
        resources,
        issuer: ctx.issuer().to_owned(),
        now: ctx.now(),
        reused: audit::act(ctx, Actor::Client, "refresh_token_reuse", "revoked"),
    };
    let issuer = id_token::Issuer::prepare(ctx).await?;
    let facts = attempt.foresee(ctx, &token).await?;
    let pair = FreshPair::make(ctx, caller, attempt.now, facts.as_ref()).await?;
    let fresh = pair.clone();
    let outcome = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &token, &fresh)?)
        })
        .await?;
    match outcome {
        Outcome::Granted { token, session, scope } => {
            trace::correlate(session.correlation_id.as_ref());
            tracing::info!(session = %token.session_id, session.iteration = token.session_iteration, "tokens rotated");
            // OpenID Connect Core section 12.2: as the first one, without its nonce.
            let access_token = pair.access_token();
            let subject = id_token::Subject {
                client: &caller.client,
                session: &session,
                scope: &scope,
                nonce: None,
                access_token,
            };
            let id_token = issuer.issue(ctx, subject).await?;
            Ok(pair.issued(scope, token.did, id_token))
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Revoked { token, session } => {
            trace::correlate(session.correlation_id.as_ref());
            tracing::warn!(session = %token.session_id, "a used refresh token came again: its grant is revoked");
            maintenance::revoke_soon(ctx, &token.session_id).await;
            Err(TokenRefusal::RefreshToken.into())
        }
    }
}

#[derive(Clone)]
struct Attempt {
    caller: Caller,
    /// What the new access token is for; empty: everything.
    asked: Scope,
    /// Where it is to be used; none: everywhere that was granted.
    resources: Resources,
    issuer: String,
    now: Timestamp,
    /// What is written down when the token has been used.
    reused: AuditEvent,
}

impl Attempt {
    /// What the new access token will say, for a client whose tokens are signed; `None` as well when there
    /// will be none, so that nothing is signed in vain.
    async fn foresee(&self, ctx: &Ctx, hash: &TokenHash<Refresh>) -> Result<Option<Facts>, Internal> {
        if !access_jwt::is_wanted(&self.caller.client) {
            return Ok(None);
        }
        let (this, hash) = (self.clone(), hash.clone());
        ctx.store()
            .read(move |c| {
                let own = |token: &RefreshToken| {
                    token.client_id == this.caller.client.client_id && token.revoked.is_none()
                };
                let Some(token) = tokens::find_refresh_token(c, &hash)?.filter(own) else { return Ok(None) };
                let Ok((scope, resources)) = this.narrow(&token) else { return Ok(None) };
                let tenant = &this.caller.client.tenant_id;
                let session = sessions::find_session_of_token(c, tenant, &token.session_id)?;
                Ok(session.map(|session| Facts {
                    sub: token.did.to_string(),
                    scope,
                    resources,
                    auth_time: Some(session.created_at),
                }))
            })
            .await
    }

    /// What the new access token is for.
    fn narrow(&self, token: &RefreshToken) -> Result<(Scope, Resources), TokenRefusal> {
        let scope = scopes::narrow(&token.scope, &self.asked).ok_or(TokenRefusal::Scope)?;
        let resources = token.resources.narrow(&self.resources, &self.issuer).ok_or(TokenRefusal::Target)?;
        Ok((scope, resources))
    }

    /// One transaction: look, decide, consume, grant.
    fn run(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<Refresh>,
        pair: &FreshPair,
    ) -> Result<Outcome, Internal> {
        let own = |token: &RefreshToken| token.client_id == self.caller.client.client_id;
        let Some(token) = tokens::lock_refresh_token(c, hash)?.filter(own) else {
            return Ok(Outcome::Refused(TokenRefusal::RefreshToken));
        };
        // Before anything else: whoever lacks the key learns nothing, and spends and revokes nothing.
        if token.dpop_jkt.is_some() && token.dpop_jkt != self.caller.dpop_jkt {
            return Ok(Outcome::Refused(TokenRefusal::RefreshKey));
        }
        let session = sessions::find_session_of_token(c, &self.caller.client.tenant_id, &token.session_id)?;
        let Some(session) = session.filter(|session| session.is_alive_at(self.now)) else {
            return Ok(Outcome::Refused(TokenRefusal::SessionEnded));
        };
        let (scope, resources) = match self.narrow(&token) {
            Ok(narrowed) => narrowed,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        match self.decide(c, &token)? {
            RefreshDecision::Rotate => {
                if !tokens::consume_refresh_token(c, hash, self.now)? {
                    // Somebody else was first, between the look and the swap: look again.
                    return self.run(c, hash, pair);
                }
                sessions::touch_session(c, &token.session_id, self.now)?;
            }
            RefreshDecision::Sibling => {}
            RefreshDecision::Replace => {
                tokens::revoke_unused_successors(c, &token)?;
            }
            RefreshDecision::Expired => return Ok(Outcome::Refused(TokenRefusal::RefreshTokenExpired)),
            RefreshDecision::Dead => return Ok(Outcome::Refused(TokenRefusal::RefreshToken)),
            RefreshDecision::RevokeGrant => {
                sessions::end_session(c, &token.session_id, self.now)?;
                insert_audit_event(c, &self.reused.clone().of_session(&session))?;
                return Ok(Outcome::Revoked { token, session });
            }
        }
        let subject = Subject {
            client: &self.caller.client,
            did: &token.did,
            session_id: &token.session_id,
            session_iteration: token.session_iteration,
            access_scope: &scope,
            refresh_scope: &token.scope,
            access_resources: &resources,
            refresh_resources: &token.resources,
            parent: Some(hash),
        };
        pair.insert(c, &subject)?;
        Ok(Outcome::Granted { token, session, scope })
    }

    fn decide(&self, c: &mut AnyConnection, token: &RefreshToken) -> Result<RefreshDecision, Internal> {
        let successor_used = token.used_at.is_some() && tokens::successor_used(c, token)?;
        Ok(decide_refresh(RefreshFacts {
            now: self.now,
            expires_at: token.expires_at,
            used_at: token.used_at,
            revoked: token.revoked,
            successor_used,
            // By authentication, or by the key that it is bound to.
            proven: self.caller.client.client_type() == ClientType::Confidential || token.dpop_jkt.is_some(),
        }))
    }
}
