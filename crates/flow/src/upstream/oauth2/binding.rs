//! The binding of a connection: where its credentials came from, and where alone they are sent (RFC 9700 section 4.4).

use std::collections::BTreeMap;

use causeway_domain::session::{OtherBinding, SessionHead};
use causeway_providers::FieldValues;
use causeway_types::RegistrationId;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::Internal;

/// Facts that a connection remembers of its authorization. No secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OauthBinding {
    /// Our registration, whose current secret authenticates us.
    pub(crate) registration_id: RegistrationId,
    /// Our identifier at the issuer: grants are to it, whatever registration of ours a tenant has.
    #[serde(default)]
    pub(crate) client_id: String,
    /// The issuer, if the provider has one.
    pub(crate) issuer: Option<String>,
    /// The authorization endpoint.
    pub(crate) authorization_endpoint: Url,
    /// The token endpoint.
    pub(crate) token_endpoint: Url,
    /// The revocation endpoint of the metadata, if there is one.
    pub(crate) revocation_endpoint: Option<Url>,
    /// The introspection endpoint of the metadata, if there is one: no call goes there.
    #[serde(default)]
    pub(crate) introspection_endpoint: Option<Url>,
    /// The resource that the tokens are for (RFC 8707).
    pub(crate) resource: Option<String>,
    /// The scopes that were requested.
    pub(crate) requested_scopes: Vec<String>,
    /// Values of the definition's parameters, and captures from the provider's answers.
    #[serde(default)]
    pub(crate) fields: BTreeMap<String, String>,
}

impl OauthBinding {
    /// Reads the binding of a session.
    ///
    /// # Errors
    /// When the session is of another kind, or its binding cannot be read.
    pub(crate) fn of(head: &SessionHead) -> Result<Self, Internal> {
        Self::read(&head.other()?.data)
    }

    /// Reads a binding as it is stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(data: &str) -> Result<Self, Internal> {
        serde_json::from_str(data)
            .map_err(|_| Internal::Inconsistent("the binding of a connection cannot be read"))
    }

    /// The binding as a session stores it.
    pub(crate) fn to_stored(&self, provider: &str, subject: &str) -> Result<OtherBinding, Internal> {
        let data = serde_json::to_string(self)
            .map_err(|_| Internal::Inconsistent("the binding of a connection cannot be written"))?;
        Ok(OtherBinding {
            provider: provider.to_owned(),
            subject: subject.to_owned(),
            data,
            idle_seconds: None,
        })
    }

    /// The values for templates.
    pub(crate) fn field_values(&self) -> FieldValues {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}
