//! A client's DPoP key.

use causeway_jose::{DpopClaims, EcKey, dpop_proof};
use causeway_types::{CodeVerifier, Secret, SystemRng, Timestamp};

/// A DPoP key pair of a client.
#[derive(Clone, Debug)]
pub struct DpopKey(pub EcKey);

impl DpopKey {
    /// Generates a key.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[expect(clippy::expect_used, reason = "a test without a key must stop")]
    pub fn new() -> Self {
        Self(EcKey::generate().expect("a key"))
    }

    /// Its thumbprint.
    pub fn jkt(&self) -> &str {
        self.0.thumbprint()
    }

    /// A proof for one request.
    pub fn proof(&self, now: Timestamp, htm: &str, htu: &str) -> String {
        self.sign(now, htm, htu, None, None)
    }

    /// A proof with a nonce from the server.
    pub fn proof_with_nonce(&self, now: Timestamp, htm: &str, htu: &str, nonce: &str) -> String {
        self.sign(now, htm, htu, Some(nonce), None)
    }

    /// A proof for a request with an access token.
    pub fn proof_with_token(&self, now: Timestamp, htm: &str, htu: &str, token: &str) -> String {
        self.sign(now, htm, htu, None, Some(token))
    }

    /// A proof with any of the optional claims.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[expect(clippy::expect_used, reason = "a test without a proof must stop")]
    pub fn sign(
        &self,
        now: Timestamp,
        htm: &str,
        htu: &str,
        nonce: Option<&str>,
        token: Option<&str>,
    ) -> String {
        let (jti, token) = (CodeVerifier::random(&SystemRng), token.map(Secret::new));
        let access_token = token.as_ref();
        let claims = DpopClaims { htm, htu, jti: jti.expose(), iat: now, nonce, access_token };
        dpop_proof(&self.0, &claims).expect("a proof")
    }
}

impl Default for DpopKey {
    fn default() -> Self {
        Self::new()
    }
}
