//! A key that is ready to verify with.
//!
//! josekit hands every public key to OpenSSL as DER, which costs more than the verification itself: 100 us
//! beside 57 us for P-256. That is the key of nearly every DPoP proof, and each proof brings its own; so
//! P-256 goes to OpenSSL as the point that it is, and the others through josekit.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::JwsVerifier;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::pkey::Public;

use crate::p256;

/// Verifies signatures of one key with one algorithm.
pub(crate) enum Verifier {
    /// ES256.
    P256(EcKey<Public>),
    /// Anything else.
    Josekit(Box<dyn JwsVerifier>),
}

impl Verifier {
    /// From coordinates of 32 bytes each, in base64url; `None` when that is not a point on the curve.
    pub(crate) fn p256(x: &str, y: &str) -> Option<Self> {
        let group = p256::group()?;
        // SEC 1 section 2.3.3: uncompressed.
        let mut point = vec![4];
        URL_SAFE_NO_PAD.decode_vec(x, &mut point).ok()?;
        URL_SAFE_NO_PAD.decode_vec(y, &mut point).ok()?;
        let mut context = BigNumContext::new().ok()?;
        // OpenSSL checks that the coordinates are in range and the point on the curve, whose cofactor is 1:
        // no more is to be known of a public key.
        let point = EcPoint::from_bytes(group, &point, &mut context).ok()?;
        EcKey::from_public_key(group, &point).ok().map(Self::P256)
    }

    /// Whether this key made `signature` over `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => verify_p256(key, message, signature).unwrap_or(false),
            Self::Josekit(verifier) => verifier.verify(message, signature).is_ok(),
        }
    }
}

/// RFC 7518 section 3.4: `r` and `s`, 32 bytes each.
fn verify_p256(key: &EcKey<Public>, message: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
    let Some((r, s)) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32) else {
        return Ok(false);
    };
    let signature = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(&openssl::sha::sha256(message), key)
}
