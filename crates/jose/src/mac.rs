//! Message authentication (RFC 2104).

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::JoseError;

/// HMAC-SHA-256 of a message.
///
/// # Errors
/// [`JoseError::Crypto`].
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Result<Vec<u8>, JoseError> {
    let fail = |_| JoseError::Crypto("authenticate a message");
    let key = PKey::hmac(key).map_err(fail)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key).map_err(fail)?;
    signer.sign_oneshot_to_vec(message).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 section 4.3.
    #[test]
    fn as_the_rfc_says() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?").unwrap();
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
