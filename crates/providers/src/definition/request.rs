//! Requests of a sign-in: to the authorization endpoint, to the token endpoint, and the exchange that may follow.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::{Check, Step};
use crate::nearest::suggest;
use crate::values::http::{HeaderName, Method};
use crate::values::template::Template;
use crate::values::url_template::UrlTemplate;

/// Authentication of the client, by the names of RFC 7591.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ClientAuthentication {
    /// The secret in the header `Authorization`.
    #[default]
    ClientSecretBasic,
    /// The secret as a parameter.
    ClientSecretPost,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
    /// None: a public client.
    None,
}

impl ClientAuthentication {
    /// Whether it needs a secret.
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// The authorization request and its callback.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizationRequest {
    /// Further parameters.
    pub parameters: BTreeMap<String, Template>,
    /// Names that this provider has for parameters of OAuth.
    pub rename: BTreeMap<String, String>,
    /// Parameters that make the provider ask for the user's password, or another account, again.
    pub force_reauth: BTreeMap<String, Template>,
    /// Parameters that make the provider offer managed accounts that were not chosen before.
    pub add_accounts: BTreeMap<String, Template>,
    /// The name of the parameter with the code in the callback.
    pub code_parameter: String,
}

/// A request to the token endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRequest {
    /// Authentication of the client.
    pub authentication: ClientAuthentication,
    /// The method.
    pub method: Method,
    /// Place of the parameters.
    pub body: RequestBody,
    /// Further headers.
    pub headers: BTreeMap<HeaderName, Template>,
    /// Names that this provider has for parameters of OAuth.
    pub rename: BTreeMap<String, String>,
    /// Further parameters of the exchange of the code. Those of a refresh are with the refresh.
    pub parameters: BTreeMap<String, Template>,
}

/// Places of the parameters of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RequestBody {
    /// Into the body, as a form.
    #[default]
    Form,
    /// Into the body, as JSON.
    Json,
    /// Into the address.
    Query,
}

/// A second request that exchanges a short-lived token for one that lives long.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The address.
    pub url: UrlTemplate,
    /// The method.
    pub method: Method,
    /// All of its parameters; in the address for GET, else in a form.
    pub parameters: BTreeMap<String, Template>,
}

/// `[authorization]`: the authorization request and its callback.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Authorization")]
pub(crate) struct RawAuthorization {
    /// Further parameters; fields: client_id, redirect_uri, scope
    #[serde(default)]
    parameters: BTreeMap<String, Template>,
    /// Names that this provider has for parameters of OAuth, such as client_id = "client_key"
    #[serde(default)]
    rename: BTreeMap<String, String>,
    /// Parameters that make the provider ask the user to sign in again
    #[serde(default)]
    force_reauth: BTreeMap<String, Template>,
    /// Parameters that make the provider offer accounts (pages) that were not chosen before
    #[serde(default)]
    add_accounts: BTreeMap<String, Template>,
    /// The parameter of the callback with the code [default: code]
    code_parameter: Option<String>,
}

/// `[token_request]`: requests to the token endpoint.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TokenRequest")]
pub(crate) struct RawTokenRequest {
    /// Authentication of the client [default: client_secret_basic]
    token_endpoint_auth_method: Option<ClientAuthentication>,
    /// The method [default: POST]
    method: Option<Method>,
    /// Place of the parameters [default: form; query with GET]
    body: Option<RequestBody>,
    /// Further headers
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
    /// Names that this provider has for parameters of OAuth
    #[serde(default)]
    rename: BTreeMap<String, String>,
    /// Further parameters of the exchange of the code; fields: client_id, client_secret, redirect_uri, scope, code
    #[serde(default)]
    parameters: BTreeMap<String, Template>,
}

/// `[exchange]`: a request after the exchange of the code, for a token that lives long.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Exchange")]
pub(crate) struct RawExchange {
    /// The address
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// The method [default: POST]
    method: Option<Method>,
    /// All of its parameters; fields: access_token, client_id, client_secret
    #[serde(default)]
    parameters: BTreeMap<String, Template>,
}

/// Parameters of OAuth that only Causeway sets: their values bind the answer to the request.
const PROTECTED: [&str; 8] = [
    "client_id",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "redirect_uri",
    "refresh_token",
    "state",
];
/// Parameters of OAuth that have a key of their own.
const OWN_KEY: [&str; 3] = ["client_secret", "resource", "scope"];
/// Parameters of OAuth that providers rename.
const RENAMED: [&str; 8] = [
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "scope",
];

impl RawAuthorization {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> AuthorizationRequest {
        rename("authorization.rename", &self.rename, check);
        for (group, parameters) in [
            ("parameters", &self.parameters),
            ("force_reauth", &self.force_reauth),
            ("add_accounts", &self.add_accounts),
        ] {
            let key = format!("authorization.{group}");
            let own = ["client_id", "redirect_uri", "scope"];
            further(&key, parameters, &self.rename, Step::Authorization, &own, check);
        }
        AuthorizationRequest {
            parameters: self.parameters,
            rename: self.rename,
            force_reauth: self.force_reauth,
            add_accounts: self.add_accounts,
            code_parameter: self.code_parameter.unwrap_or_else(|| "code".to_owned()),
        }
    }
}

impl RawTokenRequest {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> TokenRequest {
        let method = self.method.unwrap_or(Method::Post);
        if method == Method::Delete {
            check.report("token_request.method", "DELETE asks for no token", "use POST or GET");
        }
        if let (Method::Get, Some(RequestBody::Form | RequestBody::Json)) = (method, self.body) {
            check.report("token_request.body", "a GET has no body", "use query, or the method POST");
        }
        let default = if method == Method::Get { RequestBody::Query } else { RequestBody::Form };
        let own = ["client_id", "client_secret", "redirect_uri", "scope", "code"];
        rename("token_request.rename", &self.rename, check);
        further("token_request.parameters", &self.parameters, &self.rename, Step::Token, &own, check);
        headers("token_request.headers", &self.headers, Step::Token, &own[..2], check);
        TokenRequest {
            authentication: self.token_endpoint_auth_method.unwrap_or_default(),
            method,
            body: self.body.unwrap_or(default),
            headers: self.headers,
            rename: self.rename,
            parameters: self.parameters,
        }
    }
}

impl RawExchange {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Option<Exchange> {
        let fix = "name the address that exchanges a short-lived token";
        let url = check.required("exchange.url", self.url, fix);
        if let Some(url) = &url {
            check.url("exchange.url", url, Step::Later);
        }
        let own = ["access_token", "client_id", "client_secret"];
        for (name, template) in &self.parameters {
            check.template(&format!("exchange.parameters.{name}"), template, Step::Later, &own);
        }
        Some(Exchange { url: url?, method: self.method.unwrap_or(Method::Post), parameters: self.parameters })
    }
}

/// Checks headers of a request that Causeway makes by itself.
pub(crate) fn headers(
    key: &str,
    headers: &BTreeMap<HeaderName, Template>,
    step: Step,
    own: &[&str],
    check: &mut Check<'_, '_>,
) {
    for (name, template) in headers {
        check.template(&format!("{key}.{name}"), template, step, own);
    }
}

/// Checks parameters beside those of OAuth. One that was renamed leaves its old name free.
pub(crate) fn further(
    key: &str,
    parameters: &BTreeMap<String, Template>,
    renamed: &BTreeMap<String, String>,
    step: Step,
    own: &[&str],
    check: &mut Check<'_, '_>,
) {
    for (name, template) in parameters {
        let key = format!("{key}.{name}");
        let is_free = renamed.contains_key(name);
        let is_new_name = renamed.values().any(|new| new == name);
        if is_new_name || (!is_free && PROTECTED.contains(&name.as_str())) {
            check.report(&key, format!("{name} is set by Causeway alone"), "remove it");
        } else if !is_free && OWN_KEY.contains(&name.as_str()) {
            let fix = "use the key of that purpose: scopes, resource or token_endpoint_auth_method";
            check.report(&key, format!("{name} is set by another key"), fix);
        }
        check.template(&key, template, step, own);
    }
}

fn rename(key: &str, renamed: &BTreeMap<String, String>, check: &mut Check<'_, '_>) {
    for name in renamed.keys().filter(|name| !RENAMED.contains(&name.as_str())) {
        check.report(
            &format!("{key}.{name}"),
            format!("{name} is not a parameter of OAuth that can be renamed"),
            suggest(name, RENAMED),
        );
    }
}
