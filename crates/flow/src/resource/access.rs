//! The check of access tokens at this server's own resources (RFC 6750, RFC 9449 section 7), which also
//! resolves the user.

use std::sync::Arc;

use causeway_domain::session::{Credentials, SessionHead};
use causeway_domain::token::{AccessSubject, AccessToken, User};
use causeway_store::authorization::replay;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::{sessions, tokens};
use causeway_types::secret::{Access, PlainToken};
use causeway_types::{ErrorCode, McpEndpoint, TokenType};

use crate::client::lookup;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::resource::dpop::{self, ProofError, ProofRequest, Proven};
use crate::resource::proof_replay::Seen;
use crate::token::superseded;

/// The parts of a resource request that its access token is checked against. The resource's handler fills it
/// in and calls [`verify`].
#[derive(Debug)]
pub struct AccessRequest<'a> {
    /// The token.
    pub token: PlainToken<Access>,
    /// How it was presented: the scheme of the `Authorization` header. A token in a form body is presented as
    /// [`TokenType::Bearer`].
    pub scheme: TokenType,
    /// The request data that its DPoP proof must cover.
    pub proof: ProofRequest<'a>,
}

/// A valid token, its user, and the session that it gives access to.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The token.
    pub token: AccessToken,
    /// The user that it was issued for.
    pub user: User,
    /// The session. Its state is `active` or `reauth_required`.
    pub session: SessionHead,
    /// The session's own credentials as they were found beside it, when they were asked for: [`verify_to_call`].
    pub upstream: Option<Credentials>,
    /// The nonce that goes with the answer, if this client's proofs need one (RFC 9449 section 9).
    pub dpop_nonce: Option<String>,
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Unknown, expired or revoked, or its session has ended: one text for all on purpose.
    #[error("the access token is unknown, expired or revoked")]
    Invalid,
    /// It is for other resources (RFC 9068 section 4): a server that received it there must not be able to
    /// use it here.
    #[error("the access token is for another resource: ask for one with resource={0}")]
    OtherResource(String),
    /// It was issued to the client itself, and this resource belongs to a user.
    #[error("the access token was issued to the client itself: this needs the token of a user who signed in")]
    NoUser,
    /// It was issued for a user, and this resource belongs to clients.
    #[error(
        "the access token was issued for a user: this needs the client's own authentication, by HTTP Basic or by an access token of the grant client_credentials"
    )]
    NoClient,
    /// It is bound to a key and was presented without a proof (RFC 9449 section 7.2).
    #[error(
        "the access token is bound to a key: send it as Authorization: DPoP, with a proof in a DPoP header"
    )]
    Bound,
    /// It is bound to no key and was presented as if it were.
    #[error("the access token is bound to no key: send it as Authorization: Bearer")]
    Unbound,
    /// The proof is by another key than the token's.
    #[error("the access token is bound to another key than that of the DPoP proof")]
    OtherKey,
    /// The proof is invalid.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl AccessError {
    /// The code of RFC 6750 section 3.1 or RFC 9449 section 7.1.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid | Self::OtherResource(_) | Self::Bound | Self::Unbound | Self::OtherKey => {
                ErrorCode::InvalidToken
            }
            Self::NoUser | Self::NoClient => ErrorCode::InsufficientScope,
            Self::Proof(error) => error.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Checks a presented access token and the proof that it may need, and records its first use: a used token
/// proves that its refresh token's answer arrived.
///
/// # Errors
/// [`AccessError`].
pub async fn verify(ctx: &Ctx, request: &AccessRequest<'_>) -> Result<Bearer, AccessError> {
    check(ctx, request, None, None).await
}

/// Like [`verify`], for a token that names an MCP endpoint: that endpoint is a resource of its own.
///
/// # Errors
/// [`AccessError`].
pub async fn verify_at(
    ctx: &Ctx,
    request: &AccessRequest<'_>,
    endpoint: &McpEndpoint,
) -> Result<Bearer, AccessError> {
    check(ctx, request, None, Some(endpoint)).await
}

/// Like [`verify`], for a request that is forwarded to the PDS at once: also loads the session's tokens,
/// which saves a second database query.
///
/// # Errors
/// [`AccessError`].
pub async fn verify_to_call(ctx: &Ctx, request: &AccessRequest<'_>) -> Result<Bearer, AccessError> {
    check(ctx, request, Some(ctx.ring()), None).await
}

/// The user and the session behind a token.
struct Behind {
    user: User,
    session: SessionHead,
    upstream: Option<Credentials>,
    /// A late retry took the token's place before it was ever used.
    superseded: bool,
}

#[tracing::instrument(name = "flow.access", skip_all)]
async fn check(
    ctx: &Ctx,
    request: &AccessRequest<'_>,
    ring: Option<Arc<EncryptionKeyRing>>,
    endpoint: Option<&McpEndpoint>,
) -> Result<Bearer, AccessError> {
    let (hash, tenant, now) = (request.token.hash(), ctx.tenant().clone(), ctx.now());
    let found = ctx
        .store()
        .find(move |c| {
            let Some((token, session)) = tokens::find_access_token_with_session(c, &tenant, &hash)? else {
                return Ok::<_, Internal>(None);
            };
            let AccessSubject::User(user) = token.subject.clone() else {
                return Ok(Some((token, None)));
            };
            let Some(session) = session else { return Ok(None) };
            let upstream = match &ring {
                None => None,
                Some(ring) => sessions::find_credentials(c, ring, &session)?,
            };
            let superseded = tokens::is_superseded(c, &token)?;
            Ok(Some((token, Some(Behind { user, session, upstream, superseded }))))
        })
        .await?
        .ok_or(AccessError::Invalid)?;
    let (token, behind) = found;
    if let Some(Behind { session, .. }) = &behind {
        trace::correlate(session.correlation_id.as_ref());
    }
    let serves = behind.as_ref().is_none_or(|Behind { session, .. }| {
        session.is_alive_at(now) && session.client_id == token.client_id
    });
    let superseded = serves && behind.as_ref().is_some_and(|behind| behind.superseded);
    if !superseded && (token.revoked || token.expires_at <= now || !serves) {
        return Err(AccessError::Invalid);
    }
    let issuer = ctx.issuer();
    match endpoint {
        None if !token.resources.admit(issuer) => {
            return Err(AccessError::OtherResource(format!("{issuer}, or without resource")));
        }
        Some(endpoint) if !token.resources.admit_at(issuer, endpoint) => {
            return Err(AccessError::OtherResource(endpoint.address(issuer)));
        }
        _ => {}
    }
    // A request without the key of a superseded token must not end the grant.
    let dpop_nonce = verify_binding(ctx, &token, request).await?;
    let Some(Behind { user, session, upstream, .. }) = behind else { return Err(AccessError::NoUser) };
    if superseded {
        superseded::end_superseded_grant(ctx, &session.session_id).await?;
        return Err(AccessError::Invalid);
    }
    let bearer = Bearer { token, user, session, upstream, dpop_nonce };
    if note_use(ctx, &bearer).await? { Ok(bearer) } else { Err(AccessError::Invalid) }
}

/// Checks that a token is presented as it was issued, with a proof if it is bound to a key; returns the nonce for the
/// answer.
pub(super) async fn verify_binding(
    ctx: &Ctx,
    token: &AccessToken,
    request: &AccessRequest<'_>,
) -> Result<Option<String>, AccessError> {
    match (&token.dpop_jkt, request.scheme) {
        (None, TokenType::Bearer) => Ok(None),
        (None, TokenType::Dpop) => Err(AccessError::Unbound),
        (Some(_), TokenType::Bearer) => Err(AccessError::Bound),
        (Some(_), TokenType::Dpop) => verify_possession(ctx, token, request).await,
    }
}

/// Checks the proof beside a token that is bound to a key; returns the nonce for the answer.
async fn verify_possession(
    ctx: &Ctx,
    token: &AccessToken,
    request: &AccessRequest<'_>,
) -> Result<Option<String>, AccessError> {
    let client = lookup::find(ctx, &token.client_id).await?.ok_or(AccessError::Invalid)?;
    let policy = client.dpop_nonce_policy();
    let proven = dpop::verify(ctx, policy, &request.proof, Some(request.token.expose()))?;
    let Proven { jkt, once } = proven.ok_or(ProofError::MissingAtResource)?;
    if token.dpop_jkt.as_ref() != Some(&jkt) {
        return Err(AccessError::OtherKey);
    }
    let nonce = dpop::fresh_nonce(ctx, policy)?;
    match ctx.recent_proofs().consume(&once, ctx.now()) {
        Seen::Never => {}
        Seen::Before => return Err(ProofError::Replayed.into()),
        Seen::Full => return Err(Internal::Crowded.into()),
    }
    match replay::consume_shared(ctx.store(), once.clone()).await {
        Ok(true) => Ok(nonce),
        Ok(false) => Err(ProofError::Replayed.into()),
        Err(error) => {
            ctx.recent_proofs().release(&once);
            Err(Internal::from(error).into())
        }
    }
}

/// Records the use of a token and its session; `false`: the token was superseded meanwhile.
async fn note_use(ctx: &Ctx, bearer: &Bearer) -> Result<bool, Internal> {
    if bearer.token.first_used_at.is_none() {
        return superseded::note_use(ctx, &bearer.token).await;
    }
    let (id, now) = (bearer.session.session_id.clone(), ctx.now());
    if now.since(bearer.session.last_used_at) >= sessions::TOUCH_SECONDS {
        ctx.store().add(move |c| sessions::touch_session(c, &id, now).map_err(Internal::from)).await?;
    }
    Ok(true)
}
