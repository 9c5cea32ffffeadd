//! Single-use values: proofs and assertions by their `jti`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::{BrowserSessionId, ClientId, Jkt, Timestamp};
use sha2::{Digest as _, Sha256};

/// A value that works once, and the time until which it has to be remembered to prevent its replay.
///
/// Its identifier is a hash: of one length whatever a client sends, and different for each issuer, so that
/// no client can use up another's.
///
/// ```
/// use causeway_domain::client::ReplayKey;
/// use causeway_types::{ClientId, Timestamp};
/// let one = ReplayKey::assertion(&ClientId::new("a"), "j", Timestamp(1));
/// assert_ne!(one.id(), ReplayKey::assertion(&ClientId::new("b"), "j", Timestamp(1)).id());
/// assert_eq!(one.id().len(), 43);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayKey {
    digest: [u8; 32],
    expires_at: Timestamp,
}

impl ReplayKey {
    /// A DPoP proof by the key `jkt` (RFC 9449 section 11.1).
    pub fn dpop_proof(jkt: &Jkt, jti: &str, expires_at: Timestamp) -> Self {
        Self::new("dpop", jkt.as_str(), jti, expires_at)
    }

    /// An assertion by which a client authenticates (RFC 7523 section 3).
    pub fn assertion(client_id: &ClientId, jti: &str, expires_at: Timestamp) -> Self {
        Self::new("assertion", client_id.as_str(), jti, expires_at)
    }

    /// A request object of a client (RFC 9101 section 10.2).
    pub fn request_object(client_id: &ClientId, jti: &str, expires_at: Timestamp) -> Self {
        Self::new("request object", client_id.as_str(), jti, expires_at)
    }

    /// The same value scoped to one browser, where it works again: users reload pages.
    #[must_use]
    pub fn within(&self, browser: &BrowserSessionId) -> Self {
        Self::new("browser", browser.as_str(), &self.id(), self.expires_at)
    }

    /// The lengths keep the parts apart.
    fn new(purpose: &str, maker: &str, jti: &str, expires_at: Timestamp) -> Self {
        let mut hash = Sha256::new();
        for part in [purpose, maker, jti] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self { digest: hash.finalize().into(), expires_at }
    }

    /// Its identifier, as text for a table.
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest)
    }

    /// Half of its identifier, for in-memory use: too long for anyone to find two values that share it.
    pub fn short_id(&self) -> u128 {
        let (half, _) = self.digest.split_at(16);
        half.iter().fold(0, |id, byte| (id << 8) | u128::from(*byte))
    }

    /// The time from which it is refused for its age anyway.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}
