//! Access tokens as signed JWTs (RFC 9068), for clients that chose them.
//!
//! The token is signed before the transaction that grants it, from a preview of the grant, so that the row
//! holds its hash, as of any other token. That row is what we trust, not the signature.

use causeway_domain::client::Client;
use causeway_domain::secret::{Access, PlainToken};
use causeway_domain::{AccessTokenFormat, ClientId, Jkt, Resources, Scope, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;

/// The header `typ` (section 2.1): nothing that is read as an `id_token` can be taken for one.
const TYP: &str = "at+jwt";

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

/// Section 2.2.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Value,
    client_id: &'a ClientId,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
    #[serde(skip_serializing_if = "Scope::is_empty")]
    scope: &'a Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// A key that a presenter has to prove possession of (RFC 7800 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confirmation {
    /// Its thumbprint.
    pub jkt: Jkt,
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
    let claims = serde_json::to_value(Claims {
        iss: ctx.issuer(),
        sub: &claims.sub,
        aud: claims.resources.audience(ctx.issuer()),
        client_id: &client.client_id,
        iat: now,
        exp: now.plus(client.access_token_seconds()),
        jti: ctx.rng().base64url::<16>(),
        scope: &claims.scope,
        auth_time: claims.auth_time,
        cnf: jkt.map(|jkt| Confirmation { jkt: jkt.clone() }),
    });
    let claims = claims.map_err(|_| Internal::Inconsistent("the claims do not serialize"))?;
    let token =
        issuer_keys::ensure(ctx).await?.sign(client.id_token_signed_response_alg(), TYP, claims).await?;
    Ok(PlainToken::presented(token))
}
