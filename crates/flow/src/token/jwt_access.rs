//! Access tokens as signed JWTs (RFC 9068), for clients that chose them.
//!
//! The token is signed before the transaction that grants it, from a preview of the grant, so that the row
//! holds its hash, as of any other token. That row is what we trust, not the signature.

use causeway_domain::client::{AccessTokenFormat, Client};
use causeway_types::claims::Confirmation;
use causeway_types::secret::{Access, PlainToken};
use causeway_types::{AccessTokenClaims, Jkt, Resources, Scope, Timestamp};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;

/// Contents of a token to be signed, valid only if its grant still holds when the row is written.
#[derive(Debug)]
pub(crate) struct JwtAccessClaims {
    /// The user, or the client itself.
    pub(crate) sub: String,
    /// Its scope.
    pub(crate) scope: Scope,
    /// Its resources.
    pub(crate) resources: Resources,
    /// When the user signed in.
    pub(crate) auth_time: Option<Timestamp>,
}

/// Whether this client gets signed access tokens.
pub(crate) fn is_wanted(client: &Client) -> bool {
    client.access_token_format() == AccessTokenFormat::Jwt
}

/// Signs a token that begins now.
pub(crate) async fn sign(
    ctx: &Ctx,
    client: &Client,
    jkt: Option<&Jkt>,
    now: Timestamp,
    claims: &JwtAccessClaims,
) -> Result<PlainToken<Access>, Internal> {
    let (issuer, client_id) = (ctx.issuer(), client.client_id.clone());
    let (jti, exp) = (ctx.rng().base64url::<16>(), now.plus(client.access_token_seconds()));
    let mut signed = AccessTokenClaims::new(issuer, &claims.sub, client_id, jti, now, exp);
    signed.aud = claims.resources.audience(issuer);
    signed.scope = claims.scope.clone();
    signed.auth_time = claims.auth_time;
    signed.cnf = jkt.cloned().map(Confirmation::from);
    let claims = serde_json::to_value(signed);
    let claims = claims.map_err(|_| Internal::Inconsistent("the claims do not serialize"))?;
    let token = issuer_keys::ensure(ctx)
        .await?
        .sign(client.id_token_signed_response_alg(), AccessTokenClaims::TYP, claims)
        .await?;
    Ok(PlainToken::presented(token))
}
