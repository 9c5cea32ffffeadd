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
        u128::from_be_bytes(std::array::from_fn(|at| self.digest[at]))
    }

    /// The time from which it is refused for its age anyway.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_value_takes_the_place_of_another() {
        let end = Timestamp(9);
        let id = |text: &str| ClientId::new(text);
        let jkt = Jkt::parse("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap();
        let keys = [
            ReplayKey::dpop_proof(&jkt, "j", end),
            ReplayKey::dpop_proof(&jkt, "k", end),
            ReplayKey::assertion(&id(jkt.as_str()), "j", end),
            ReplayKey::request_object(&id(jkt.as_str()), "j", end),
            ReplayKey::assertion(&id("a"), "bc", end),
            ReplayKey::assertion(&id("ab"), "c", end),
            ReplayKey::assertion(&id("a"), "bc", end).within(&BrowserSessionId::new("1")),
            ReplayKey::assertion(&id("a"), "bc", end).within(&BrowserSessionId::new("2")),
        ];
        assert_eq!(keys.iter().map(ReplayKey::id).collect::<HashSet<_>>().len(), keys.len());
        assert_eq!(keys.iter().map(ReplayKey::short_id).collect::<HashSet<_>>().len(), keys.len());
        assert!(keys.iter().all(|key| key.expires_at() == end));
        assert_eq!(ReplayKey::dpop_proof(&jkt, "j", Timestamp(1)).id(), keys[0].id(), "whenever it ends");
    }

    #[test]
    fn half_of_an_identifier() {
        let mut digest = [0; 32];
        (digest[0], digest[15], digest[16]) = (0x80, 1, 0xff);
        let key = ReplayKey { digest, expires_at: Timestamp(1) };
        assert_eq!(key.short_id(), (0x80 << 120) | 1);
        assert!(key.id().starts_with("gAAA"));
    }
}
