//! What the userinfo endpoint says of a person (OpenID Connect Core section 5.3).

use std::time::Duration;

use causeway_domain::client::Client;
use causeway_domain::{Did, Handle, SigningAlg};
use serde::Serialize;
use serde_json::{Value, json};

use crate::access::Bearer;
use crate::clients;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::id_token::Issuer;
use crate::repository;

/// The scope that the email address takes.
const EMAIL: &str = "email";
/// How long the person's server may take to say it.
const EMAIL_PATIENCE: Duration = Duration::from_secs(3);

/// The claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserInfo {
    /// The person's DID.
    pub sub: Did,
    /// Their handle, verified in both directions, or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<Handle>,
    /// The email address that their own server has for them, if the token's scope has `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether that server has seen that it is theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

/// The answer, in the form that the client registered.
#[derive(Debug)]
pub enum UserInfoAnswer {
    /// As JSON.
    Plain(UserInfo),
    /// As a signed JWT (`userinfo_signed_response_alg`).
    Signed(String),
}

/// Answers for the person behind a token that holds. The email address is asked for at their own server, now: when
/// that does not answer, the claim is left out, as one that is not there (section 5.3.2).
///
/// # Errors
/// When the database does not answer, or signing fails.
#[tracing::instrument(name = "flow.userinfo", skip_all)]
pub async fn answer(ctx: &Ctx, bearer: &Bearer) -> Result<UserInfoAnswer, Internal> {
    let session = &bearer.session;
    let mut info = UserInfo {
        sub: session.did.clone(),
        preferred_username: session.handle.clone(),
        email: None,
        email_verified: None,
    };
    if bearer.token.scope.contains(EMAIL)
        && let Some(account) = repository::own_account(ctx, bearer, EMAIL_PATIENCE).await
    {
        info.email_verified = account.email.as_ref().map(|_| account.email_confirmed.unwrap_or_default());
        info.email = account.email;
    }
    let client = clients::find(ctx, &bearer.token.client_id).await?;
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
    Issuer::ensure(ctx).await?.sign(alg, "JWT", claims).await
}
