//! The authorization code grant (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

use crate::access_jwt::{self, Facts};
use crate::audit;
use crate::caller::Caller;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::id_token;
use crate::maintenance;
use crate::tokens::{FreshPair, IssuedTokens, Subject, TokenError, TokenRefusal};
use crate::trace;
use causeway_domain::client::GrantType;
use causeway_domain::grant::{AuthorizationCode, CodeReuse, decide_code_reuse};
use causeway_domain::secret::{Code, PlainToken};
use causeway_domain::session::SessionHead;
use causeway_domain::{CodeVerifier, Resources, Secret, Timestamp, TokenHash};
use causeway_store::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::{AnyConnection, admin, codes, sessions};

/// The parameters of the request.
#[derive(Debug, Default)]
pub struct RedeemParams {
    /// The code.
    pub code: Option<PlainToken<Code>>,
    /// The redirect URI of the authorization request. OAuth 2.1 no longer asks for it; when sent, it must match.
    pub redirect_uri: Option<String>,
    /// PKCE.
    pub code_verifier: Option<Secret>,
    /// Where the access token is to be used, of what the authorization request named (RFC 8707 section 2.2).
    pub resource: Vec<String>,
}

/// What the transaction came to.
enum Outcome {
    Granted { code: AuthorizationCode, session: SessionHead },
    Refused(TokenRefusal),
    Revoked { code: AuthorizationCode, session: Option<SessionHead> },
}

/// Turns a code into tokens, once. The client has been authenticated and its key proven.
///
/// # Errors
/// [`TokenError`]; a failed attempt does not use the code up.
#[tracing::instrument(name = "flow.redeem", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn redeem(ctx: &Ctx, caller: &Caller, params: RedeemParams) -> Result<IssuedTokens, TokenError> {
    if !caller.client.allows(GrantType::AuthorizationCode) {
        return Err(TokenRefusal::Grant.into());
    }
    caller.check_binding()?;
    let code = params.code.ok_or(TokenRefusal::NoCode)?.hash();
    let verifier = params.code_verifier.ok_or(TokenRefusal::NoVerifier)?;
    let attempt = Attempt {
        caller: caller.clone(),
        verifier: CodeVerifier::parse(verifier.expose()).ok(),
        redirect_uri: params.redirect_uri,
        resources: Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?,
        issuer: ctx.issuer().to_owned(),
        now: ctx.now(),
        reused: audit::act(ctx, Actor::Client, "code_reuse", "revoked"),
    };
    let issuer = id_token::Issuer::prepare(ctx).await?;
    let facts = attempt.foresee(ctx, &code).await?;
    let pair = FreshPair::make(ctx, caller, attempt.now, facts.as_ref()).await?;
    let fresh = pair.clone();
    let outcome = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &code, &fresh)?)
        })
        .await?;
    match outcome {
        Outcome::Granted { code, session } => {
            trace::correlate(session.correlation_id.as_ref());
            tracing::info!(session = %code.session_id, session.iteration = code.session_iteration, "code redeemed");
            let subject = id_token::Subject {
                client: &caller.client,
                session: &session,
                scope: &code.scope,
                nonce: code.nonce.as_deref(),
                access_token: pair.access_token(),
            };
            let id_token = issuer.issue(ctx, subject).await?;
            Ok(pair.issued(code.scope, code.did, id_token))
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Revoked { code, session } => {
            trace::correlate(session.and_then(|session| session.correlation_id).as_ref());
            tracing::warn!(session = %code.session_id, "a used code came again: its grant is revoked");
            maintenance::revoke_soon(ctx, &code.session_id).await;
            Err(TokenRefusal::Code.into())
        }
    }
}

#[derive(Clone)]
struct Attempt {
    caller: Caller,
    verifier: Option<CodeVerifier>,
    redirect_uri: Option<String>,
    /// What the access token is for; none: everything that was granted.
    resources: Resources,
    issuer: String,
    now: Timestamp,
    /// What is written down when the code has been used.
    reused: AuditEvent,
}

impl Attempt {
    /// What the access token of this code will say, for a client whose tokens are signed; `None` as well when
    /// the code will not be redeemed, so that nothing is signed in vain.
    async fn foresee(&self, ctx: &Ctx, hash: &TokenHash<Code>) -> Result<Option<Facts>, Internal> {
        if !access_jwt::is_wanted(&self.caller.client) {
            return Ok(None);
        }
        let (this, hash) = (self.clone(), hash.clone());
        ctx.store()
            .read(move |c| {
                let Some(code) = codes::find_code(c, &hash)?.filter(|code| code.used_at.is_none()) else {
                    return Ok(None);
                };
                let Ok(resources) = this.check(&code) else { return Ok(None) };
                let tenant = &this.caller.client.tenant_id;
                let session = sessions::find_session_of_token(c, tenant, &code.session_id)?;
                Ok(session.map(|session| Facts {
                    sub: code.did.to_string(),
                    scope: code.scope,
                    resources,
                    auth_time: Some(session.created_at),
                }))
            })
            .await
    }

    /// One transaction: look, decide, consume, grant.
    fn run(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<Code>,
        pair: &FreshPair,
    ) -> Result<Outcome, Internal> {
        let Some(code) = codes::find_code(c, hash)? else {
            return Ok(Outcome::Refused(TokenRefusal::Code));
        };
        if let Some(used_at) = code.used_at {
            return self.reuse(c, code, used_at);
        }
        let resources = match self.check(&code) {
            Ok(resources) => resources,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let session = sessions::find_session_of_token(c, &self.caller.client.tenant_id, &code.session_id)?;
        let Some(session) = session.filter(|session| session.is_alive_at(self.now)) else {
            return Ok(Outcome::Refused(TokenRefusal::SessionEnded));
        };
        let Some(code) = codes::consume_code(c, hash, self.now)? else {
            // Somebody else was first, between the look and the swap.
            let code = codes::find_code(c, hash)?;
            return match code.and_then(|code| code.used_at.map(|used_at| (code, used_at))) {
                Some((code, used_at)) => self.reuse(c, code, used_at),
                None => Ok(Outcome::Refused(TokenRefusal::Code)),
            };
        };
        let subject = Subject {
            client: &self.caller.client,
            did: &code.did,
            session_id: &code.session_id,
            session_iteration: Some(code.session_iteration),
            access_scope: &code.scope,
            refresh_scope: &code.scope,
            access_resources: &resources,
            refresh_resources: &code.resources,
            parent: None,
        };
        pair.insert(c, &subject)?;
        Ok(Outcome::Granted { code, session })
    }

    /// Everything that must be right before the code is consumed; gives what the access token will be for.
    fn check(&self, code: &AuthorizationCode) -> Result<Resources, TokenRefusal> {
        if code.client_id != self.caller.client.client_id {
            return Err(TokenRefusal::Code);
        }
        if code.expires_at <= self.now {
            return Err(TokenRefusal::CodeExpired);
        }
        if self.redirect_uri.as_ref().is_some_and(|uri| *uri != code.redirect_uri) {
            return Err(TokenRefusal::RedirectUri);
        }
        if !self.verifier.as_ref().is_some_and(|verifier| code.code_challenge.verify(verifier)) {
            return Err(TokenRefusal::Verifier);
        }
        if !self.has_key(code) {
            return Err(TokenRefusal::CodeKey);
        }
        code.resources.narrow(&self.resources, &self.issuer).ok_or(TokenRefusal::Target)
    }

    /// Whether the code's key was proven, if it has one (RFC 9449 section 10).
    fn has_key(&self, code: &AuthorizationCode) -> bool {
        code.dpop_jkt.is_none() || code.dpop_jkt == self.caller.dpop_jkt
    }

    /// The code has been used: a retry is refused, anything else costs the grant.
    fn reuse(
        &self,
        c: &mut AnyConnection,
        code: AuthorizationCode,
        used_at: Timestamp,
    ) -> Result<Outcome, Internal> {
        let proven = code.client_id == self.caller.client.client_id
            && self.has_key(&code)
            && self.verifier.as_ref().is_some_and(|verifier| code.code_challenge.verify(verifier));
        match decide_code_reuse(used_at, self.now, proven) {
            CodeReuse::Refuse => Ok(Outcome::Refused(TokenRefusal::Code)),
            CodeReuse::RevokeGrant => {
                sessions::end_session(c, &code.session_id, self.now)?;
                let session = admin::find_session(c, &self.caller.client.tenant_id, &code.session_id)?;
                if let Some(session) = &session {
                    insert_audit_event(c, &self.reused.clone().of_session(session))?;
                }
                Ok(Outcome::Revoked { code, session })
            }
        }
    }
}
