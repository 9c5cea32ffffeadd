//! P-256 keys as OpenSSL holds them (RFC 7518 sections 3.4 and 6.2.1).
//!
//! josekit hands keys to OpenSSL as DER, whose decoders cost more than the signature does: 90 us for a private key
//! beside 25 us to sign with it, and every call in the name of a session begins with that session's key. So the
//! numbers go to OpenSSL as they are, and josekit writes the JWS around the signature.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::JoseError as JosekitError;
use josekit::jws::{ES256, JwsAlgorithm, JwsSigner};
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::Private;
use zeroize::Zeroizing;

static P256: LazyLock<Result<EcGroup, ErrorStack>> =
    LazyLock::new(|| EcGroup::from_curve_name(Nid::X9_62_PRIME256V1));

/// Bytes of a coordinate, a private key and each half of a signature.
const BYTES: usize = 32;
/// The same for OpenSSL.
const BYTES_TO_OPENSSL: i32 = 32;

/// The curve; `None` when OpenSSL does not have it.
pub(crate) fn group() -> Option<&'static EcGroup> {
    P256.as_ref().ok()
}

/// A private key that is ready to sign with.
#[derive(Clone)]
pub(crate) struct P256Signer {
    key: EcKey<Private>,
}

impl P256Signer {
    /// A fresh key; `None` when OpenSSL fails, for example for want of entropy.
    pub(crate) fn generate() -> Option<Self> {
        EcKey::generate(group()?).ok().map(|key| Self { key })
    }

    /// From the private number, whose range the caller has checked, and coordinates in base64url. That they are on
    /// the curve is checked; that they belong to the number is not, which takes as long as a signature: see
    /// [`Self::is_consistent`].
    pub(crate) fn from_parts(d: &[u8; BYTES], x: &str, y: &str) -> Option<Self> {
        let group = group()?;
        let mut number = BigNum::new_secure().ok()?;
        number.copy_from_slice(d).ok()?;
        number.set_const_time();
        // SEC 1 section 2.3.3: uncompressed.
        let mut point = Vec::with_capacity(1 + 2 * BYTES);
        point.push(4);
        URL_SAFE_NO_PAD.decode_vec(x, &mut point).ok()?;
        URL_SAFE_NO_PAD.decode_vec(y, &mut point).ok()?;
        let mut context = BigNumContext::new().ok()?;
        let point = EcPoint::from_bytes(group, &point, &mut context).ok()?;
        EcKey::from_private_components(group, &number, &point).ok().map(|key| Self { key })
    }

    /// Whether the two halves belong together.
    pub(crate) fn is_consistent(&self) -> bool {
        self.key.check_key().is_ok()
    }

    /// The public half: `x` and `y` in base64url.
    pub(crate) fn coordinates(&self) -> Option<(String, String)> {
        let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
        let mut context = BigNumContext::new().ok()?;
        self.key.public_key().affine_coordinates(group()?, &mut x, &mut y, &mut context).ok()?;
        Some((URL_SAFE_NO_PAD.encode(padded(&x)?), URL_SAFE_NO_PAD.encode(padded(&y)?)))
    }

    /// The private half: `d` in base64url.
    pub(crate) fn scalar(&self) -> Option<Zeroizing<String>> {
        let bytes = Zeroizing::new(padded(self.key.private_key())?);
        Some(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    /// RFC 7518 section 3.4: `r` and `s` of the SHA-256, 32 bytes each.
    fn sign_es256(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let signature = EcdsaSig::sign(&openssl::sha::sha256(message), &self.key)?;
        let mut bytes = signature.r().to_vec_padded(BYTES_TO_OPENSSL)?;
        bytes.extend_from_slice(&signature.s().to_vec_padded(BYTES_TO_OPENSSL)?);
        Ok(bytes)
    }
}

fn padded(number: &BigNumRef) -> Option<Vec<u8>> {
    number.to_vec_padded(BYTES_TO_OPENSSL).ok()
}

impl std::fmt::Debug for P256Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P256Signer")
    }
}

impl JwsSigner for P256Signer {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        &ES256
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn signature_len(&self) -> usize {
        2 * BYTES
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JosekitError> {
        self.sign_es256(message).map_err(|error| JosekitError::InvalidSignature(error.into()))
    }

    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}
