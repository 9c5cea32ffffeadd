//! The authorization code grant (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

use causeway_domain::authorization::{AuthorizationCode, CodeReuse, decide_code_reuse};
use causeway_domain::client::PkcePolicy;
use causeway_store::AnyConnection;
use causeway_store::authorization::codes;
use causeway_store::operations::admin;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_types::secret::{Code, PlainToken};
use causeway_types::{CodeVerifier, GrantType, Resources, Secret, Timestamp, TokenHash};
use schemars::JsonSchema;
use url::Url;

use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::operations::audit;
use crate::resource::user_claims::Asking;
use crate::token::issue::{Grant, Outcome, issue};
use crate::token::new_tokens::{IssuedTokens, NewTokens};
use crate::token::refusal::{CodeRefusal, TokenError, TokenRefusal};
use crate::token::request::{TokenRequest, check_grant_type};
use crate::token::resolved_grant::{Authorization, ResolvedGrant, UserGrant};
use crate::token::superseded::EndedGrant;

/// The parameters of the request.
#[derive(Debug, Default, JsonSchema)]
pub struct RedeemParams {
    /// The authorization code, for authorization_code.
    #[schemars(with = "Option<String>")]
    pub code: Option<PlainToken<Code>>,
    /// The redirect URI of the authorization request. OAuth 2.1 no longer requires it; when sent, it must
    /// match.
    #[schemars(with = "Option<Url>")]
    pub redirect_uri: Option<String>,
    /// The PKCE code verifier (RFC 7636 section 4.1), for authorization_code.
    #[schemars(with = "Option<String>")]
    pub code_verifier: Option<Secret>,
    /// The resources for the access token, among those of the authorization request (RFC 8707 section 2.2).
    #[schemars(with = "Vec<Url>", default)]
    pub resource: Vec<String>,
}

/// Exchanges a code for tokens, once. The client has been authenticated and its key proven.
///
/// # Errors
/// [`TokenError`]; a failed attempt does not use the code up.
#[tracing::instrument(name = "flow.redeem", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn redeem(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    params: RedeemParams,
) -> Result<IssuedTokens, TokenError> {
    check_grant_type(authenticated, GrantType::AuthorizationCode)?;
    let code = params.code.ok_or(CodeRefusal::Missing)?.hash();
    if params.code_verifier.is_none() && authenticated.client.pkce_policy() == PkcePolicy::Required {
        return Err(CodeRefusal::NoVerifier.into());
    }
    let grant = AuthorizationCodeGrant {
        code,
        verifier: Verifier::read(params.code_verifier.as_ref()),
        redirect_uri: params.redirect_uri,
        resources: Resources::parse(&params.resource).map_err(|_| TokenRefusal::Target)?,
        reused: audit::event(ctx, Actor::Client, "code_reuse", "revoked"),
    };
    issue(ctx, authenticated, grant).await
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
    code: TokenHash<Code>,
    verifier: Verifier,
    redirect_uri: Option<String>,
    /// The resources for the access token; none: all that were granted.
    resources: Resources,
    /// The audit event for a code that has been used before.
    reused: AuditEvent,
}

impl Grant for AuthorizationCodeGrant {
    const ID_TOKEN: Option<Asking> = Some(Asking::Pds);

    fn evaluate(&self, request: &TokenRequest, c: &mut AnyConnection) -> Result<ResolvedGrant, TokenError> {
        let code = codes::find_code(c, &self.code)?.filter(|code| code.used_at.is_none());
        self.resolve(request, c, code.ok_or(CodeRefusal::Unknown)?)
    }

    fn consume(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        _tokens: &NewTokens,
    ) -> Result<Outcome, TokenError> {
        let code = codes::find_code(c, &self.code)?.ok_or(CodeRefusal::Unknown)?;
        if let Some(used_at) = code.used_at {
            return self.reuse(request, c, &code, used_at);
        }
        let resolved = self.resolve(request, c, code)?;
        if codes::consume_code(c, &self.code, request.now)?.is_some() {
            return Ok(Outcome::Granted(resolved));
        }
        // Another request consumed it first, between the read and the compare-and-swap.
        let code = codes::find_code(c, &self.code)?.ok_or(CodeRefusal::Unknown)?;
        let used_at = code.used_at.ok_or(CodeRefusal::Unknown)?;
        self.reuse(request, c, &code, used_at)
    }

    fn log(grant: &ResolvedGrant) {
        if let Some(UserGrant { session, session_iteration, .. }) = &grant.user {
            tracing::info!(session = %session.session_id, session.iteration = session_iteration, "code exchanged for tokens");
        }
    }
}

impl AuthorizationCodeGrant {
    /// Validates an unused code and resolves the grant behind it.
    fn resolve(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        code: AuthorizationCode,
    ) -> Result<ResolvedGrant, TokenError> {
        let resources = self.check(request, &code)?;
        let session = request.find_session(c, &code.session_id)?;
        let access = request.authorization(&code.scope, resources);
        let user = UserGrant {
            did: code.did,
            session,
            session_iteration: Some(code.session_iteration),
            granted: Some(Authorization { scope: code.scope, resources: code.resources }),
            parent: None,
            nonce: code.nonce,
        };
        Ok(ResolvedGrant { user: Some(user), access })
    }

    /// Checks everything that must hold before the code is consumed; returns the access token's resources.
    fn check(&self, request: &TokenRequest, code: &AuthorizationCode) -> Result<Resources, TokenRefusal> {
        if code.client_id != request.client().client_id {
            return Err(CodeRefusal::Unknown.into());
        }
        if code.expires_at <= request.now {
            return Err(CodeRefusal::Expired.into());
        }
        if self.redirect_uri.as_ref().is_some_and(|uri| *uri != code.redirect_uri) {
            return Err(CodeRefusal::RedirectUri.into());
        }
        self.check_verifier(request, code)?;
        if !has_key(request, code) {
            return Err(CodeRefusal::Key.into());
        }
        code.resources.narrow(&self.resources, request.ctx.issuer()).ok_or(TokenRefusal::Target)
    }

    /// Checks PKCE, or its substitute. A verifier without a challenge means that somebody removed the
    /// challenge from the request (RFC 9700 section 2.1.1).
    fn check_verifier(&self, request: &TokenRequest, code: &AuthorizationCode) -> Result<(), CodeRefusal> {
        let waived = code.nonce.is_some() && request.client().pkce_policy() == PkcePolicy::Nonce;
        match (&code.code_challenge, &self.verifier) {
            (Some(challenge), Verifier::Given(verifier)) if challenge.verify(verifier) => Ok(()),
            (Some(_), Verifier::Missing) => Err(CodeRefusal::NoVerifier),
            // Without PKCE the redirect URI is what binds the code (RFC 6749 section 4.1.3).
            (None, Verifier::Missing) if waived && self.redirect_uri.is_none() => {
                Err(CodeRefusal::RedirectUri)
            }
            (None, Verifier::Missing) if waived => Ok(()),
            _ => Err(CodeRefusal::Verifier),
        }
    }

    /// Handles a code that has been used before: a retry is refused, anything else revokes the grant.
    fn reuse(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        code: &AuthorizationCode,
        used_at: Timestamp,
    ) -> Result<Outcome, TokenError> {
        let refusal = TokenRefusal::from(CodeRefusal::Unknown);
        let proven = code.client_id == request.client().client_id
            && has_key(request, code)
            && self.check_verifier(request, code).is_ok();
        match decide_code_reuse(used_at, request.now, proven) {
            CodeReuse::Refuse => Ok(Outcome::Refused(refusal)),
            CodeReuse::RevokeGrant => {
                sessions::end_session(c, &code.session_id, request.now)?;
                let session = admin::find_session(c, &request.client().tenant_id, &code.session_id)?;
                if let Some(session) = &session {
                    insert_audit_event(c, &self.reused.clone().of_session(session))?;
                }
                Ok(Outcome::Revoked(refusal, EndedGrant::of_code(&code.session_id, session)))
            }
        }
    }
}

/// Whether the code's key was proven, if it has one (RFC 9449 section 10).
fn has_key(request: &TokenRequest, code: &AuthorizationCode) -> bool {
    code.dpop_jkt.is_none() || code.dpop_jkt == request.authenticated.dpop_jkt
}
