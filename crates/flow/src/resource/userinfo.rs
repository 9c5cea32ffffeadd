//! The userinfo endpoint (OpenID Connect Core section 5.3).

use causeway_domain::client::Client;
use causeway_types::{Did, Handle, SigningAlg};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::lookup;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;
use crate::resource::access::Bearer;
use crate::resource::user_claims::{self, Asking, UserClaims};
use crate::upstream::atproto::handles;

/// The `typ` of a signed answer, which keeps it from being mistaken for an `id_token` or the reverse (RFC
/// 8725 section 3.11).
const TYP: &str = "userinfo+jwt";

/// The userinfo response: claims about the user (OpenID Connect Core section 5.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UserInfo {
    /// The user's DID.
    pub sub: Did,
    /// The user's handle, if it is verified in both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<Handle>,
    /// The claims for the scopes `profile` and `email` of the token.
    #[serde(flatten)]
    pub claims: UserClaims,
}

/// The answer, in the form that the client registered.
#[derive(Debug)]
pub enum UserInfoAnswer {
    /// As JSON.
    Plain(UserInfo),
    /// As a signed JWT (`userinfo_signed_response_alg`).
    Signed(String),
}

/// Answers with the claims about the user behind a valid token.
///
/// # Errors
/// When the database does not answer, or signing fails.
#[tracing::instrument(name = "flow.userinfo", skip_all)]
pub async fn answer(ctx: &Ctx, bearer: &Bearer) -> Result<UserInfoAnswer, Internal> {
    let session = &bearer.session;
    let handle = handles::shown(ctx, session).await;
    let claims = user_claims::of(ctx, bearer, handle.as_ref(), Asking::Pds).await;
    let info = UserInfo { sub: bearer.user.did.clone(), preferred_username: handle, claims };
    let client = lookup::find(ctx, &bearer.token.client_id).await?;
    match client.as_ref().and_then(|client| Some((client, client.userinfo_signed_response_alg()?))) {
        Some((client, alg)) => sign(ctx, client, alg, &info).await.map(UserInfoAnswer::Signed),
        None => Ok(UserInfoAnswer::Plain(info)),
    }
}

/// Section 5.3.2: with `iss` and `aud`.
async fn sign(ctx: &Ctx, client: &Client, alg: SigningAlg, info: &UserInfo) -> Result<String, Internal> {
    let mut claims = json!(info);
    claims["iss"] = Value::from(ctx.issuer());
    claims["aud"] = Value::from(client.client_id.as_str());
    issuer_keys::ensure(ctx).await?.sign(alg, TYP, claims).await
}
