//! Stateless nonces for DPoP proofs (RFC 9449 section 8): a keyed hash of the time.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::Timestamp;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use zeroize::Zeroizing;

use crate::JoseError;

/// Seconds after which another nonce is handed out.
pub const NONCE_SECONDS: i64 = 180;
/// Bytes of the hash that a nonce shows.
const NONCE_BYTES: usize = 16;

/// Issues and recognizes nonces. Every process with the same keys issues and recognizes the same ones: one
/// nonce is issued for [`NONCE_SECONDS`], and accepted for as long again.
pub struct DpopNonces {
    keys: Vec<PKey<Private>>,
}

impl DpopNonces {
    /// Loads the keys: the first one issues nonces, and those of all keys are recognized.
    ///
    /// # Errors
    /// [`JoseError::Crypto`] when the cryptographic library refuses a key.
    pub fn new<const N: usize>(keys: &[Zeroizing<[u8; N]>]) -> Result<Self, JoseError> {
        let load = |key: &Zeroizing<[u8; N]>| {
            PKey::hmac(key.as_slice()).map_err(|_| JoseError::Crypto("load a key"))
        };
        Ok(Self { keys: keys.iter().map(load).collect::<Result<_, _>>()? })
    }

    /// The nonce of this moment.
    ///
    /// # Errors
    /// [`JoseError::Crypto`] when the cryptographic library fails, or there is no key.
    pub fn issue(&self, now: Timestamp) -> Result<String, JoseError> {
        let key = self.keys.first().ok_or(JoseError::Crypto("derive a nonce"))?;
        nonce_of(key, period(now)).map_err(|_| JoseError::Crypto("derive a nonce"))
    }

    /// Whether a nonce is ours and not too old. One from the next period is accepted, too: the clocks of two
    /// processes differ.
    pub fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        let period = period(now);
        self.keys.iter().any(|key| {
            [period, period - 1, period + 1].into_iter().any(|period| {
                nonce_of(key, period).is_ok_and(|own| {
                    own.len() == nonce.len() && openssl::memcmp::eq(own.as_bytes(), nonce.as_bytes())
                })
            })
        })
    }
}

const fn period(now: Timestamp) -> i64 {
    now.as_secs().div_euclid(NONCE_SECONDS)
}

fn nonce_of(key: &PKey<Private>, period: i64) -> Result<String, ErrorStack> {
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.update(&period.to_be_bytes())?;
    let hash = signer.sign_to_vec()?;
    Ok(URL_SAFE_NO_PAD.encode(hash.get(..NONCE_BYTES).unwrap_or(&hash)))
}

impl fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DpopNonces({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[u8]) -> DpopNonces {
        DpopNonces::new(&keys.iter().map(|key| Zeroizing::new([*key; 32])).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_nonce_lives_for_two_periods() {
        let nonces = of(&[1]);
        let begin = Timestamp(NONCE_SECONDS * 1_000_000);
        let nonce = nonces.issue(begin).unwrap();
        assert_eq!(nonce.len(), 22);
        assert_eq!(nonces.issue(begin.plus(179)).unwrap(), nonce);
        assert_ne!(nonces.issue(begin.plus(180)).unwrap(), nonce);
        for (seconds, accepted) in [(-181, false), (-180, true), (0, true), (359, true), (360, false)] {
            assert_eq!(nonces.accepts(&nonce, begin.plus(seconds)), accepted, "{seconds}");
        }
        for other in ["", "x", &nonce[1..], &nonce.to_lowercase()] {
            assert!(!nonces.accepts(other, begin), "{other}");
        }
    }

    #[test]
    fn keys_rotate() {
        let now = Timestamp(1_000_000);
        let old = of(&[1]);
        let new = of(&[2, 1]);
        assert!(new.accepts(&old.issue(now).unwrap(), now));
        assert!(!old.accepts(&new.issue(now).unwrap(), now));
        assert!(of(&[]).issue(now).is_err());
        assert_eq!(format!("{new:?}"), "DpopNonces(2 keys)");
    }
}
