//! Renewal of credentials.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::request::{ClientAuthentication, further};
use super::rule::{RawRule, Rule, WaitRule, rules, wait_rules};
use crate::check::{Check, Step};
use crate::values::http::Method;
use crate::values::seconds::Seconds;
use crate::values::template::Template;
use crate::values::url_template::UrlTemplate;

/// Renewal of credentials. Where a provider renews nothing, there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Refresh {
    /// The means.
    pub renewal: Renewal,
    /// The age at which an access token is renewed before use although it lives: it goes soft.
    pub max_age: Option<Seconds>,
    /// The shortest time between two refreshes of a credential.
    pub min_interval: Option<Seconds>,
    /// The request.
    pub request: RefreshRequest,
    /// Meanings of the provider's errors, beside those of RFC 6749.
    pub errors: TokenErrors,
}

/// The means of renewal.
#[derive(Clone, Debug, PartialEq)]
pub enum Renewal {
    /// A refresh token.
    RefreshToken {
        /// Number of times it works.
        rotation: Rotation,
        /// Whether there may be none, by settings at the provider: then the credential is not renewed.
        optional: bool,
    },
    /// The access token itself, while it lives.
    AccessToken {
        /// The age from which the provider exchanges it.
        not_before: Seconds,
    },
}

/// Number of times a refresh token works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Once.
    SingleUse {
        /// The time for which the provider takes a spent one again.
        grace: Option<Seconds>,
    },
    /// Until the provider ends it.
    Reusable,
}

impl fmt::Display for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefreshToken { rotation, optional } => {
                f.write_str("refresh token, ")?;
                match rotation {
                    Rotation::SingleUse { grace: None } => f.write_str("single use")?,
                    Rotation::SingleUse { grace: Some(grace) } => write!(f, "single use ({grace} of grace)")?,
                    Rotation::Reusable => f.write_str("reusable")?,
                }
                f.write_str(if *optional { ", if the provider issues one" } else { "" })
            }
            Self::AccessToken { not_before } => write!(f, "access token, from an age of {not_before} on"),
        }
    }
}

/// Differences of a refresh from the exchange of a code.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshRequest {
    /// The address; `None`: the token endpoint.
    pub url: Option<UrlTemplate>,
    /// The method; `None`: that of the token request.
    pub method: Option<Method>,
    /// Authentication of the client; `None`: as at the exchange of the code.
    pub authentication: Option<ClientAuthentication>,
    /// Further parameters. For renewal by access token these are all of them.
    pub parameters: BTreeMap<String, Template>,
    /// Whether the granted scope is sent.
    pub send_scope: bool,
}

/// Meanings of the token endpoint's errors, beside those of RFC 6749.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenErrors {
    /// The user has to connect again.
    pub over: Vec<Rule>,
    /// The user has to do something at the provider; the token stays.
    pub action_required: Vec<Rule>,
    /// The registration is at fault; connections stay.
    pub misconfigured: Vec<Rule>,
    /// The provider asks to wait.
    pub wait: Vec<WaitRule>,
}

/// Rules for errors, as they stand in a table.
pub(crate) struct RawTokenErrors {
    pub(crate) over: Vec<RawRule>,
    pub(crate) action_required: Vec<RawRule>,
    pub(crate) misconfigured: Vec<RawRule>,
    pub(crate) wait: Vec<RawRule>,
}

impl RawTokenErrors {
    /// Checks the rules of the table `key`.
    pub(crate) fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<TokenErrors> {
        let over = rules(&format!("{key}.over"), self.over, check);
        let action_required = rules(&format!("{key}.action_required"), self.action_required, check);
        let misconfigured = rules(&format!("{key}.misconfigured"), self.misconfigured, check);
        let wait = wait_rules(&format!("{key}.wait"), self.wait, check);
        Some(TokenErrors {
            over: over?,
            action_required: action_required?,
            misconfigured: misconfigured?,
            wait: wait?,
        })
    }
}

/// `[refresh]`: renewal of credentials, and meanings of refusals.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Refresh")]
pub(crate) struct RawRefresh {
    /// The means: a refresh token, the access token itself while it lives, or none
    #[schemars(required)]
    policy: Option<RawPolicy>,
    /// policy = "refresh_token": whether a refresh token works once or until the provider ends it
    rotation: Option<RawRotation>,
    /// rotation = "single_use": how long the provider takes a spent refresh token again
    grace: Option<Seconds>,
    /// policy = "refresh_token": some registrations get no refresh token, and their credentials are not renewed
    optional: Option<bool>,
    /// policy = "access_token": the age from which the provider exchanges it
    not_before: Option<Seconds>,
    /// The age at which an access token is renewed before use although it lives
    max_age: Option<Seconds>,
    /// The shortest time between two refreshes
    min_interval: Option<Seconds>,
    /// The address [default: token_url]
    url: Option<UrlTemplate>,
    /// The method [default: as at the token endpoint]
    method: Option<Method>,
    /// Authentication of the client [default: as at the token endpoint]
    token_endpoint_auth_method: Option<ClientAuthentication>,
    /// Further parameters; with policy = "access_token" all of them. Fields: access_token, refresh_token, client_id,
    /// client_secret, redirect_uri, scope
    #[serde(default)]
    parameters: BTreeMap<String, Template>,
    /// Whether the granted scope is sent [default: false]
    send_scope: Option<bool>,
    /// Errors that mean that the user has to connect again, beside those of RFC 6749
    #[serde(default)]
    over: Vec<RawRule>,
    /// Errors that mean that the user has to do something at the provider; the token stays
    #[serde(default)]
    action_required: Vec<RawRule>,
    /// Errors that mean that the registration is at fault; connections stay
    #[serde(default)]
    misconfigured: Vec<RawRule>,
    /// Errors that ask to wait
    #[serde(default)]
    wait: Vec<RawRule>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawPolicy {
    RefreshToken,
    AccessToken,
    None,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawRotation {
    SingleUse,
    Reusable,
}

const FIELDS: [&str; 6] =
    ["access_token", "refresh_token", "client_id", "client_secret", "redirect_uri", "scope"];

impl RawRefresh {
    /// A refresh token that works once.
    pub(crate) fn single_use() -> Self {
        let (policy, rotation) = (Some(RawPolicy::RefreshToken), Some(RawRotation::SingleUse));
        Self { policy, rotation, ..Self::default() }
    }

    /// Checks the group: `Some(None)` if nothing is renewed.
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Option<Option<Refresh>> {
        let fix = "write policy = \"refresh_token\", \"access_token\" or \"none\"";
        let policy = check.required("refresh.policy", self.policy, fix)?;
        if policy == RawPolicy::None {
            self.refuse_all(check);
            return Some(None);
        }
        let renewal = self.renewal(policy, check);
        if let Some(url) = &self.url {
            check.url("refresh.url", url, Step::Later);
        }
        // The request of another grant has parameters of its own.
        if policy == RawPolicy::AccessToken {
            for (name, template) in &self.parameters {
                check.template(&format!("refresh.parameters.{name}"), template, Step::Later, &FIELDS);
            }
            if !self
                .parameters
                .values()
                .any(|value| value.fields().any(|name| name.as_str() == "access_token"))
            {
                let fix = "add the parameter that carries it, such as access_token = \"{access_token}\"";
                check.report("refresh.parameters", "do not carry the access token that is exchanged", fix);
            }
        } else {
            // Some providers want the redirect URI again.
            let mut parameters = self.parameters.clone();
            parameters.retain(|name, value| name != "redirect_uri" || value.to_string() != "{redirect_uri}");
            further("refresh.parameters", &parameters, &BTreeMap::new(), Step::Later, &FIELDS, check);
        }
        let errors = RawTokenErrors {
            over: self.over,
            action_required: self.action_required,
            misconfigured: self.misconfigured,
            wait: self.wait,
        };
        let errors = errors.check("refresh", check);
        Some(Some(Refresh {
            renewal: renewal?,
            max_age: self.max_age,
            min_interval: self.min_interval,
            request: RefreshRequest {
                url: self.url,
                method: self.method,
                authentication: self.token_endpoint_auth_method,
                parameters: self.parameters,
                send_scope: self.send_scope.unwrap_or_default(),
            },
            errors: errors?,
        }))
    }

    fn renewal(&self, policy: RawPolicy, check: &mut Check<'_, '_>) -> Option<Renewal> {
        let by_token = policy == RawPolicy::RefreshToken;
        let with = "with policy = \"refresh_token\"";
        check.only_with("refresh.rotation", self.rotation.as_ref(), by_token, with);
        check.only_with("refresh.optional", self.optional.as_ref(), by_token, with);
        check.only_with("refresh.send_scope", self.send_scope.as_ref(), by_token, with);
        let single_use = self.rotation == Some(RawRotation::SingleUse);
        check.only_with(
            "refresh.grace",
            self.grace.as_ref(),
            by_token && single_use,
            "with rotation = \"single_use\"",
        );
        let with = "with policy = \"access_token\"";
        check.only_with("refresh.not_before", self.not_before.as_ref(), !by_token, with);
        if !by_token {
            let fix = "write the age from which the provider exchanges an access token, such as not_before = \"24h\"";
            let not_before = check.required("refresh.not_before", self.not_before, fix)?;
            return Some(Renewal::AccessToken { not_before });
        }
        // A wrong guess would lose sessions one way and leave spent tokens in use the other way.
        let fix = "write rotation = \"single_use\" if a refresh token works once, else \"reusable\"";
        let rotation = match check.required("refresh.rotation", self.rotation, fix)? {
            RawRotation::SingleUse => Rotation::SingleUse { grace: self.grace },
            RawRotation::Reusable => Rotation::Reusable,
        };
        Some(Renewal::RefreshToken { rotation, optional: self.optional.unwrap_or_default() })
    }

    /// Reports everything beside the policy `none`.
    fn refuse_all(&self, check: &mut Check<'_, '_>) {
        let given = [
            ("rotation", self.rotation.is_some()),
            ("grace", self.grace.is_some()),
            ("optional", self.optional.is_some()),
            ("not_before", self.not_before.is_some()),
            ("max_age", self.max_age.is_some()),
            ("min_interval", self.min_interval.is_some()),
            ("url", self.url.is_some()),
            ("method", self.method.is_some()),
            ("token_endpoint_auth_method", self.token_endpoint_auth_method.is_some()),
            ("parameters", !self.parameters.is_empty()),
            ("send_scope", self.send_scope.is_some()),
            ("over", !self.over.is_empty()),
            ("action_required", !self.action_required.is_empty()),
            ("misconfigured", !self.misconfigured.is_empty()),
            ("wait", !self.wait.is_empty()),
        ];
        for (name, _) in given.into_iter().filter(|(_, given)| *given) {
            let problem = "does not apply with policy = \"none\", which renews nothing";
            let is_rule = ["over", "action_required", "misconfigured", "wait"].contains(&name);
            let fix = if is_rule { "move it to [answer]" } else { "remove it, or choose another policy" };
            check.report(&format!("refresh.{name}"), problem, fix);
        }
    }
}
