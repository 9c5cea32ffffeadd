//! Registration of Causeway at a provider.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::request::ClientAuthentication;
use crate::check::{Check, Step};
use crate::values::url_template::UrlTemplate;

/// Registration of Causeway at a provider.
#[derive(Clone, Debug, PartialEq)]
pub enum Registration {
    /// The operator registers an app at the provider's console, and enters what it gives.
    Operator {
        /// The address of the console.
        console: Option<UrlTemplate>,
        /// Authentication of the client, which decides what the operator enters.
        authentication: ClientAuthentication,
        /// Advice for the console, in one sentence.
        note: Option<String>,
    },
    /// We register an app at each instance, by its own API.
    Instance {
        /// The address that registers it.
        url: UrlTemplate,
        /// The address that tells whether the app is still known, asked before the browser leaves.
        verify_url: Option<UrlTemplate>,
    },
    /// We register by RFC 7591, or by the document at our client_id.
    Dynamic,
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator { authentication, .. } => match authentication {
                ClientAuthentication::None => "client_id",
                ClientAuthentication::PrivateKeyJwt => "client_id, public key",
                ClientAuthentication::ClientSecretBasic | ClientAuthentication::ClientSecretPost => {
                    "client_id, client_secret"
                }
            },
            Self::Instance { .. } => "nothing: an app is registered at each instance",
            Self::Dynamic => "nothing: the client registers itself",
        })
    }
}

/// `[registration]`: registration of Causeway at the provider.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Registration")]
pub(crate) struct RawRegistration {
    /// Party that registers the app: the operator at the console, Causeway at each instance, or Causeway by RFC 7591
    by: Option<RawBy>,
    /// by = "operator": the address of the console
    console: Option<UrlTemplate>,
    /// by = "operator": what to do there, in one sentence
    note: Option<String>,
    /// by = "instance": the address that registers an app
    url: Option<UrlTemplate>,
    /// by = "instance": the address that tells whether the app is still known
    verify_url: Option<UrlTemplate>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum RawBy {
    Operator,
    Instance,
    Dynamic,
}

impl RawRegistration {
    pub(crate) fn check(
        self,
        default: RawBy,
        authentication: ClientAuthentication,
        check: &mut Check<'_, '_>,
    ) -> Option<Registration> {
        let by = self.by.unwrap_or(default);
        let (operator, instance) = (by == RawBy::Operator, by == RawBy::Instance);
        check.only_with("registration.console", self.console.as_ref(), operator, "with by = \"operator\"");
        check.only_with("registration.note", self.note.as_ref(), operator, "with by = \"operator\"");
        check.only_with("registration.url", self.url.as_ref(), instance, "with by = \"instance\"");
        check.only_with(
            "registration.verify_url",
            self.verify_url.as_ref(),
            instance,
            "with by = \"instance\"",
        );
        for (key, url) in [
            ("registration.console", &self.console),
            ("registration.url", &self.url),
            ("registration.verify_url", &self.verify_url),
        ] {
            if let Some(url) = url {
                check.url(key, url, Step::Authorization);
            }
        }
        Some(match by {
            RawBy::Operator => {
                Registration::Operator { console: self.console, authentication, note: self.note }
            }
            RawBy::Instance => {
                let fix = "name the address that registers an app, such as https://{host}/api/v1/apps";
                let url = check.required("registration.url", self.url, fix)?;
                Registration::Instance { url, verify_url: self.verify_url }
            }
            RawBy::Dynamic => Registration::Dynamic,
        })
    }
}
