//! Our registrations at providers.

use causeway_jose::EcKey;
use causeway_types::Secret;

use crate::definition::request::ClientAuthentication;

/// Our registration at a provider.
#[derive(Clone, Copy, Debug)]
pub struct RegisteredClient<'a> {
    /// Our `client_id` there.
    pub client_id: &'a str,
    /// The redirect URI of the registration.
    pub redirect_uri: &'a str,
    /// How we authenticate, where the registration says it; `None`: as the definition says.
    pub authentication: Option<ClientAuthentication>,
    /// Our credentials.
    pub credential: ClientCredential<'a>,
}

/// Credentials of a client.
#[derive(Clone, Copy, Debug)]
pub enum ClientCredential<'a> {
    /// Nothing: a public client.
    None,
    /// A secret.
    Secret {
        /// The secret in use.
        current: &'a Secret,
        /// The one that takes its place once the provider refuses it.
        next: Option<&'a Secret>,
    },
    /// A key, for assertions (RFC 7523).
    Key {
        /// The key.
        key: &'a EcKey,
        /// Its identifier in our published key set.
        kid: &'a str,
    },
}

/// Which secret of a registration a provider took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretInUse {
    /// The current one, or none was needed.
    #[default]
    Current,
    /// The next one: the provider has refused the current one.
    Next,
}

impl<'a> RegisteredClient<'a> {
    /// The secret of an attempt; `None` if there is no such secret.
    pub(crate) fn secret(&self, which: SecretInUse) -> Option<&'a Secret> {
        match (self.credential, which) {
            (ClientCredential::Secret { current, .. }, SecretInUse::Current) => Some(current),
            (ClientCredential::Secret { next, .. }, SecretInUse::Next) => next,
            (ClientCredential::None | ClientCredential::Key { .. }, _) => None,
        }
    }
}
