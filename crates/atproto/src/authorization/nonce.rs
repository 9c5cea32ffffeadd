//! DPoP with a nonce (RFC 9449 section 8), and the nonces that servers gave us, by origin.

use std::sync::{Mutex, PoisonError};

use causeway_domain::BoundedMap;
use causeway_outbound::header::{HeaderMap, HeaderName};
use causeway_types::Timestamp;
use url::Url;

/// The header of a proof.
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The error code of a server that demands another nonce.
pub(crate) const USE_DPOP_NONCE: &str = "use_dpop_nonce";

/// Maximum length of a nonce; longer ones are ignored.
const MAX_LENGTH: usize = 512;

/// The nonce that comes with a response.
pub fn nonce_of(headers: &HeaderMap) -> Option<String> {
    let nonce = headers.get("dpop-nonce")?.to_str().ok()?;
    (!nonce.is_empty() && nonce.len() <= MAX_LENGTH).then(|| nonce.to_owned())
}

/// The newest nonce of each origin. In memory only: a lost nonce costs one more round trip.
#[derive(Debug)]
pub(crate) struct NonceMemory(Mutex<BoundedMap<String, (String, Timestamp)>>);

impl Default for NonceMemory {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(Self::CAPACITY)))
    }
}

impl NonceMemory {
    /// Maximum number of origins: the one with the oldest nonce makes room.
    const CAPACITY: usize = 10_000;

    /// The newest nonce of `url`'s origin.
    pub(crate) fn get(&self, url: &Url) -> Option<String> {
        let nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.get(&url.origin().ascii_serialization()).map(|(nonce, _)| nonce.clone())
    }

    /// Whether the nonce of `url`'s origin is less than `seconds` old.
    pub(crate) fn is_fresh(&self, url: &Url, now: Timestamp, seconds: i64) -> bool {
        let nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let given = nonces.get(&url.origin().ascii_serialization());
        given.is_some_and(|(_, at)| (0..seconds).contains(&now.since(*at)))
    }

    /// Stores the nonce of a response from `url` and returns it. Its age counts from the first response that
    /// had it: servers repeat a nonce until they change it, and then accept the old one for a while only.
    pub(crate) fn store(&self, url: &Url, headers: &HeaderMap, now: Timestamp) -> Option<String> {
        let nonce = nonce_of(headers)?;
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = url.origin().ascii_serialization();
        if nonces.get(&origin).is_none_or(|(known, _)| *known != nonce) {
            nonces.put(origin, (nonce.clone(), now));
        }
        Some(nonce)
    }
}
