//! Connections that users are making: what is stored while they are at the provider.

use causeway_types::{AuthRequestId, BrowserSessionId, OauthState, Secret, Timestamp};

use super::{ATPROTO, AtprotoPending, OtherKind};

/// State stored from the redirect to the provider until the user's return.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// The `state` that comes back: works once.
    pub oauth_state: OauthState,
    /// The client's request that this is for.
    pub auth_request_id: AuthRequestId,
    /// The browser that was sent.
    pub browser_id: BrowserSessionId,
    /// The state that the provider's own code needs on the user's return.
    pub pending: Pending,
    /// Whether it is the second attempt, made because the first one had not asked for a page that the provider
    /// wanted to show.
    pub asked_again: bool,
    /// When the user was redirected.
    pub created_at: Timestamp,
    /// When the state ends.
    pub expires_at: Timestamp,
}

/// The state that a provider's code keeps until the user comes back.
#[derive(Clone, Debug)]
pub enum Pending {
    /// At AT Protocol servers.
    Atproto(Box<AtprotoPending>),
    /// At any other provider.
    Other {
        /// The name of the provider.
        provider: String,
        /// Data in the form of the provider's code, such as a PKCE verifier.
        data: Secret,
    },
}

impl Pending {
    /// The name of the provider.
    pub fn provider(&self) -> &str {
        match self {
            Self::Atproto(_) => ATPROTO,
            Self::Other { provider, .. } => provider,
        }
    }

    /// Where the user is: the issuer of an authorization server, or else the name of the provider.
    pub fn server(&self) -> &str {
        match self {
            Self::Atproto(pending) => &pending.upstream.issuer,
            Self::Other { provider, .. } => provider,
        }
    }

    /// The sign-in at an AT Protocol server.
    ///
    /// # Errors
    /// [`OtherKind`]: the user is at another provider.
    pub fn atproto(&self) -> Result<&AtprotoPending, OtherKind> {
        match self {
            Self::Atproto(pending) => Ok(pending),
            Self::Other { .. } => Err(OtherKind),
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::{CodeVerifier, SystemRng, UpstreamClientId};

    use super::*;
    use crate::session::{UpstreamAuth, UpstreamBinding};

    #[test]
    fn where_the_user_is() {
        let upstream = UpstreamBinding {
            issuer: "https://as.example".to_owned(),
            pds: String::new(),
            client_id: UpstreamClientId::new("https://app.example/client.json"),
            auth: UpstreamAuth::None,
            redirect_uri: "https://app.example/cb".to_owned(),
        };
        let ours = Pending::Atproto(Box::new(AtprotoPending {
            upstream,
            expected_did: None,
            typed_handle: None,
            nonce: "n".to_owned(),
            pkce_verifier: CodeVerifier::random(&SystemRng),
            dpop_private_key: Secret::new("{}"),
            dpop_jkt: String::new(),
        }));
        let other = Pending::Other { provider: "elsewhere".to_owned(), data: Secret::new("verifier") };
        assert_eq!((ours.provider(), ours.server()), (ATPROTO, "https://as.example"));
        assert_eq!((other.provider(), other.server()), ("elsewhere", "elsewhere"));
        assert_eq!(ours.atproto().map(|pending| &*pending.nonce), Ok("n"));
        assert_eq!(other.atproto().map(|pending| &*pending.nonce), Err(OtherKind));
    }
}
