//! What an access token gives: the check at our own resources (RFC 6750), and who somebody is.

use causeway_domain::grant::AccessToken;
use causeway_domain::secret::{Access, PlainToken};
use causeway_domain::session::SessionHead;
use causeway_domain::{ErrorCode, SessionKind};
use causeway_store::{sessions, tokens};

use crate::ctx::Ctx;
use crate::error::Internal;

/// A token that holds, and the session that it gives use of.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The token.
    pub token: AccessToken,
    /// The session. Its state is `active` or `reauth_required`.
    pub session: SessionHead,
}

/// Why a token does not hold.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Unknown, expired or revoked, or its session is over: the texts are one on purpose.
    #[error("the access token is unknown, expired or revoked")]
    Invalid,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl AccessError {
    /// The code of RFC 6750 section 3.1.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid => ErrorCode::InvalidToken,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Checks a presented access token, and notes its first use: a token that was used is proof that
/// its refresh token's answer arrived.
///
/// # Errors
/// [`AccessError`].
#[tracing::instrument(name = "flow.access", skip_all)]
pub async fn verify(ctx: &Ctx, presented: &PlainToken<Access>) -> Result<Bearer, AccessError> {
    let (hash, tenant, now) = (presented.hash(), ctx.tenant().clone(), ctx.now());
    let found = ctx
        .store()
        .read(move |c| {
            let Some(token) = tokens::find_access_token(c, &hash)? else { return Ok::<_, Internal>(None) };
            let session = sessions::find_session(c, &tenant, &token.session_id, SessionKind::Device)?;
            Ok(session.map(|session| Bearer { token, session }))
        })
        .await?;
    let bearer = found.ok_or(AccessError::Invalid)?;
    let holds = !bearer.token.revoked && bearer.token.expires_at > now && bearer.session.is_alive_at(now);
    if !holds || bearer.session.client_id != bearer.token.client_id {
        return Err(AccessError::Invalid);
    }
    note_use(ctx, &bearer).await?;
    Ok(bearer)
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
