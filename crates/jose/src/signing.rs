//! The keys that our own tokens are signed with: RS256, which stock OpenID Connect clients expect, and ES256.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::{Secret, SigningAlg};
use josekit::jwk::Jwk;
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::alg::rsassa::RsassaJwsSigner;
use josekit::jws::{self, JwsHeader, RS256};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{EcKey, JoseError};

/// A private key that signs our own tokens.
#[derive(Clone, Debug)]
pub enum SigningKey {
    /// Signs with RS256.
    Rsa(RsaKey),
    /// Signs with ES256.
    Ec(EcKey),
}

impl SigningKey {
    /// A fresh key. Generating an RSA key takes a large part of a second: keep it off the async workers.
    ///
    /// # Errors
    /// [`JoseError::Crypto`] when the cryptographic library fails.
    pub fn generate(alg: SigningAlg) -> Result<Self, JoseError> {
        match alg {
            SigningAlg::Rs256 => RsaKey::generate().map(Self::Rsa),
            SigningAlg::Es256 => EcKey::generate().map(Self::Ec),
        }
    }

    /// Reads a private JWK as [`SigningKey::private_jwk`] writes it.
    ///
    /// # Errors
    /// [`JoseError::InvalidKey`] when it is not a private key of this algorithm.
    pub fn from_private_jwk(alg: SigningAlg, jwk: &Secret) -> Result<Self, JoseError> {
        match alg {
            SigningAlg::Rs256 => RsaKey::from_private_jwk(jwk).map(Self::Rsa),
            SigningAlg::Es256 => EcKey::from_private_jwk(jwk).map(Self::Ec),
        }
    }

    /// The algorithm.
    pub const fn alg(&self) -> SigningAlg {
        match self {
            Self::Rsa(_) => SigningAlg::Rs256,
            Self::Ec(_) => SigningAlg::Es256,
        }
    }

    /// The JWK thumbprint (RFC 7638): our `kid`.
    pub fn kid(&self) -> &str {
        match self {
            Self::Rsa(key) => &key.thumbprint,
            Self::Ec(key) => key.thumbprint(),
        }
    }

    /// The private JWK as JSON: for encrypted storage, nowhere else.
    pub fn private_jwk(&self) -> Secret {
        match self {
            Self::Rsa(key) => key.private_jwk.clone(),
            Self::Ec(key) => key.private_jwk(),
        }
    }

    /// The public JWK as it stands in a published key set: with `kid`, `use` and `alg`.
    pub fn published_jwk(&self) -> Value {
        match self {
            Self::Rsa(key) => json!({
                "kty": "RSA", "n": key.n, "e": key.e,
                "kid": key.thumbprint, "use": "sig", "alg": "RS256",
            }),
            Self::Ec(key) => key.published_jwk(),
        }
    }

    /// Signs `claims` in compact form with our `kid` in the header. RS256 takes most of a millisecond.
    ///
    /// # Errors
    /// [`JoseError::InvalidClaims`] when the claims cannot be written, [`JoseError::Crypto`] when signing fails.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, JoseError> {
        let header = Map::from_iter([
            ("typ".to_owned(), Value::from(typ)),
            ("kid".to_owned(), Value::from(self.kid())),
        ]);
        match self {
            Self::Ec(key) => crate::sign_jwt(key, header, claims),
            Self::Rsa(key) => {
                let header = JwsHeader::from_map(header).map_err(|_| JoseError::InvalidClaims)?;
                let claims = serde_json::to_vec(claims).map_err(|_| JoseError::InvalidClaims)?;
                jws::serialize_compact(&claims, &header, &key.signer).map_err(|_| JoseError::Crypto("sign"))
            }
        }
    }
}

/// A 2048-bit RSA key pair that signs with RS256 (RFC 7518 section 3.3).
#[derive(Clone)]
pub struct RsaKey {
    signer: RsassaJwsSigner,
    private_jwk: Secret,
    n: String,
    e: String,
    thumbprint: String,
}

impl RsaKey {
    const BITS: u32 = 2048;

    fn generate() -> Result<Self, JoseError> {
        let pair = RsaKeyPair::generate(Self::BITS).map_err(|_| JoseError::Crypto("generate a key"))?;
        Self::from_jwk(&pair.to_jwk_key_pair())
    }

    fn from_private_jwk(jwk: &Secret) -> Result<Self, JoseError> {
        let jwk = Jwk::from_bytes(jwk.expose()).map_err(|_| JoseError::InvalidKey("not a JWK"))?;
        Self::from_jwk(&jwk)
    }

    fn from_jwk(jwk: &Jwk) -> Result<Self, JoseError> {
        let member = |name: &str| jwk.parameter(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(n), Some(e), "RSA") = (member("n"), member("e"), jwk.key_type()) else {
            return Err(JoseError::InvalidKey("kty must be RSA, with n and e"));
        };
        let signer = RS256
            .signer_from_jwk(jwk)
            .map_err(|_| JoseError::InvalidKey("refused by the cryptographic library"))?;
        let thumbprint = thumbprint(&n, &e);
        Ok(Self { signer, private_jwk: Secret::new(jwk.to_string()), n, e, thumbprint })
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

/// RFC 7638 section 3: the required members in lexicographic order, without white space.
fn thumbprint(n: &str, e: &str) -> String {
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    URL_SAFE_NO_PAD.encode(openssl::sha::sha256(canonical.as_bytes()))
}

/// The left half of the SHA-256 of a token: `at_hash` (OpenID Connect Core section 3.1.3.6).
pub fn left_half_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&openssl::sha::sha256(token.as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use josekit::jws::RS256;

    use super::*;

    /// RFC 7638 section 3.1.
    #[test]
    fn thumbprint_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        assert_eq!(thumbprint(n, "AQAB"), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    /// The example of OpenID Connect Core appendix A.3: an access token and its `at_hash`.
    #[test]
    fn at_hash_of_openid_connect_core() {
        assert_eq!(left_half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }

    #[test]
    fn a_signed_token_verifies_after_the_key_was_stored() {
        for &alg in SigningAlg::ALL {
            let key = SigningKey::generate(alg).unwrap();
            let again = SigningKey::from_private_jwk(alg, &key.private_jwk()).unwrap();
            assert_eq!(key.kid(), again.kid());
            let token = again.sign("JWT", &json!({ "sub": "did:plc:x" })).unwrap();
            let public = Jwk::from_map(key.published_jwk().as_object().unwrap().clone()).unwrap();
            let verifier: Box<dyn jws::JwsVerifier> = match alg {
                SigningAlg::Rs256 => Box::new(RS256.verifier_from_jwk(&public).unwrap()),
                SigningAlg::Es256 => Box::new(jws::ES256.verifier_from_jwk(&public).unwrap()),
            };
            let (payload, header) = jws::deserialize_compact(&token, &*verifier).unwrap();
            assert_eq!(payload, br#"{"sub":"did:plc:x"}"#);
            assert_eq!(header.key_id(), Some(key.kid()));
            assert_eq!(header.algorithm(), Some(alg.as_str()));
        }
    }

    #[test]
    fn a_published_key_is_public() {
        for &alg in SigningAlg::ALL {
            let jwk = SigningKey::generate(alg).unwrap().published_jwk();
            for member in ["d", "p", "q", "dp", "dq", "qi"] {
                assert!(jwk.get(member).is_none(), "{member}");
            }
        }
    }

    #[test]
    fn debug_shows_no_private_half() {
        for &alg in SigningAlg::ALL {
            let key = SigningKey::generate(alg).unwrap();
            let private: Value = serde_json::from_str(key.private_jwk().expose()).unwrap();
            let shown = format!("{key:?}");
            assert!(shown.contains(key.kid()) && !shown.contains(private["d"].as_str().unwrap()));
        }
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        let ec = EcKey::generate().unwrap();
        assert!(SigningKey::from_private_jwk(SigningAlg::Rs256, &ec.private_jwk()).is_err());
        assert!(SigningKey::from_private_jwk(SigningAlg::Rs256, &Secret::new("{}")).is_err());
    }
}
