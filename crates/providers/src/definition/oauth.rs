//! The kinds `oauth2` and `oidc`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::account::{self, Identity, ManagedAccounts, RawIdentity, RawManagedAccounts};
use super::answer::{self, Answer, Credential, RawAnswer, RawCredential};
use super::capture::{self, Capture, RawCapture};
use super::head::Head;
use super::lifetime::{Lifetime, RawLifetime};
use super::parameter::RawParameter;
use super::refresh::{RawRefresh, Refresh};
use super::registration::{RawBy, RawRegistration, Registration};
use super::relay::{RawRelay, Relay, RelayFields};
use super::request::{
    AuthorizationRequest, Exchange, RawAuthorization, RawExchange, RawTokenRequest, TokenRequest,
};
use super::revocation::{RawRevocation, Revocation};
use crate::check::{Check, Step};
use crate::values::name::FieldName;
use crate::values::url_template::UrlTemplate;

/// An OAuth 2.0 authorization server.
#[derive(Clone, Debug, PartialEq)]
pub struct Oauth2 {
    /// Addresses of its endpoints.
    pub endpoints: Endpoints,
    /// Causeway as its client.
    pub client: OauthClient,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Oidc {
    /// Address of its metadata.
    pub discovery: Discovery,
    /// Causeway as its client.
    pub client: OauthClient,
}

/// Sources of the endpoints of an authorization server.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoints {
    /// These addresses.
    Fixed {
        /// The authorization endpoint.
        authorization: UrlTemplate,
        /// The token endpoint.
        token: UrlTemplate,
    },
    /// The addresses in its metadata (RFC 8414).
    Discovered(Discovery),
}

/// An issuer, whose metadata names the endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// The issuer.
    pub issuer: UrlTemplate,
    /// Pattern of the issuer in metadata and tokens where it differs: each field stands for one segment.
    pub issuer_pattern: Option<UrlTemplate>,
}

/// Causeway as the client of an authorization server.
#[derive(Clone, Debug, PartialEq)]
pub struct OauthClient {
    /// Registration at it.
    pub registration: Registration,
    /// The scopes.
    pub scopes: Scopes,
    /// Its support of PKCE.
    pub pkce: Pkce,
    /// Whether it takes the parameter `resource` (RFC 8707).
    pub resource: bool,
    /// Steps that only code can do.
    pub extras: Option<Extras>,
    /// Number of accounts that one user may connect.
    pub accounts: Accounts,
    /// The number of grants of one registration that an account may have; above it, the oldest one ends.
    pub grants_per_account: Option<NonZeroU32>,
    /// The authorization request.
    pub authorization: AuthorizationRequest,
    /// The token request.
    pub token_request: TokenRequest,
    /// A second request for a token that lives long.
    pub exchange: Option<Exchange>,
    /// Rules for reading the answers.
    pub answer: Answer,
    /// Further credentials in the answer to a code.
    pub credentials: Vec<Credential>,
    /// Values of answers that later addresses contain.
    pub captures: Vec<Capture>,
    /// Lifetime of access where answers do not say it.
    pub lifetime: Lifetime,
    /// Renewal of credentials; `None`: not at all.
    pub refresh: Option<Refresh>,
    /// Revocation of access.
    pub revocation: Revocation,
    /// Place that names the account.
    pub identity: Identity,
    /// Lists of accounts that the user's account manages.
    pub managed_accounts: Vec<ManagedAccounts>,
    /// Calls that are relayed; `None`: none.
    pub relay: Option<Relay>,
}

impl OauthClient {
    /// Whether managed accounts have tokens of their own, with which alone calls for them are made.
    pub fn accounts_have_tokens(&self) -> bool {
        !self.credentials.is_empty() || self.managed_accounts.iter().any(|list| list.token.is_some())
    }
}

/// Scopes of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Scopes {
    /// Those that are requested when a client asks for none.
    pub default: Vec<String>,
    /// Those without which a sign-in fails.
    pub required: Vec<String>,
    /// The one by which a refresh token is issued, added to every request.
    pub offline: Option<String>,
    /// Separator in requests.
    pub separator: String,
}

/// An authorization server's support of PKCE (RFC 7636).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Pkce {
    /// The method S256.
    #[default]
    S256,
    /// Not at all, or it refuses the parameters.
    #[serde(rename = "none")]
    None,
}

/// Number of accounts of a provider that one user may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Accounts {
    /// One: another takes its place.
    #[default]
    One,
    /// Several, side by side.
    Many,
}

/// Behaviour of a provider that only code can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Extras {
    /// `appsecret_proof` with every call, and the callbacks that carry a `signed_request`.
    Facebook,
}

/// Declares the structs of the two kinds, which differ in their addresses alone (flattened structs could not name
/// unknown keys), and the struct of the keys that they have in common.
macro_rules! raw {
    (
        $(#[$client_meta:meta])* $client:ident $common:tt
        $($(#[$meta:meta])* $name:ident $addresses:tt)+
    ) => {
        raw!(@client ($(#[$client_meta])*) $client $common);
        $(raw!(@kind ($(#[$meta])*) $name $addresses $client $common);)+
    };
    (@client ($($meta:tt)*) $client:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }) => {
        $($meta)*
        pub(crate) struct $client {
            $($field: $type,)+
        }
    };
    (
        @kind ($($meta:tt)*) $name:ident { $($(#[$address_meta:meta])* $address:ident,)+ }
        $client:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }
    ) => {
        $($meta)*
        #[derive(Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// The name that users see
            #[schemars(required)]
            title: Option<String>,
            /// The page of the provider that the definition was written from
            documentation: Option<String>,
            /// Parameters that users enter before they connect
            #[serde(default)]
            parameters: Vec<RawParameter>,
            $($(#[$address_meta])* $address: Option<UrlTemplate>,)+
            $($(#[$field_meta])* $field: $type,)+
        }

        impl $name {
            /// The keys of every kind, those of this one, and those that the two have in common.
            fn parts(self) -> (Head, [Option<UrlTemplate>; [$(stringify!($address)),+].len()], $client) {
                let head = Head {
                    title: self.title,
                    documentation: self.documentation,
                    parameters: self.parameters,
                };
                (head, [$(self.$address),+], $client { $($field: self.$field,)+ })
            }
        }
    };
}

raw! {
    /// The part that the two kinds have in common.
    RawClient {
        #[serde(default)]
        registration: RawRegistration,
        /// The scopes that are requested when a client asks for none
        #[serde(default)]
        scopes: Vec<String>,
        /// The scopes without which a sign-in fails: users may untick some
        #[serde(default)]
        required_scopes: Vec<String>,
        /// The scope by which a refresh token is issued, added to every request
        offline_scope: Option<String>,
        /// Separator of scopes in requests [default: a space]
        scope_separator: Option<String>,
        /// Support of PKCE [default: S256]
        pkce: Option<Pkce>,
        /// Whether the server takes the parameter resource of RFC 8707 [default: false]
        resource: Option<bool>,
        /// Steps that only code can do
        extras: Option<Extras>,
        /// Number of accounts that one user may connect [default: one]
        accounts: Option<Accounts>,
        /// The number of grants that an account may have for one registration; above it the oldest one ends
        grants_per_account: Option<NonZeroU32>,
        #[serde(default)]
        authorization: RawAuthorization,
        #[serde(default)]
        token_request: RawTokenRequest,
        exchange: Option<RawExchange>,
        #[serde(default)]
        answer: RawAnswer,
        /// Further credentials in the answer to a code
        #[serde(default)]
        credentials: Vec<RawCredential>,
        /// Values of answers that later addresses and headers contain
        #[serde(default)]
        capture: BTreeMap<FieldName, RawCapture>,
        #[serde(default)]
        lifetime: RawLifetime,
        #[schemars(required)]
        refresh: Option<RawRefresh>,
        #[serde(default)]
        revocation: RawRevocation,
        identity: Option<RawIdentity>,
        /// Lists of accounts that the user's account manages
        #[serde(default)]
        managed_accounts: Vec<RawManagedAccounts>,
        relay: Option<RawRelay>,
    }

    /// An OAuth 2.0 authorization server: `authorization_url` and `token_url`, or an `issuer` with metadata.
    RawOauth2 {
        /// The authorization endpoint
        authorization_url,
        /// The token endpoint
        token_url,
        /// The issuer, whose metadata (RFC 8414) names the endpoints
        issuer,
    }

    /// An OpenID Connect provider, found by its issuer.
    RawOidc {
        /// The issuer, whose metadata names the endpoints
        issuer,
        /// Pattern of the issuer in metadata and tokens where it differs: each field stands for one segment
        issuer_pattern,
    }
}

/// The keys of an `oauth2` definition without those of every kind.
pub(crate) struct RestOfOauth2([Option<UrlTemplate>; 3], RawClient);

impl RawOauth2 {
    pub(crate) fn split(self) -> (Head, RestOfOauth2) {
        let (head, addresses, client) = self.parts();
        (head, RestOfOauth2(addresses, client))
    }
}

impl RestOfOauth2 {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Option<Oauth2> {
        let Self([authorization, token, issuer], client) = self;
        let client = client.check(false, check);
        let endpoints = match (authorization, token, issuer) {
            (None, None, Some(issuer)) => {
                check.url("issuer", &issuer, Step::Authorization);
                Some(Endpoints::Discovered(Discovery { issuer, issuer_pattern: None }))
            }
            (authorization, token, None) => {
                let fix = "write the address of the authorization endpoint, or name an issuer with metadata";
                let authorization = check.required("authorization_url", authorization, fix);
                let fix = "write the address of the token endpoint";
                let token = check.required("token_url", token, fix);
                if let Some(url) = &authorization {
                    check.url("authorization_url", url, Step::Authorization);
                }
                if let Some(url) = &token {
                    check.url("token_url", url, Step::Token);
                }
                authorization
                    .zip(token)
                    .map(|(authorization, token)| Endpoints::Fixed { authorization, token })
            }
            (_, _, Some(_)) => {
                check.report(
                    "issuer",
                    "is given beside addresses, which its metadata names",
                    "keep one of the two",
                );
                None
            }
        };
        Some(Oauth2 { endpoints: endpoints?, client: client? })
    }
}

/// The keys of an `oidc` definition without those of every kind.
pub(crate) struct RestOfOidc([Option<UrlTemplate>; 2], RawClient);

impl RawOidc {
    pub(crate) fn split(self) -> (Head, RestOfOidc) {
        let (head, addresses, client) = self.parts();
        (head, RestOfOidc(addresses, client))
    }
}

impl RestOfOidc {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Option<Oidc> {
        let Self([issuer, issuer_pattern], client) = self;
        if !client.scopes.iter().any(|scope| scope == "openid") {
            check.report("scopes", "lack openid, without which there is no ID token", "add \"openid\"");
        }
        let client = client.check(true, check);
        let fix = "write the issuer, such as issuer = \"https://accounts.example.com\"";
        let issuer = check.required("issuer", issuer, fix);
        if let Some(issuer) = &issuer {
            check.url("issuer", issuer, Step::Authorization);
        }
        if issuer_pattern.as_ref().is_some_and(|pattern| pattern.open().is_some()) {
            let problem = "leaves the host of the issuer open";
            check.report(
                "issuer_pattern",
                problem,
                "write the host, and fields for segments of the path only",
            );
        }
        Some(Oidc { discovery: Discovery { issuer: issuer?, issuer_pattern }, client: client? })
    }
}

impl RawClient {
    fn check(self, id_token: bool, check: &mut Check<'_, '_>) -> Option<OauthClient> {
        // First what declares fields.
        let captures = capture::check(self.capture, check);
        let token_request = self.token_request.check(check);
        let registration = self.registration.check(RawBy::Operator, token_request.authentication, check);
        for (index, scope) in self.required_scopes.iter().enumerate() {
            if !self.scopes.contains(scope) && self.offline_scope.as_ref() != Some(scope) {
                let problem = format!("{scope} is required and not requested");
                check.report(&format!("required_scopes[{index}]"), problem, "add it to scopes");
            }
        }
        let separator = self.scope_separator.unwrap_or_else(|| " ".to_owned());
        if separator.is_empty() {
            check.report("scope_separator", "separates nothing", "write \" \" or \",\"");
        }
        let answer = self.answer.check(&separator, check);
        let credentials = match &answer {
            Some(answer) => answer::credentials(self.credentials, &answer.code, check),
            None => None,
        };
        let managed_accounts = account::managed(self.managed_accounts, check);
        let has_accounts = [&credentials.as_ref().map(Vec::len), &managed_accounts.as_ref().map(Vec::len)]
            .into_iter()
            .any(|count| count.is_none_or(|count| count > 0));
        let others: &[&str] = if has_accounts { &["client_id", "account"] } else { &["client_id"] };
        let fields = RelayFields { credentials: &["token"], others, has_session: false };
        let relay = match self.relay {
            Some(relay) => relay.check(&fields, check).map(Some),
            None => Some(None),
        };
        let exchange = match self.exchange {
            Some(exchange) => exchange.check(check).map(Some),
            None => Some(None),
        };
        let fix = "add the table, with policy = \"refresh_token\", \"access_token\" or \"none\"";
        let refresh = check.required("refresh", self.refresh, fix).and_then(|refresh| refresh.check(check));
        let identity = match self.identity {
            None if id_token => Some(Identity::IdToken { name: None }),
            identity => {
                let fix = "add the table, with url and subject, or with from = \"token_answer\" or \"none\"";
                check.required("identity", identity, fix).and_then(|identity| identity.check(id_token, check))
            }
        };
        Some(OauthClient {
            authorization: self.authorization.check(check),
            lifetime: self.lifetime.check(check),
            revocation: self.revocation.check(check),
            registration: registration?,
            scopes: Scopes {
                default: self.scopes,
                required: self.required_scopes,
                offline: self.offline_scope,
                separator,
            },
            pkce: self.pkce.unwrap_or_default(),
            resource: self.resource.unwrap_or_default(),
            extras: self.extras,
            accounts: self.accounts.unwrap_or_default(),
            grants_per_account: self.grants_per_account,
            token_request,
            exchange: exchange?,
            answer: answer?,
            credentials: credentials?,
            captures: captures?,
            refresh: refresh?,
            identity: identity?,
            managed_accounts: managed_accounts?,
            relay: relay?,
        })
    }
}
