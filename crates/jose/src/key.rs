//! P-256 keys (RFC 7517, RFC 7518 section 6.2).

use std::fmt;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::JoseError;
use crate::p256::P256Signer;

/// A P-256 key pair that signs with ES256 (RFC 7518 section 3.4).
///
/// The key is parsed once; every signature uses the parsed form.
#[derive(Clone)]
pub struct EcKey {
    signer: P256Signer,
    private_jwk: Secret,
    x: String,
    y: String,
    /// Computed on demand: most keys sign and are dropped without it.
    thumbprint: OnceLock<String>,
}

/// The order of the curve's base point (SEC 2 section 2.4.2): private keys lie between 1 and this, exclusive.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The members of a private JWK, in the order in which we write them.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct PrivateJwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    d: String,
}

impl EcKey {
    /// A fresh key pair.
    ///
    /// # Errors
    /// [`JoseError::Crypto`] when the cryptographic library fails, for example for want of entropy.
    pub fn generate() -> Result<Self, JoseError> {
        let signer = P256Signer::generate().ok_or(JoseError::Crypto("generate a key"))?;
        let (Some((x, y)), Some(d)) = (signer.coordinates(), signer.scalar()) else {
            return Err(JoseError::Crypto("export a key"));
        };
        let (kty, crv) = ("EC".to_owned(), "P-256".to_owned());
        let private = PrivateJwk { kty, crv, x: x.clone(), y: y.clone(), d: d.as_str().to_owned() };
        let text = serde_json::to_string(&private).map_err(|_| JoseError::Crypto("export a key"))?;
        Ok(Self::new(signer, Secret::new(text), x, y))
    }

    /// Reads a private JWK as [`EcKey::private_jwk`] writes it; further members are ignored.
    ///
    /// # Errors
    /// [`JoseError::InvalidKey`] when it is anything else than a private P-256 JWK whose halves belong together.
    pub fn from_private_jwk(jwk: &Secret) -> Result<Self, JoseError> {
        let key = Self::from_trusted_jwk(jwk)?;
        if key.signer.is_consistent() {
            Ok(key)
        } else {
            Err(JoseError::InvalidKey("x and y do not belong to d"))
        }
    }

    /// The same for a JWK that never left our control, such as one that we stored encrypted: whether the
    /// public half belongs to the private one is not checked again. If it did not, no signature of the key
    /// would verify.
    ///
    /// # Errors
    /// [`JoseError::InvalidKey`] when it is anything else than a private P-256 JWK.
    pub fn from_trusted_jwk(text: &Secret) -> Result<Self, JoseError> {
        let jwk: PrivateJwk = serde_json::from_str(text.expose())
            .map_err(|_| JoseError::InvalidKey("not JSON with kty, crv, x, y and d"))?;
        if jwk.kty != "EC" || jwk.crv != "P-256" {
            return Err(JoseError::InvalidKey("kty must be EC, crv P-256"));
        }
        let decoded = Zeroizing::new(
            URL_SAFE_NO_PAD
                .decode(jwk.d.as_bytes())
                .map_err(|_| JoseError::InvalidKey("d is not unpadded base64url"))?,
        );
        let d: &[u8; 32] =
            decoded.as_slice().try_into().map_err(|_| JoseError::InvalidKey("d is not 32 bytes long"))?;
        if d.iter().all(|byte| *byte == 0) || *d >= P256_ORDER {
            return Err(JoseError::InvalidKey("d is out of range"));
        }
        let signer = P256Signer::from_parts(d, &jwk.x, &jwk.y)
            .ok_or(JoseError::InvalidKey("refused by the cryptographic library"))?;
        Ok(Self::new(signer, text.clone(), jwk.x.clone(), jwk.y.clone()))
    }

    fn new(signer: P256Signer, private_jwk: Secret, x: String, y: String) -> Self {
        Self { signer, private_jwk, x, y, thumbprint: OnceLock::new() }
    }

    /// The private JWK as JSON: for encrypted storage, nowhere else.
    pub fn private_jwk(&self) -> Secret {
        self.private_jwk.clone()
    }

    /// The public JWK with the members that a thumbprint needs: `kty`, `crv`, `x`, `y`.
    pub fn public_jwk(&self) -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y })
    }

    /// The public JWK as it stands in a published key set: with `kid` (the thumbprint), `use` and `alg`.
    pub fn published_jwk(&self) -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y,
            "kid": self.thumbprint(), "use": "sig", "alg": "ES256",
        })
    }

    /// The JWK thumbprint (RFC 7638) in unpadded base64url: the `jkt` of DPoP.
    pub fn thumbprint(&self) -> &str {
        self.thumbprint.get_or_init(|| thumbprint(&self.x, &self.y))
    }

    pub(crate) fn signer(&self) -> &P256Signer {
        &self.signer
    }
}

/// RFC 7638 section 3: the required members in lexicographic order, without white space.
fn thumbprint(x: &str, y: &str) -> String {
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(openssl::sha::sha256(canonical.as_bytes()))
}

impl fmt::Debug for EcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcKey").field("thumbprint", &self.thumbprint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of RFC 7517 appendix A.2.
    const RFC_7517: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use":"enc","kid":"1"}"#;

    #[test]
    fn reads_a_published_private_key() {
        let key = EcKey::from_private_jwk(&Secret::new(RFC_7517)).unwrap();
        assert_eq!(key.public_jwk()["x"], "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
        assert!(key.public_jwk().get("d").is_none());
    }

    /// The DPoP key of RFC 9449 figures 2 and 8: a `jkt` (RFC 7638) that was published for an EC key.
    #[test]
    fn thumbprint_of_rfc_9449() {
        assert_eq!(
            thumbprint(
                "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"
            ),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
    }

    #[test]
    fn a_key_survives_being_stored() {
        let key = EcKey::generate().unwrap();
        let again = EcKey::from_private_jwk(&key.private_jwk()).unwrap();
        assert_eq!(key.private_jwk(), again.private_jwk());
        assert_eq!(key.published_jwk(), again.published_jwk());
        assert_eq!(key.published_jwk()["kid"], key.thumbprint());
        assert_ne!(key.thumbprint(), EcKey::generate().unwrap().thumbprint());
    }

    #[test]
    fn refuses_what_is_no_private_p256_key() {
        let one = EcKey::generate().unwrap();
        let two = EcKey::generate().unwrap();
        let swapped = one.private_jwk().expose().replace(&one.x, &two.x).replace(&one.y, &two.y);
        let with_d = |d: &str| {
            let own: PrivateJwk = serde_json::from_str(one.private_jwk().expose()).unwrap();
            one.private_jwk().expose().replace(&own.d, d)
        };
        for bad in [
            "",
            "{}",
            &one.public_jwk().to_string(),
            &swapped,
            &one.private_jwk().expose().replace("P-256", "P-384"),
            &one.private_jwk().expose().replace("\"d\":\"", "\"d\":\"AA"),
            &one.private_jwk().expose().replace("\"d\":\"", "\"d\":\"="),
        ] {
            let error = EcKey::from_private_jwk(&Secret::new(bad)).map(|_| ()).unwrap_err();
            assert!(matches!(error, JoseError::InvalidKey(_)), "{bad}: {error}");
        }
        for d in [[0; 32], P256_ORDER, [0xff; 32]] {
            let jwk = Secret::new(with_d(&URL_SAFE_NO_PAD.encode(d)));
            let error = EcKey::from_private_jwk(&jwk).map(|_| ()).unwrap_err();
            assert_eq!(error, JoseError::InvalidKey("d is out of range"));
        }
    }

    /// josekit reserves what is announced, and writes no `kid` that the header does not have.
    #[test]
    fn signatures_are_as_announced() {
        use josekit::jws::JwsSigner as _;
        let key = EcKey::generate().unwrap();
        let signer = key.signer();
        assert_eq!((signer.signature_len(), signer.sign(b"message").unwrap().len()), (64, 64));
        assert_eq!((signer.algorithm().name(), signer.key_id()), ("ES256", None));
    }

    #[test]
    fn debug_shows_no_private_half() {
        let key = EcKey::generate().unwrap();
        let private: PrivateJwk = serde_json::from_str(key.private_jwk().expose()).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(key.thumbprint()) && !shown.contains(private.d.as_str()));
        assert_eq!(format!("{:?}", key.signer()), "P256Signer");
    }
}
