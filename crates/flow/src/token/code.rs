//! The authorization code grant (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

use std::sync::Arc;

use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::issuer_keys;
use crate::operations::trace;
use crate::resource::user_claims::Asking;
use crate::token::issue::{IssuedTokens, NewTokens, TokenError, TokenRefusal};
use crate::token::resolved_grant::{self, Authorization, ResolvedGrant};
use crate::upstream::revocation;
use causeway_domain::client::GrantType;
use causeway_domain::grant::{AuthorizationCode, CodeReuse, decide_code_reuse};
use causeway_domain::secret::{Code, PlainToken};
use causeway_domain::session::SessionHead;
use causeway_domain::{CodeVerifier, PkcePolicy, Resources, Secret, Timestamp, TokenHash};
use causeway_store::AnyConnection;
use causeway_store::authorization::codes;
use causeway_store::operations::admin;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;

/// The parameters of the request.
#[derive(Debug, Default)]
pub struct RedeemParams {
    /// The code.
    pub code: Option<PlainToken<Code>>,
    /// The redirect URI of the authorization request. OAuth 2.1 no longer requires it; when sent, it must
    /// match.
    pub redirect_uri: Option<String>,
    /// The PKCE code verifier.
    pub code_verifier: Option<Secret>,
    /// The resources for the access token, among those of the authorization request (RFC 8707 section 2.2).
    pub resource: Vec<String>,
}

/// The outcome of the transaction.
enum Outcome {
    Granted(ResolvedGrant),
    Refused(TokenRefusal),
    Revoked { code: AuthorizationCode, session: Option<SessionHead> },
}

/// Exchanges a code for tokens, once. The client has been authenticated and its key proven.
///
/// # Errors
/// [`TokenError`]; a failed attempt does not use the code up.
#[tracing::instrument(name = "flow.redeem", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn redeem(
    ctx: &Ctx,
    caller: &AuthenticatedClient,
    params: RedeemParams,
) -> Result<IssuedTokens, TokenError> {
    if !caller.client.allows(GrantType::AuthorizationCode) {
        return Err(TokenRefusal::Grant.into());
    }
    caller.check_binding()?;
    let code = params.code.ok_or(TokenRefusal::NoCode)?.hash();
    if params.code_verifier.is_none() && caller.client.pkce_policy() == PkcePolicy::Required {
        return Err(TokenRefusal::NoVerifier.into());
    }
    let attempt = Arc::new(AuthorizationCodeGrant {
        ctx: ctx.clone(),
        caller: caller.clone(),
        verifier: Verifier::read(params.code_verifier.as_ref()),
        redirect_uri: params.redirect_uri,
        resources: Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?,
        now: ctx.now(),
        reused: audit::event(ctx, Actor::Client, "code_reuse", "revoked"),
    });
    let keys = issuer_keys::current(ctx).await?;
    let (this, hash) = (Arc::clone(&attempt), code.clone());
    let claims = resolved_grant::preview(ctx, &caller.client, move |c| this.preview(c, &hash)).await?;
    let pair = NewTokens::make(ctx, caller, attempt.now, claims.as_ref()).await?;
    let fresh = pair.clone();
    let outcome = ctx
        .store()
        .write(move |c| {
            attempt.caller.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(attempt.run(c, &code, &fresh)?)
        })
        .await?;
    match outcome {
        Outcome::Granted(grant) => {
            let session = &grant.session;
            trace::correlate(session.correlation_id.as_ref());
            tracing::info!(session = %session.session_id, session.iteration = grant.session_iteration, "code grant");
            Ok(grant.answer(ctx, &caller.client, &keys, pair, Asking::Pds).await?)
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Revoked { code, session } => {
            trace::correlate(session.and_then(|session| session.correlation_id).as_ref());
            tracing::warn!(session = %code.session_id, "a used code came again: its grant is revoked");
            revocation::revoke_soon(ctx, &code.session_id).await;
            Err(TokenRefusal::Code.into())
        }
    }
}

/// The `code_verifier` of a token request.
enum Verifier {
    Missing,
    Malformed,
    Given(CodeVerifier),
}

impl Verifier {
    fn read(sent: Option<&Secret>) -> Self {
        match sent.map(|sent| CodeVerifier::parse(sent.expose())) {
            None => Self::Missing,
            Some(Err(_)) => Self::Malformed,
            Some(Ok(verifier)) => Self::Given(verifier),
        }
    }
}

struct AuthorizationCodeGrant {
    ctx: Ctx,
    caller: AuthenticatedClient,
    verifier: Verifier,
    redirect_uri: Option<String>,
    /// The resources for the access token; none: all that were granted.
    resources: Resources,
    now: Timestamp,
    /// The audit event for a code that has been used before.
    reused: AuditEvent,
}

impl AuthorizationCodeGrant {
    /// Previews the grant that the code would be grant for now; `None` when it would be refused.
    fn preview(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<Code>,
    ) -> Result<Option<ResolvedGrant>, Internal> {
        let Some(code) = codes::find_code(c, hash)?.filter(|code| code.used_at.is_none()) else {
            return Ok(None);
        };
        Ok(self.evaluate(c, code)?.ok())
    }

    /// Validates an unused code and resolves the grant behind it.
    fn evaluate(
        &self,
        c: &mut AnyConnection,
        code: AuthorizationCode,
    ) -> Result<Result<ResolvedGrant, TokenRefusal>, Internal> {
        let resources = match self.check(&code) {
            Ok(resources) => resources,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let session = resolved_grant::find_session(c, &self.caller.client, &code.session_id, self.now)?;
        let Some(session) = session else { return Ok(Err(TokenRefusal::SessionEnded)) };
        Ok(Ok(ResolvedGrant {
            session,
            session_iteration: Some(code.session_iteration),
            access: Authorization::at(&self.ctx, &code.scope, resources),
            granted: Authorization { scope: code.scope, resources: code.resources },
            nonce: code.nonce,
        }))
    }

    /// The transaction: find, validate, consume, grant.
    fn run(
        &self,
        c: &mut AnyConnection,
        hash: &TokenHash<Code>,
        pair: &NewTokens,
    ) -> Result<Outcome, Internal> {
        let Some(code) = codes::find_code(c, hash)? else {
            return Ok(Outcome::Refused(TokenRefusal::Code));
        };
        if let Some(used_at) = code.used_at {
            return self.reuse(c, code, used_at);
        }
        let grant = match self.evaluate(c, code)? {
            Ok(grant) => grant,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        if codes::consume_code(c, hash, self.now)?.is_none() {
            // Another request consumed it first, between the read and the compare-and-swap.
            let code = codes::find_code(c, hash)?;
            return match code.and_then(|code| code.used_at.map(|used_at| (code, used_at))) {
                Some((code, used_at)) => self.reuse(c, code, used_at),
                None => Ok(Outcome::Refused(TokenRefusal::Code)),
            };
        }
        pair.insert(c, &self.caller.client, &grant, None)?;
        Ok(Outcome::Granted(grant))
    }

    /// Checks everything that must hold before the code is consumed; returns the access token's resources.
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
        self.check_verifier(code)?;
        if !self.has_key(code) {
            return Err(TokenRefusal::CodeKey);
        }
        code.resources.narrow(&self.resources, self.ctx.issuer()).ok_or(TokenRefusal::Target)
    }

    /// Checks PKCE, or its substitute. A verifier without a challenge means that somebody removed the
    /// challenge from the request (RFC 9700 section 2.1.1).
    fn check_verifier(&self, code: &AuthorizationCode) -> Result<(), TokenRefusal> {
        let waived = code.nonce.is_some() && self.caller.client.pkce_policy() == PkcePolicy::Nonce;
        match (&code.code_challenge, &self.verifier) {
            (Some(challenge), Verifier::Given(verifier)) if challenge.verify(verifier) => Ok(()),
            (Some(_), Verifier::Missing) => Err(TokenRefusal::NoVerifier),
            // Without PKCE the redirect URI is what binds the code (RFC 6749 section 4.1.3).
            (None, Verifier::Missing) if waived && self.redirect_uri.is_none() => {
                Err(TokenRefusal::RedirectUri)
            }
            (None, Verifier::Missing) if waived => Ok(()),
            _ => Err(TokenRefusal::Verifier),
        }
    }

    /// Whether the code's key was proven, if it has one (RFC 9449 section 10).
    fn has_key(&self, code: &AuthorizationCode) -> bool {
        code.dpop_jkt.is_none() || code.dpop_jkt == self.caller.dpop_jkt
    }

    /// Handles a code that has been used before: a retry is refused, anything else revokes the grant.
    fn reuse(
        &self,
        c: &mut AnyConnection,
        code: AuthorizationCode,
        used_at: Timestamp,
    ) -> Result<Outcome, Internal> {
        let proven = code.client_id == self.caller.client.client_id
            && self.has_key(&code)
            && self.check_verifier(&code).is_ok();
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
