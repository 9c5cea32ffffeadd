//! What an access token gives: the one check at our own resources (RFC 6750, RFC 9449 section 7), and who
//! somebody is.

use causeway_domain::grant::AccessToken;
use causeway_domain::secret::{Access, PlainToken};
use causeway_domain::session::SessionHead;
use causeway_domain::{ErrorCode, SessionKind};
use causeway_store::{replay, sessions, tokens};

use crate::clients;
use crate::ctx::Ctx;
use crate::dpop::{self, ProofError, ProofRequest, Proven};
use crate::error::Internal;
use crate::recent::Seen;
use crate::tokens::TokenType;
use crate::trace;

/// A request to a resource, as far as its access token is concerned. Whatever serves a resource fills it in
/// and asks [`verify`].
#[derive(Debug)]
pub struct AccessRequest<'a> {
    /// The token.
    pub token: PlainToken<Access>,
    /// How it was presented: the scheme of the `Authorization` header. A token in a form body is presented as
    /// [`TokenType::Bearer`].
    pub scheme: TokenType,
    /// What its DPoP proof is about.
    pub proof: ProofRequest<'a>,
}

/// A token that holds, and the session that it gives use of.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The token.
    pub token: AccessToken,
    /// The session. Its state is `active` or `reauth_required`.
    pub session: SessionHead,
    /// The nonce that goes with the answer, if this client's proofs need one (RFC 9449 section 9).
    pub dpop_nonce: Option<String>,
}

/// Why a token does not hold.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Unknown, expired or revoked, or its session is over: the texts are one on purpose.
    #[error("the access token is unknown, expired or revoked")]
    Invalid,
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
    /// The proof does not hold.
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
            Self::Invalid | Self::Bound | Self::Unbound | Self::OtherKey => ErrorCode::InvalidToken,
            Self::Proof(error) => error.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Checks a presented access token and the proof that it may need, and notes its first use: a token that
/// was used is proof that its refresh token's answer arrived.
///
/// # Errors
/// [`AccessError`].
#[tracing::instrument(name = "flow.access", skip_all)]
pub async fn verify(ctx: &Ctx, request: &AccessRequest<'_>) -> Result<Bearer, AccessError> {
    let (hash, tenant, now) = (request.token.hash(), ctx.tenant().clone(), ctx.now());
    let found = ctx
        .store()
        .read(move |c| {
            let Some(token) = tokens::find_access_token(c, &hash)? else { return Ok::<_, Internal>(None) };
            let session = sessions::find_session(c, &tenant, &token.session_id, SessionKind::Device)?;
            Ok(session.map(|session| Bearer { token, session, dpop_nonce: None }))
        })
        .await?;
    let mut bearer = found.ok_or(AccessError::Invalid)?;
    trace::correlate(bearer.session.correlation_id.as_ref());
    let holds = !bearer.token.revoked && bearer.token.expires_at > now && bearer.session.is_alive_at(now);
    if !holds || bearer.session.client_id != bearer.token.client_id {
        return Err(AccessError::Invalid);
    }
    match (&bearer.token.dpop_jkt, request.scheme) {
        (None, TokenType::Bearer) => {}
        (None, TokenType::Dpop) => return Err(AccessError::Unbound),
        (Some(_), TokenType::Bearer) => return Err(AccessError::Bound),
        (Some(_), TokenType::Dpop) => {
            bearer.dpop_nonce = verify_possession(ctx, &bearer.token, request).await?;
        }
    }
    note_use(ctx, &bearer).await?;
    Ok(bearer)
}

/// Checks the proof beside a token that is bound to a key; gives the nonce for the answer.
async fn verify_possession(
    ctx: &Ctx,
    token: &AccessToken,
    request: &AccessRequest<'_>,
) -> Result<Option<String>, AccessError> {
    let client = clients::find(ctx, &token.client_id).await?.ok_or(AccessError::Invalid)?;
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

async fn note_use(ctx: &Ctx, bearer: &Bearer) -> Result<(), Internal> {
    let now = ctx.now();
    let first = bearer.token.first_used_at.is_none();
    if !first && now.since(bearer.session.last_used_at) < sessions::TOUCH_SECONDS {
        return Ok(());
    }
    let (hash, session_id) = (bearer.token.token.clone(), bearer.session.session_id.clone());
    ctx.store()
        .write(move |c| {
            if first {
                tokens::mark_access_token_used(c, &hash, now)?;
            }
            sessions::touch_session(c, &session_id, now)?;
            Ok(())
        })
        .await
}
