//! Public keys of other parties (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws;
use serde_json::{Map, Value, json};

use crate::JwsAlgorithm;
use crate::verifier::Verifier;

/// The shortest RSA modulus that we accept, in bits (RFC 7518 section 3.3).
const RSA_MIN_BITS: usize = 2048;
/// The longest one: the time that a verification takes grows with it.
const RSA_MAX_BITS: usize = 8192;
/// The maximum number of keys in a set.
const MAX_KEYS: usize = 64;
/// The longest `kid`, in bytes.
const MAX_KID: usize = 256;
/// The members that only a private or symmetric key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key or a key set was refused. The texts hold no part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// It has a private half, which the sender has thereby disclosed.
    #[error("holds a private key: send the public members only, and replace that key")]
    Private,
    /// It is a shared secret.
    #[error("holds a symmetric key: use EC, RSA or OKP")]
    Symmetric,
    /// A kind of key, a curve or a length that we do not verify with.
    #[error("holds no supported key: {0}")]
    Unsupported(&'static str),
    /// Not a JWK at all, or not one of the kind that it says.
    #[error("is malformed: {0}")]
    Malformed(&'static str),
}

/// The identity of a key: the members of its thumbprint, in base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// On P-256.
    Ec {
        x: String,
        y: String,
    },
    Rsa {
        n: String,
        e: String,
    },
    /// On Ed25519.
    Okp {
        x: String,
    },
}

/// A public key that signatures can be verified with: EC on P-256, RSA of at least 2048 bits, or
/// OKP on Ed25519.
///
/// ```
/// use causeway_jose::PublicJwk;
/// use serde_json::json;
/// let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// let key = PublicJwk::parse(&json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))?;
/// assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// assert!(PublicJwk::parse(&json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "d": x })).is_err());
/// # Ok::<(), causeway_jose::JwkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicJwk {
    material: Material,
    kid: Option<String>,
    alg: Option<JwsAlgorithm>,
    thumbprint: String,
}

impl PublicJwk {
    /// Reads a public JWK. Members that do not bear on signatures are ignored.
    ///
    /// # Errors
    /// The [`JwkError`] that says why it is not used.
    pub fn parse(jwk: &Value) -> Result<Self, JwkError> {
        Self::of_members(jwk.as_object().ok_or(JwkError::Malformed("not a JSON object"))?)
    }

    pub(crate) fn of_members(jwk: &Map<String, Value>) -> Result<Self, JwkError> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kty = text("kty").ok_or(JwkError::Malformed("kty is missing"))?;
        if kty == "oct" {
            return Err(JwkError::Symmetric);
        }
        if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
            return Err(JwkError::Private);
        }
        let material = match kty {
            "EC" if text("crv") == Some("P-256") => {
                Material::Ec { x: octets(text("x"), 32)?, y: octets(text("y"), 32)? }
            }
            "EC" => return Err(JwkError::Unsupported("the curve must be P-256")),
            "RSA" => rsa(text("n"), text("e"))?,
            "OKP" if text("crv") == Some("Ed25519") => Material::Okp { x: octets(text("x"), 32)? },
            "OKP" => return Err(JwkError::Unsupported("the OKP curve must be Ed25519")),
            _ => return Err(JwkError::Unsupported("kty must be EC, RSA or OKP")),
        };
        check_purpose(jwk)?;
        let alg = match jwk.get("alg") {
            None => None,
            Some(alg) => {
                let alg = alg.as_str().and_then(JwsAlgorithm::parse);
                Some(
                    alg.filter(|alg| alg.key_type() == kty)
                        .ok_or(JwkError::Unsupported("its alg does not fit its kty"))?,
                )
            }
        };
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= MAX_KID => Some(kid.clone()),
            Some(_) => return Err(JwkError::Malformed("kid must be a string of at most 256 bytes")),
        };
        let thumbprint = material.thumbprint();
        Ok(Self { material, kid, alg, thumbprint })
    }

    /// The JWK thumbprint (RFC 7638) in unpadded base64url: the `jkt` of DPoP.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Its name in a set, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The members of its thumbprint, and no others.
    pub fn to_value(&self) -> Value {
        match &self.material {
            Material::Ec { x, y } => json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
            Material::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e }),
            Material::Okp { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
        }
    }

    /// Whether signatures of this algorithm may be this key's.
    pub(crate) fn fits(&self, algorithm: JwsAlgorithm) -> bool {
        self.alg.is_none_or(|own| own == algorithm) && self.material.key_type() == algorithm.key_type()
    }

    /// The key, ready to verify; `None` when it does not fit, or is none after all (a point off the curve).
    pub(crate) fn verifier(&self, algorithm: JwsAlgorithm) -> Option<Verifier> {
        if !self.fits(algorithm) {
            return None;
        }
        let (first, second) = match &self.material {
            Material::Ec { x, y } => return Verifier::p256(x, y),
            Material::Rsa { n, e } => (("n", n.as_str()), ("e", e.as_str())),
            Material::Okp { x } => (("crv", "Ed25519"), ("x", x.as_str())),
        };
        let mut jwk = Jwk::new(self.material.key_type());
        for (name, value) in [first, second] {
            jwk.set_parameter(name, Some(Value::from(value))).ok()?;
        }
        Some(Verifier::Josekit(match algorithm {
            JwsAlgorithm::Es256 => return None,
            JwsAlgorithm::Rs256 => Box::new(jws::RS256.verifier_from_jwk(&jwk).ok()?),
            JwsAlgorithm::Ps256 => Box::new(jws::PS256.verifier_from_jwk(&jwk).ok()?),
            JwsAlgorithm::EdDsa | JwsAlgorithm::Ed25519 => Box::new(jws::EdDSA.verifier_from_jwk(&jwk).ok()?),
        }))
    }
}

impl Material {
    const fn key_type(&self) -> &'static str {
        match self {
            Self::Ec { .. } => "EC",
            Self::Rsa { .. } => "RSA",
            Self::Okp { .. } => "OKP",
        }
    }

    /// RFC 7638 section 3: the required members in lexicographic order, without white space. The values
    /// are base64url, which needs no escapes.
    fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::Ec { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Self::Okp { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(openssl::sha::sha256(canonical.as_bytes()))
    }
}

/// The decoder refuses other spellings of the same bytes, so one key has one thumbprint.
fn decoded(member: Option<&str>) -> Result<(&str, Vec<u8>), JwkError> {
    let text = member.ok_or(JwkError::Malformed("a member that its kty requires is missing"))?;
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JwkError::Malformed("a member is not unpadded base64url"))?;
    Ok((text, bytes))
}

fn octets(member: Option<&str>, length: usize) -> Result<String, JwkError> {
    let (text, bytes) = decoded(member)?;
    if bytes.len() != length {
        return Err(JwkError::Malformed("a coordinate has the wrong length"));
    }
    Ok(text.to_owned())
}

fn rsa(n: Option<&str>, e: Option<&str>) -> Result<Material, JwkError> {
    let (n, modulus) = decoded(n)?;
    let (e, exponent) = decoded(e)?;
    let minimal = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
    if !minimal(&modulus) || !minimal(&exponent) {
        return Err(JwkError::Malformed("an RSA number begins with a zero byte"));
    }
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
        return Err(JwkError::Unsupported("RSA keys must have 2048 to 8192 bits"));
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || exponent == [1] || exponent.len() > 4 {
        return Err(JwkError::Unsupported("an RSA exponent must be odd, at least 3, and of at most 32 bits"));
    }
    Ok(Material::Rsa { n: n.to_owned(), e: e.to_owned() })
}

/// `use` and `key_ops`, when they are there, must be for signatures (RFC 7517 sections 4.2 and 4.3).
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), JwkError> {
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::Unsupported("use must be sig"));
    }
    let verifies = |operations: &Value| {
        operations.as_array().is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    };
    if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
        return Err(JwkError::Unsupported("key_ops must include verify"));
    }
    Ok(())
}

/// Public keys of one holder (RFC 7517 section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet(Vec<PublicJwk>);

impl JwkSet {
    /// Reads a key set. Keys of kinds that we do not verify with are left out, as section 5 has it; one
    /// private or symmetric key spoils the whole set.
    ///
    /// # Errors
    /// The [`JwkError`] that says why it is not used; a set without any usable key is an error, too.
    pub fn parse(set: &Value) -> Result<Self, JwkError> {
        let keys = set
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(JwkError::Malformed("not an object with a list of keys"))?;
        if keys.len() > MAX_KEYS {
            return Err(JwkError::Malformed("more than 64 keys"));
        }
        let mut usable = Vec::new();
        let mut why_not = JwkError::Unsupported("the list of keys is empty");
        for key in keys {
            match PublicJwk::parse(key) {
                Ok(key) => usable.push(key),
                Err(error @ (JwkError::Private | JwkError::Symmetric)) => return Err(error),
                Err(error) => why_not = error,
            }
        }
        if usable.is_empty() { Err(why_not) } else { Ok(Self(usable)) }
    }

    /// The keys.
    pub fn keys(&self) -> &[PublicJwk] {
        &self.0
    }
}

impl From<PublicJwk> for JwkSet {
    fn from(key: PublicJwk) -> Self {
        Self(vec![key])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 section 3.1.
    const RFC_7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    /// RFC 7515 appendix A.3.
    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    #[test]
    fn thumbprints_of_the_specifications() {
        let rsa = json!({"kty": "RSA", "n": RFC_7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        let rsa = PublicJwk::parse(&rsa).unwrap();
        assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(rsa.kid(), Some("2011-04-29"));
        // RFC 8037 appendix A.3.
        let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        assert_eq!(
            PublicJwk::parse(&okp).unwrap().thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        // RFC 9449 figure 2.
        let ec = json!({
            "kty": "EC", "crv": "P-256",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        });
        let ec = PublicJwk::parse(&ec).unwrap();
        assert_eq!(ec.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert_eq!(PublicJwk::parse(&ec.to_value()).unwrap(), ec);
    }

    #[test]
    fn refuses_what_is_no_public_key() {
        use JwkError::{Malformed, Private, Symmetric, Unsupported};
        let ec = |name: &str, value: Value| {
            let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y});
            jwk[name] = value;
            PublicJwk::parse(&jwk).map(|_| ())
        };
        assert_eq!(ec("kid", json!("k".repeat(256))), Ok(()));
        assert_eq!(ec("key_ops", json!(["sign", "verify"])), Ok(()));
        assert_eq!((ec("use", json!("sig")), ec("alg", json!("ES256"))), (Ok(()), Ok(())));
        for name in PRIVATE_MEMBERS {
            assert_eq!(ec(name, json!("AA")), Err(Private), "{name}");
            assert_eq!(ec(name, Value::Null), Err(Private), "{name}");
        }
        assert_eq!(ec("kty", json!("oct")), Err(Symmetric));
        let oct = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"});
        assert_eq!(PublicJwk::parse(&oct), Err(Symmetric));
        for (name, value, why) in [
            ("crv", "P-384", "the curve must be P-256"),
            ("crv", "secp256k1", "the curve must be P-256"),
            ("kty", "OKP", "the OKP curve must be Ed25519"),
            ("kty", "AKP", "kty must be EC, RSA or OKP"),
        ] {
            assert_eq!(ec(name, json!(value)), Err(Unsupported(why)), "{name} {value}");
        }
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("alg", json!("RS256")),
            ("alg", json!("HS256")),
            ("alg", json!("none")),
        ] {
            assert!(matches!(ec(name, value.clone()), Err(Unsupported(_))), "{name} {value}");
        }
        for (name, value) in [
            ("kty", json!(1)),
            ("x", json!("")),
            ("x", json!(7)),
            ("y", json!(format!("{Y}="))),
            ("y", json!(format!("{Y}AA"))),
            // The same bytes, spelled another way.
            ("y", json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1")),
            ("kid", json!(1)),
            ("kid", json!("k".repeat(257))),
        ] {
            assert!(matches!(ec(name, value.clone()), Err(Malformed(_))), "{name} {value}");
        }
        assert!(matches!(PublicJwk::parse(&json!([])), Err(Malformed(_))));
    }

    #[test]
    fn rsa_is_long_enough_and_not_too_long() {
        let rsa = |modulus: &[u8], exponent: &[u8]| {
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            PublicJwk::parse(&json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})).map(|_| ())
        };
        let modulus = |first: u8, bytes: usize| {
            let mut number = vec![0xff; bytes];
            number[0] = first;
            number
        };
        assert_eq!(rsa(&modulus(0x80, 256), &[1, 0, 1]), Ok(()));
        assert_eq!(rsa(&modulus(0xff, 1024), &[3]), Ok(()));
        assert_eq!(rsa(&modulus(0x80, 256), &[1, 0, 0, 1]), Ok(()));
        // 2047 bits in 256 bytes.
        for (first, bytes, exponent) in [
            (0x7f, 256, &[1, 0, 1][..]),
            (0xff, 128, &[1, 0, 1]),
            (0x01, 1025, &[1, 0, 1]),
            (0x80, 256, &[1]),
            (0x80, 256, &[2]),
            (0x80, 256, &[1, 0, 0, 0, 1]),
        ] {
            let refused = rsa(&modulus(first, bytes), exponent);
            assert!(matches!(refused, Err(JwkError::Unsupported(_))), "{first} {bytes} {exponent:?}");
        }
        assert!(matches!(rsa(&modulus(0, 257), &[1, 0, 1]), Err(JwkError::Malformed(_))));
        assert!(matches!(rsa(&modulus(0x80, 256), &[0, 1, 0, 1]), Err(JwkError::Malformed(_))));
    }

    #[test]
    fn a_set_is_as_good_as_its_worst_secret() {
        let good = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y});
        let other = json!({"kty": "EC", "crv": "P-384", "x": X, "y": Y});
        let set = JwkSet::parse(&json!({"keys": [other, good, {"kty": "new"}]})).unwrap();
        assert_eq!(set.keys(), [PublicJwk::parse(&good).unwrap()]);
        assert_eq!(JwkSet::from(PublicJwk::parse(&good).unwrap()), set);
        let mut private = good.clone();
        private["d"] = json!("AA");
        assert_eq!(JwkSet::parse(&json!({"keys": [good, private]})), Err(JwkError::Private));
        assert_eq!(
            JwkSet::parse(&json!({"keys": [good, {"kty": "oct", "k": "AA"}]})),
            Err(JwkError::Symmetric)
        );
        for bad in [json!({"keys": []}), json!({"keys": {}}), json!([]), json!({"keys": [other]})] {
            assert!(JwkSet::parse(&bad).is_err(), "{bad}");
        }
        assert_eq!(JwkSet::parse(&json!({"keys": vec![&good; 64]})).map(|set| set.keys().len()), Ok(64));
        assert!(JwkSet::parse(&json!({"keys": vec![good; 65]})).is_err());
    }
}
