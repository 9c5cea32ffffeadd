//! The `id_token`: who signed in, when, and for whom (OpenID Connect Core section 2).

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_jose::left_half_hash;
use causeway_types::{ClientId, Handle, Scope, Timestamp, UpstreamSessionId};
use serde::Serialize;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys::{self, KeySet};
use crate::resource::user_claims::UserClaims;
use crate::token::jwt_access;
use crate::upstream::atproto::handles;

/// Seconds that an `id_token` is valid.
pub(crate) const ID_TOKEN_SECONDS: i64 = 3600;

/// The scope that asks for one.
pub(crate) const OPENID: &str = "openid";

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a ClientId,
    azp: &'a ClientId,
    exp: Timestamp,
    iat: Timestamp,
    auth_time: Timestamp,
    sid: &'a UpstreamSessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    at_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a Handle>,
    #[serde(flatten)]
    claims: &'a UserClaims,
}

/// The `typ` of an `id_token`: nothing else that we sign has it (RFC 8725 section 3.11).
pub(crate) const TYP: &str = "JWT";

/// The subject of an `id_token`.
pub(crate) struct Subject<'a> {
    pub(crate) client: &'a Client,
    pub(crate) session: &'a SessionHead,
    pub(crate) scope: &'a Scope,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) access_token: &'a str,
    /// The claims of the userinfo endpoint, where the operator grants them here.
    pub(crate) claims: &'a UserClaims,
}

/// Makes sure that there are keys, if a client will need a signature for a grant of this scope: creating them
/// takes a moment.
pub(crate) async fn ensure_keys(ctx: &Ctx, client: &Client, scope: &Scope) -> Result<(), Internal> {
    if scope.contains(OPENID) || jwt_access::is_wanted(client) {
        issuer_keys::ensure(ctx).await?;
    }
    Ok(())
}

/// The token, if the scope asks for one. The `keys` are fetched before anything is consumed, so that signing
/// cannot fail for want of one.
pub(crate) async fn issue(
    ctx: &Ctx,
    keys: &KeySet,
    subject: Subject<'_>,
) -> Result<Option<String>, Internal> {
    if !subject.scope.contains(OPENID) {
        return Ok(None);
    }
    let (now, handle) = (ctx.now(), handles::shown(ctx, subject.session).await);
    let claims = serde_json::to_value(Claims {
        iss: ctx.issuer(),
        sub: subject.session.subject(),
        aud: &subject.client.client_id,
        azp: &subject.client.client_id,
        exp: now.plus(ID_TOKEN_SECONDS),
        iat: now,
        auth_time: subject.session.created_at,
        sid: &subject.session.session_id,
        nonce: subject.nonce,
        at_hash: left_half_hash(subject.access_token),
        preferred_username: handle.as_ref(),
        claims: subject.claims,
    });
    let claims = claims.map_err(|_| Internal::Inconsistent("the claims do not serialize"))?;
    keys.sign(subject.client.id_token_signed_response_alg(), TYP, claims).await.map(Some)
}
