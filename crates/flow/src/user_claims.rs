//! Claims about a user as the scopes `profile` and `email` ask for them (OpenID Connect Core section 5.4), at the userinfo
//! endpoint and, for a client whose operator wants that, in its `id_token`s.

use std::time::Duration;

use causeway_domain::{EmailAddress, Handle};
use serde::Serialize;

use crate::access::Bearer;
use crate::ctx::Ctx;
use crate::repository;

/// The scope that the name takes.
const PROFILE: &str = "profile";
/// The scope that the email address takes.
const EMAIL: &str = "email";
/// How long the PDS may take to say it.
const EMAIL_TIMEOUT: Duration = Duration::from_secs(3);

/// The claims, as far as there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UserClaims {
    /// The handle, for apps that show a name. Accounts have no other one that is theirs alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Handle>,
    /// The email address that the PDS has for the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// Whether a PDS or entryway that the operator trusts says that the address is theirs. `false` of any other server's
    /// word: whoever runs a PDS can name any address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

/// Whether the PDS may be asked for what only it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// It may.
    Pds,
    /// It may not: the answer must not wait for it, and is whole without.
    Nobody,
}

/// The claims that the scope of a token covers. The email address is asked for at the PDS, now: when that does not
/// answer, or says something that is no address, both claims are left out, as ones that are not there (section 5.3.2).
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
            tracing::info!("the PDS gives an email address that is none");
            return claims;
        };
        let confirmed = account.email_confirmed.unwrap_or_default();
        claims.email = Some(email);
        claims.email_verified = Some(confirmed && ctx.trusts_email_of(&bearer.session.upstream.issuer));
    }
    claims
}
