//! Whether a client may do without PKCE.

use causeway_types::ClientType;

use super::Client;

/// The member of the document in which the operator reads and sets it.
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

    /// The form in the database and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Nonce => "nonce",
        }
    }

    /// Reads the form in the database and in documents.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == value)
    }
}

impl Client {
    /// Whether it may do without PKCE. A public client may not, whatever is written down.
    pub fn pkce_policy(&self) -> PkcePolicy {
        match self.client_type() {
            ClientType::Confidential => self.entitlements.pkce,
            ClientType::Public => PkcePolicy::Required,
        }
    }
}
