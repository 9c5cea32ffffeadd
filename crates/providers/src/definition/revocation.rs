//! Revocation of access.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::request::{ClientAuthentication, RequestBody};
use crate::check::{Check, Step};
use crate::values::http::Method;
use crate::values::template::Template;
use crate::values::url_template::UrlTemplate;

/// Revocation of access.
#[derive(Clone, Debug, PartialEq)]
pub struct Revocation {
    /// The address; `None`: the one of discovery, or none at all.
    pub url: Option<UrlTemplate>,
    /// The method of the request.
    pub method: Method,
    /// Place of the parameters.
    pub body: RequestBody,
    /// Authentication of the client there; `None`: as at the token endpoint.
    pub authentication: Option<ClientAuthentication>,
    /// The parameters. Empty: those of RFC 7009.
    pub parameters: BTreeMap<String, Template>,
    /// Extent of a revocation.
    pub reach: Reach,
}

/// Extent of the revocation of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Reach {
    /// Everything that the user granted to the registration: nothing is sent while another connection lives of it.
    #[default]
    Grant,
    /// That token, and those issued with it.
    Token,
}

/// `[revocation]`: revocation of access.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Revocation")]
pub(crate) struct RawRevocation {
    /// The address; left out: the one of discovery, if there is one
    url: Option<UrlTemplate>,
    /// The method [default: POST]
    method: Option<Method>,
    /// Place of the parameters [default: form]
    body: Option<RequestBody>,
    /// Authentication of the client there [default: as at the token endpoint]
    token_endpoint_auth_method: Option<ClientAuthentication>,
    /// The parameters; fields: token, access_token, refresh_token, client_id, client_secret [default: those of RFC 7009]
    #[serde(default)]
    parameters: BTreeMap<String, Template>,
    /// Extent of the revocation of one token: the whole grant of the user, or that token [default: grant]
    reach: Option<Reach>,
}

const FIELDS: [&str; 5] = ["token", "access_token", "refresh_token", "client_id", "client_secret"];

impl RawRevocation {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Revocation {
        if let Some(url) = &self.url {
            check.url_with("revocation.url", url, Step::Later, &["client_id"]);
        }
        for (name, template) in &self.parameters {
            check.template(&format!("revocation.parameters.{name}"), template, Step::Later, &FIELDS);
        }
        Revocation {
            url: self.url,
            method: self.method.unwrap_or(Method::Post),
            body: self.body.unwrap_or_default(),
            authentication: self.token_endpoint_auth_method,
            parameters: self.parameters,
            reach: self.reach.unwrap_or_default(),
        }
    }
}
