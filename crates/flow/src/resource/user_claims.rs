//! Claims about a user for the scopes `profile` and `email` (OpenID Connect Core section 5.4): at the
//! userinfo endpoint and, for clients for which the operator enables that, in `id_token`s.

use std::time::Duration;

use causeway_types::{EmailAddress, Handle};
use schemars::JsonSchema;
use serde::Serialize;

use crate::ctx::Ctx;
use crate::resource::access::Bearer;
use crate::upstream::relay::repository;

/// The scope for the name.
const PROFILE: &str = "profile";
/// The scope for the email address.
const EMAIL: &str = "email";
/// How long the PDS may take to answer with the email address.
const EMAIL_TIMEOUT: Duration = Duration::from_secs(3);

/// The claims, as far as there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UserClaims {
    /// With the scope profile: the handle, for apps that show a name. Accounts have no other unique name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Handle>,
    /// With the scope email: the email address that the PDS has for the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// Whether a PDS or entryway that the operator trusts has verified the address. `false` for any other
    /// server: anybody who runs a PDS can claim any address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

/// Whether the PDS may be asked for claims that only it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// The PDS may be asked.
    Pds,
    /// It may not: the answer must not wait for it, and is complete without.
    Nobody,
}

/// The claims that the scope of a token covers. The email address is fetched from the PDS: when that does not
/// answer, or with something that is not an address, both email claims are left out, as unavailable claims are
/// (section 5.3.2).
pub(crate) async fn of(ctx: &Ctx, bearer: &Bearer, handle: Option<&Handle>, asking: Asking) -> UserClaims {
    let scope = &bearer.token.scope;
    let name = handle.filter(|_| scope.contains(PROFILE)).cloned();
    let mut claims = UserClaims { name, ..UserClaims::default() };
    if asking == Asking::Pds
        && scope.contains(EMAIL)
        && let Some(account) = repository::own_account(ctx, bearer, EMAIL_TIMEOUT).await
        && let Some(email) = account.email
    {
        let Some(email) = EmailAddress::parse(&email) else {
            tracing::info!("the PDS reported an invalid email address");
            return claims;
        };
        let confirmed = account.email_confirmed.unwrap_or_default();
        claims.email = Some(email);
        let issuer = bearer.session.atproto().map(|account| &account.upstream.issuer);
        claims.email_verified = Some(confirmed && issuer.is_ok_and(|issuer| ctx.trusts_email_of(issuer)));
    }
    claims
}
