//! The binding of sessions at AT Protocol servers.

use causeway_types::{CodeVerifier, Did, Handle, Secret, Timestamp, UpstreamClientId};
use serde::{Deserialize, Serialize};

/// The name of this provider.
pub const ATPROTO: &str = "atproto";

/// Seconds for which a binding that was verified serves while it cannot be looked up again.
pub const VERIFIED_SECONDS: i64 = 86_400;
/// Seconds after which a handle that was verified is looked up again when it is used.
pub const HANDLE_SECONDS: i64 = 3600;

/// How we authenticate at an upstream authorization server. Fixed for the life of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum UpstreamAuth {
    /// As a public client.
    None,
    /// With a signed assertion (RFC 7523) by the key `kid` of our JWKS.
    PrivateKeyJwt {
        /// The key's identifier: its JWK thumbprint.
        kid: String,
    },
}

/// Our identity at the upstream when a session began; refreshes use this, never today's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamBinding {
    /// The authorization server's issuer.
    pub issuer: String,
    /// The origin of the PDS that holds the account.
    pub pds: String,
    /// Our `client_id` there.
    pub client_id: UpstreamClientId,
    /// How we authenticate there.
    pub auth: UpstreamAuth,
    /// The redirect URI of the authorization.
    pub redirect_uri: String,
}

/// The account of a session, and our identity at its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtprotoBinding {
    /// The user's account.
    pub did: Did,
    /// The user's handle, verified in both directions; `None` when it did not verify. It may belong to
    /// another account by now: show [`handle_at`](Self::handle_at) instead.
    pub handle: Option<Handle>,
    /// When the account's own document last led to this PDS and this issuer, and its handle was looked up.
    pub verified_at: Timestamp,
    /// Our identity at the upstream.
    pub upstream: UpstreamBinding,
}

impl AtprotoBinding {
    /// The handle that may be shown at `now`: not one whose verification is too old, since handles change
    /// hands.
    pub fn handle_at(&self, now: Timestamp) -> Option<&Handle> {
        self.handle.as_ref().filter(|_| self.verified_lately(now))
    }

    /// The handle that may be shown at `now`, or else the DID.
    pub fn name_at(&self, now: Timestamp) -> &str {
        self.handle_at(now).map_or(self.did.as_str(), Handle::as_str)
    }

    /// Whether the handle is to be looked up again when it is shown at `now`.
    pub fn handle_is_due(&self, now: Timestamp) -> bool {
        now.since(self.verified_at) >= HANDLE_SECONDS
    }

    /// Whether the last verification of its PDS still holds at `now` without a new one: a failed lookup says
    /// nothing about the account, but is tolerated for a limited time only.
    pub fn verified_lately(&self, now: Timestamp) -> bool {
        now.since(self.verified_at) < VERIFIED_SECONDS
    }
}

/// Result of looking up an account's handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandleCheck {
    /// The account's handle, verified in both directions.
    Verified(Handle),
    /// The account has no handle that verifies.
    None,
    /// The lookup failed: the known handle stays.
    Unknown,
}

/// A sign-in at an authorization server while the user is there.
#[derive(Clone, Debug)]
pub struct AtprotoPending {
    /// Our identity there. `pds` is empty while only the server is known, not the account.
    pub upstream: UpstreamBinding,
    /// The account that has to come back; `None` when only a server was named.
    pub expected_did: Option<Did>,
    /// The handle that was typed, verified then; `None` when a DID or a server was typed.
    pub typed_handle: Option<Handle>,
    /// The DPoP nonce that the server gave last; empty when it gave none.
    pub nonce: String,
    /// PKCE.
    pub pkce_verifier: CodeVerifier,
    /// The private JWK of the session's DPoP key, as JSON.
    pub dpop_private_key: Secret,
    /// The thumbprint of that key (RFC 7638).
    pub dpop_jkt: String,
}

impl AtprotoPending {
    /// The account, or else the server, that was named.
    pub fn named(&self) -> &str {
        match (&self.typed_handle, &self.expected_did) {
            (Some(handle), _) => handle.as_str(),
            (None, Some(did)) => did.as_str(),
            (None, None) => &self.upstream.issuer,
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::SystemRng;

    use super::*;

    const CHECKED: Timestamp = Timestamp(1_000_000);

    fn upstream() -> UpstreamBinding {
        UpstreamBinding {
            issuer: "https://as.example".to_owned(),
            pds: "https://pds.example".to_owned(),
            client_id: UpstreamClientId::new("https://app.example/client.json"),
            auth: UpstreamAuth::None,
            redirect_uri: "https://app.example/cb".to_owned(),
        }
    }

    #[test]
    fn a_handle_is_shown_for_a_day_and_looked_up_after_an_hour() {
        let account = AtprotoBinding {
            did: Did::parse("did:web:alice.example.com").unwrap(),
            handle: Some(Handle::parse("alice.example.com").unwrap()),
            verified_at: CHECKED,
            upstream: upstream(),
        };
        let at = |seconds| {
            let now = CHECKED.plus(seconds);
            (account.name_at(now), account.handle_is_due(now), account.verified_lately(now))
        };
        assert_eq!(at(0), ("alice.example.com", false, true));
        assert_eq!(at(HANDLE_SECONDS - 1), ("alice.example.com", false, true));
        assert_eq!(at(HANDLE_SECONDS), ("alice.example.com", true, true));
        assert_eq!(at(VERIFIED_SECONDS - 1), ("alice.example.com", true, true));
        assert_eq!(at(VERIFIED_SECONDS), ("did:web:alice.example.com", true, false));
        let now = CHECKED.plus(VERIFIED_SECONDS);
        assert_eq!((account.handle_at(CHECKED), account.handle_at(now)), (account.handle.as_ref(), None));
    }

    #[test]
    fn a_sign_in_is_called_by_what_was_typed() {
        let (did, handle) =
            (Did::parse("did:web:alice.example.com").unwrap(), Handle::parse("alice.example.com").unwrap());
        let pending = |typed_handle, expected_did| AtprotoPending {
            upstream: upstream(),
            expected_did,
            typed_handle,
            nonce: String::new(),
            pkce_verifier: CodeVerifier::random(&SystemRng),
            dpop_private_key: Secret::new("{}"),
            dpop_jkt: String::new(),
        };
        assert_eq!(pending(Some(handle), Some(did.clone())).named(), "alice.example.com");
        assert_eq!(pending(None, Some(did)).named(), "did:web:alice.example.com");
        assert_eq!(pending(None, None).named(), "https://as.example");
    }
}
