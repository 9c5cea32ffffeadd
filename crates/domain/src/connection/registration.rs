//! Registrations: who we are at an issuer.

use causeway_types::{RegistrationId, Secret, Timestamp, TokenEndpointAuthMethod, UpstreamClientId};

/// A registration of ours at an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its identifier.
    pub registration_id: RegistrationId,
    /// The name of the provider's definition.
    pub provider: String,
    /// The issuer, or the address that stands for it where the provider has none.
    pub issuer: String,
    /// How it came about.
    pub origin: RegistrationOrigin,
    /// Our identifier there.
    pub client_id: UpstreamClientId,
    /// Our secret there.
    pub client_secret: Option<Secret>,
    /// The secret that is about to take its place, so that one rotated at the provider breaks nothing.
    pub next_secret: Option<Secret>,
    /// How we authenticate at the token endpoint.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// The one redirect URI of its authorizations.
    pub redirect_uri: String,
    /// The token that manages a dynamic registration (RFC 7592 section 3).
    pub registration_access_token: Option<Secret>,
    /// The address at which it is managed.
    pub registration_client_uri: Option<String>,
    /// Where it stands.
    pub state: RegistrationState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its secret expires; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// Origin of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationOrigin {
    /// The operator entered it: it is never renewed.
    Operator,
    /// Dynamic registration (RFC 7591).
    Dynamic,
    /// A metadata document of ours that the issuer fetches.
    Document,
}

impl RegistrationOrigin {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Dynamic => "dynamic",
            Self::Document => "document",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Operator, Self::Dynamic, Self::Document].into_iter().find(|origin| origin.as_str() == name)
    }
}

/// State of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// New authorizations use it.
    Active,
    /// The issuer refuses it: refreshes pause, and no user is asked.
    Misconfigured,
    /// Another one serves new authorizations. It stays for its credentials.
    Superseded,
}

impl RegistrationState {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Misconfigured => "misconfigured",
            Self::Superseded => "superseded",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Misconfigured, Self::Superseded].into_iter().find(|state| state.as_str() == name)
    }
}
