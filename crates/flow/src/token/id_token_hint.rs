//! Our own `id_token`s, presented again by a client (OpenID Connect Core section 3.1.2.1).

use causeway_jose::{Audience, ClaimRules, Claims, Expiry, Jws};
use causeway_types::{Did, UpstreamSessionId};
use serde::Deserialize;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;
use crate::token::id_token;

/// The longest token that is parsed, in bytes.
const MAX_BYTES: usize = 8192;

/// The contents of an `id_token` of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdTokenHint {
    /// The account that signed in.
    pub did: Did,
    /// The client that it was issued to.
    pub audience: Audience,
    /// The session of the sign-in.
    pub session_id: Option<UpstreamSessionId>,
}

#[derive(Deserialize)]
struct HintClaims {
    #[serde(flatten)]
    registered: Claims,
    sid: Option<String>,
}

/// Verifies an `id_token`, expired or not; `None` when we did not sign it, or its key is no longer published.
///
/// # Errors
/// When the database does not answer.
pub async fn read(ctx: &Ctx, token: &str) -> Result<Option<IdTokenHint>, Internal> {
    let keys = issuer_keys::current(ctx).await?;
    Ok(keys.verifying().and_then(|keys| {
        let jws = Jws::parse(token, MAX_BYTES).ok()?;
        // The same keys sign access tokens, which resource servers see, and answers about a user.
        if !jws.typ().is_some_and(|typ| typ.eq_ignore_ascii_case(id_token::TYP)) {
            return None;
        }
        let claims: HintClaims = jws.verify_with(keys).ok()?.claims().ok()?;
        // Userinfo answers had the same type once, and none of these claims.
        if claims.registered.exp.is_none() || claims.registered.iat.is_none() {
            return None;
        }
        let rules = ClaimRules {
            now: ctx.now(),
            iss: Some(ctx.issuer()),
            sub: None,
            aud: &[],
            exp: Expiry::Ignored,
            grace_seconds: 0,
            skew_seconds: 60,
            needs_jti: false,
        };
        claims.registered.check(&rules).ok()?;
        Some(IdTokenHint {
            did: Did::parse(claims.registered.sub.as_deref()?).ok()?,
            audience: claims.registered.aud,
            session_id: claims.sid.map(UpstreamSessionId::new),
        })
    }))
}
