//! Whether a client may do without PKCE.

use causeway_types::ClientType;
use serde_json::Value;

use super::Client;

/// The member of a client's metadata. Only the operator sets it.
pub(super) const PKCE: &str = "pkce";

/// Whether a client may do without PKCE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PkcePolicy {
    /// It may not.
    #[default]
    Required,
    /// A confidential OpenID Connect client that sends a `nonce` and checks it in the `id_token` may (OAuth 2.1
    /// section 7.5.1).
    Nonce,
}

impl PkcePolicy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Required, Self::Nonce];

    /// The form in a client's metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Nonce => "nonce",
        }
    }

    /// Reads the form in a client's metadata.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == value)
    }
}

impl Client {
    /// Whether it may do without PKCE. A public client may not, whatever is written down.
    pub fn pkce_policy(&self) -> PkcePolicy {
        let policy = self.metadata.get(PKCE).and_then(Value::as_str).and_then(PkcePolicy::parse);
        policy.filter(|_| self.client_type() == ClientType::Confidential).unwrap_or_default()
    }
}
