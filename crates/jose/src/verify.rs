//! Verification of compact JWSs (RFC 7515 section 5.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::jwk::JwkError;
use crate::{JwkSet, JwsAlgorithm, PublicJwk};

/// Keys of a set that are tried for one signature.
const MAX_TRIES: usize = 8;

/// Why a signed text was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Longer than we read.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// Not a JWS in compact form.
    #[error("is not a signed JWT in compact form")]
    Malformed,
    /// `none`, a symmetric algorithm, or one that we do not know.
    #[error("is signed with an unsupported alg: use ES256, RS256, PS256 or EdDSA")]
    Algorithm,
    /// A header that has to be understood (RFC 7515 section 4.1.11). We understand none.
    #[error("has a crit header, which is not supported")]
    Critical,
    /// The key in the header.
    #[error("has no usable key in its header: the jwk {0}")]
    Jwk(#[from] JwkError),
    /// No key of this `kid`, or of a kind that fits the algorithm.
    #[error("is signed by an unknown key: check kid and alg")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("has an invalid signature")]
    Signature,
    /// The payload is not the JSON that it should be.
    #[error("has malformed claims")]
    Claims,
}

/// Notes that a member was there, whatever its value, `null` included.
#[derive(Default)]
struct Presence(bool);

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// The members that we read. serde refuses one that is there twice.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    jwk: Option<Map<String, Value>>,
    #[serde(default)]
    crit: Presence,
}

/// A parsed JWS. Nothing in it is trusted before [`Jws::verify`] or [`Jws::verify_with`].
pub struct Jws<'a> {
    algorithm: JwsAlgorithm,
    header: Header,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// The payload of a JWS whose signature has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified(Vec<u8>);

impl Verified {
    /// The payload as JSON.
    ///
    /// # Errors
    /// [`VerifyError::Claims`] when it is not of this form.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, VerifyError> {
        serde_json::from_slice(&self.0).map_err(|_| VerifyError::Claims)
    }

    /// The payload as it was signed.
    pub fn payload(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Jws<'a> {
    /// Reads the header of a compact JWS of at most `max_bytes`. No key is touched.
    ///
    /// # Errors
    /// [`VerifyError`] when it is too long or malformed, or asks for what we do not do.
    pub fn parse(text: &'a str, max_bytes: usize) -> Result<Self, VerifyError> {
        if text.len() > max_bytes {
            return Err(VerifyError::TooLong(max_bytes));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(VerifyError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(VerifyError::Malformed)?;
        if payload.contains('.') {
            return Err(VerifyError::Malformed);
        }
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| VerifyError::Malformed)?;
        let algorithm = JwsAlgorithm::parse(&header.alg).ok_or(VerifyError::Algorithm)?;
        if header.crit.0 {
            return Err(VerifyError::Critical);
        }
        Ok(Self { algorithm, header, signed, payload, signature })
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// The `typ` header: a media type, whose `application/` may be left out (RFC 7515 section 4.1.9).
    pub fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref().map(|typ| match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        })
    }

    /// The name of the key that it says to be signed by.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The public key in its header.
    ///
    /// # Errors
    /// [`VerifyError::Jwk`] when there is none, or none that we accept.
    pub fn jwk(&self) -> Result<PublicJwk, VerifyError> {
        let members = self.header.jwk.as_ref().ok_or(JwkError::Malformed("it is missing"))?;
        Ok(PublicJwk::of_members(members)?)
    }

    /// Verifies the signature with one key.
    ///
    /// # Errors
    /// [`VerifyError::UnknownKey`] when the key is not one of this algorithm, [`VerifyError::Signature`]
    /// when it did not sign this.
    pub fn verify(&self, key: &PublicJwk) -> Result<Verified, VerifyError> {
        let signature = decode(self.signature).map_err(|_| VerifyError::Signature)?;
        self.check(key, &signature)?;
        Ok(Verified(decode(self.payload)?))
    }

    /// Verifies the signature with the keys of a set: those that the header names by `kid`, or, when it
    /// names none, those that fit the algorithm; eight of them at most.
    ///
    /// # Errors
    /// [`VerifyError::UnknownKey`] when there is no key to try, [`VerifyError::Signature`] when none of
    /// them signed this.
    pub fn verify_with(&self, keys: &JwkSet) -> Result<Verified, VerifyError> {
        let signature = decode(self.signature).map_err(|_| VerifyError::Signature)?;
        let named = |key: &&PublicJwk| match self.kid() {
            None => true,
            // Some publish a key without a name and use one all the same.
            Some(kid) => key.kid().is_none_or(|own| own == kid),
        };
        let fitting = keys.keys().iter().filter(|key| key.fits(self.algorithm)).filter(named);
        let mut outcome = Err(VerifyError::UnknownKey);
        for key in fitting.take(MAX_TRIES) {
            outcome = self.check(key, &signature);
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        Ok(Verified(decode(self.payload)?))
    }

    /// The payload's claims, untrusted: only for finding the key to verify with.
    ///
    /// # Errors
    /// [`VerifyError::Claims`] when they are not of this form.
    pub fn unverified_claims<T: DeserializeOwned>(&self) -> Result<T, VerifyError> {
        serde_json::from_slice(&decode(self.payload)?).map_err(|_| VerifyError::Claims)
    }

    fn check(&self, key: &PublicJwk, signature: &[u8]) -> Result<(), VerifyError> {
        // ECDSA over zeros would verify anything in a library that forgot to check (CVE-2022-21449).
        let halves = signature.split_at_checked(32);
        let is_zero = |half: &[u8]| half.iter().all(|byte| *byte == 0);
        if halves.is_none_or(|(r, s)| is_zero(r) || is_zero(s)) {
            return Err(VerifyError::Signature);
        }
        let verifier = key.verifier(self.algorithm).ok_or(VerifyError::UnknownKey)?;
        if verifier.verify(self.signed.as_bytes(), signature) { Ok(()) } else { Err(VerifyError::Signature) }
    }
}

impl std::fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jws")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.header.kid)
            .finish_non_exhaustive()
    }
}

fn decode(part: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| VerifyError::Malformed)
}

#[cfg(test)]
mod tests {
    use josekit::jwk::Jwk;
    use josekit::jwk::alg::ed::EdCurve;
    use josekit::jws::{self, JwsHeader, JwsSigner};
    use serde_json::json;

    use super::*;
    use crate::EcKey;

    const CAP: usize = 4096;
    /// RFC 7515 appendix A.3.
    const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    /// RFC 7515 appendix A.2.
    const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    /// RFC 8037 appendix A.4.
    const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

    fn key(jwk: &Value) -> PublicJwk {
        PublicJwk::parse(jwk).unwrap()
    }

    fn ec() -> PublicJwk {
        key(&json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }))
    }

    fn rsa() -> PublicJwk {
        key(&json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"}))
    }

    fn okp() -> PublicJwk {
        key(&json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))
    }

    fn verify(token: &str, key: &PublicJwk) -> Result<Verified, VerifyError> {
        Jws::parse(token, CAP)?.verify(key)
    }

    /// Signs with any of josekit's algorithms, the ones that we refuse included.
    fn signed(header: Value, payload: &[u8], signer: &dyn JwsSigner) -> String {
        let Value::Object(header) = header else { panic!("a header") };
        jws::serialize_compact(payload, &JwsHeader::from_map(header).unwrap(), signer).unwrap()
    }

    fn public(jwk: &Jwk) -> PublicJwk {
        key(&Value::Object(jwk.as_ref().clone()))
    }

    /// With another header in front of the same payload and signature.
    fn with_header(token: &str, header: &str) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), token.split_once('.').unwrap().1)
    }

    #[test]
    fn vectors_of_the_specifications() {
        assert_eq!(verify(ES256, &ec()).unwrap().claims::<Value>().unwrap()["iss"], "joe");
        assert_eq!(verify(RS256, &rsa()).unwrap().claims::<Value>().unwrap()["iss"], "joe");
        assert_eq!(verify(EDDSA, &okp()).unwrap().payload(), b"Example of Ed25519 signing");
        for (token, key) in [(ES256, ec()), (RS256, rsa()), (EDDSA, okp())] {
            let (head, signature) = token.rsplit_once('.').unwrap();
            // One bit of the payload, one of the signature.
            let (header, payload) = head.split_once('.').unwrap();
            let flip = |part: &str| {
                let mut bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
                bytes[7] ^= 1;
                URL_SAFE_NO_PAD.encode(bytes)
            };
            let altered = format!("{header}.{}.{signature}", flip(payload));
            assert_eq!(verify(&altered, &key), Err(VerifyError::Signature));
            assert_eq!(verify(&format!("{head}.{}", flip(signature)), &key), Err(VerifyError::Signature));
        }
    }

    #[test]
    fn every_algorithm_verifies_and_names_its_kind_of_key() {
        let rsa = jws::RS256.generate_key_pair(2048).unwrap();
        let okp = jws::EdDSA.generate_key_pair(EdCurve::Ed25519).unwrap();
        let ec = jws::ES256.generate_key_pair().unwrap();
        // Without the alg that josekit writes into it: the same key for both RSA algorithms.
        let strip = |mut jwk: Jwk| {
            jwk.set_parameter("alg", None).unwrap();
            jwk
        };
        let rsa = (strip(rsa.to_jwk_private_key()), public(&strip(rsa.to_jwk_public_key())));
        let okp = (strip(okp.to_jwk_private_key()), public(&strip(okp.to_jwk_public_key())));
        let ec = (strip(ec.to_jwk_private_key()), public(&strip(ec.to_jwk_public_key())));
        let sign = |alg: JwsAlgorithm| -> (String, &PublicJwk) {
            let (private, public): &(Jwk, PublicJwk) = match alg {
                JwsAlgorithm::Es256 => &ec,
                JwsAlgorithm::Rs256 | JwsAlgorithm::Ps256 => &rsa,
                JwsAlgorithm::EdDsa | JwsAlgorithm::Ed25519 => &okp,
            };
            let signer: Box<dyn JwsSigner> = match alg {
                JwsAlgorithm::Es256 => Box::new(jws::ES256.signer_from_jwk(private).unwrap()),
                JwsAlgorithm::Rs256 => Box::new(jws::RS256.signer_from_jwk(private).unwrap()),
                JwsAlgorithm::Ps256 => Box::new(jws::PS256.signer_from_jwk(private).unwrap()),
                _ => Box::new(jws::EdDSA.signer_from_jwk(private).unwrap()),
            };
            let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg.as_str() }).to_string());
            let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode("{}"));
            let signature = URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap());
            (format!("{message}.{signature}"), public)
        };
        for alg in JwsAlgorithm::ALL {
            let (token, own) = sign(alg);
            assert!(verify(&token, own).is_ok(), "{alg}");
            for (_, other) in [&rsa, &okp, &ec].into_iter().filter(|(_, other)| other != own) {
                assert_eq!(verify(&token, other), Err(VerifyError::UnknownKey), "{alg}");
            }
        }
        // PSS is not PKCS #1, though the key is the same.
        let (token, key) = sign(JwsAlgorithm::Rs256);
        assert_eq!(verify(&with_header(&token, r#"{"alg":"PS256"}"#), key), Err(VerifyError::Signature));
        // A key that was published for one of them is not used for the other.
        let mut bound = key.to_value();
        bound["alg"] = json!("PS256");
        assert_eq!(verify(&token, &PublicJwk::parse(&bound).unwrap()), Err(VerifyError::UnknownKey));
    }

    #[test]
    fn zeros_are_no_signature() {
        for (token, key, length) in [(ES256, ec(), 64), (RS256, rsa(), 256), (EDDSA, okp(), 64)] {
            let head = token.rsplit_once('.').unwrap().0;
            for zeros in [0, 1, 31, 32, 63, length, length + 1] {
                let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode(vec![0; zeros]));
                assert_eq!(verify(&forged, &key), Err(VerifyError::Signature), "{zeros} zeros");
            }
        }
        // Either half, and the order of the curve, which is zero, too.
        let head = ES256.rsplit_once('.').unwrap().0;
        let order = [
            0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
            0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
        ];
        for (r, s) in [([0; 32], [1; 32]), ([1; 32], [0; 32]), (order, order), ([0xff; 32], [0xff; 32])] {
            let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode([r, s].concat()));
            assert_eq!(verify(&forged, &ec()), Err(VerifyError::Signature));
        }
    }

    #[test]
    fn the_algorithm_is_ours_to_choose() {
        for alg in ["none", "None", "NONE", "", "HS256", "HS512", "ES384", "ES256K", "RS1", "RSA1_5", "es256"]
        {
            let token = with_header(ES256, &json!({ "alg": alg }).to_string());
            assert_eq!(verify(&token, &ec()), Err(VerifyError::Algorithm), "{alg}");
            let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
            assert_eq!(verify(&unsigned, &ec()), Err(VerifyError::Algorithm), "{alg}");
        }
        // The public key as the secret of an HMAC: as its modulus and as its JWK.
        for secret in [URL_SAFE_NO_PAD.decode(RSA_N).unwrap(), rsa().to_value().to_string().into_bytes()] {
            let signer = jws::HS256.signer_from_bytes(secret).unwrap();
            let mut token = signed(json!({}), b"{}", &signer);
            assert_eq!(verify(&token, &rsa()), Err(VerifyError::Algorithm));
            token = with_header(&token, r#"{"alg":"RS256"}"#);
            assert_eq!(verify(&token, &rsa()), Err(VerifyError::Signature));
        }
    }

    #[test]
    fn malformed_and_critical_headers() {
        let parse = |token: &str| Jws::parse(token, CAP).map(|_| ());
        for bad in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "bnVsbA.e30.AA", "é.e30.AA", "e30=.e30.AA"]
        {
            assert_eq!(parse(bad), Err(VerifyError::Malformed), "{bad}");
        }
        for header in [
            r#"{"alg":1}"#,
            r#"{"alg":"ES256","alg":"none"}"#,
            r#"{"alg":"ES256","kid":7}"#,
            r#"{"alg":"ES256","jwk":[]}"#,
        ] {
            assert_eq!(parse(&with_header(ES256, header)), Err(VerifyError::Malformed), "{header}");
        }
        for crit in ["[\"exp\"]", "[\"b64\"],\"b64\":false", "[]", "null", "\"b64\""] {
            let token = with_header(ES256, &format!(r#"{{"alg":"ES256","crit":{crit}}}"#));
            assert_eq!(parse(&token), Err(VerifyError::Critical), "{crit}");
        }
        assert!(Jws::parse(ES256, ES256.len()).is_ok());
        let less = ES256.len() - 1;
        assert_eq!(Jws::parse(ES256, less).map(|_| ()).unwrap_err(), VerifyError::TooLong(less));
        let named = with_header(ES256, r#"{"alg":"ES256","kid":"k1"}"#);
        let shown = format!("{:?}", Jws::parse(&named, CAP).unwrap());
        assert!(
            shown.contains("Es256") && shown.contains("k1") && !shown.contains(&named[30..60]),
            "{shown}"
        );
        let typ = |typ: &str| {
            let token = with_header(ES256, &format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#));
            Jws::parse(&token, CAP).unwrap().typ().map(str::to_owned)
        };
        assert_eq!(typ("Application/dpop+jwt").as_deref(), Some("dpop+jwt"));
        assert_eq!(typ("application").as_deref(), Some("application"));
        assert_eq!(typ("éééééééé").as_deref(), Some("éééééééé"));
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let mut jwk = ec().to_value();
        jwk["y"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE");
        assert_eq!(verify(ES256, &key(&jwk)), Err(VerifyError::UnknownKey));
    }

    #[test]
    fn the_key_of_a_set_is_chosen_by_its_name() {
        let (one, two) = (EcKey::generate().unwrap(), EcKey::generate().unwrap());
        let token = |kid: Option<&str>, key: &EcKey| {
            let header = kid.map(|kid| ("kid".to_owned(), Value::from(kid)));
            crate::sign_jwt(key, header.into_iter().collect(), &json!({})).unwrap()
        };
        let set = |keys: Vec<Value>| JwkSet::parse(&json!({ "keys": keys })).unwrap();
        let verify = |token: &str, set: &JwkSet| Jws::parse(token, CAP).unwrap().verify_with(set).map(|_| ());
        let named = |name: &str, key: &EcKey| {
            let mut jwk = key.public_jwk();
            jwk["kid"] = json!(name);
            jwk
        };
        let both = set(vec![rsa().to_value(), named("1", &one), named("2", &two)]);
        assert_eq!(verify(&token(Some("2"), &two), &both), Ok(()));
        assert_eq!(verify(&token(None, &two), &both), Ok(()));
        assert_eq!(verify(&token(Some("1"), &two), &both), Err(VerifyError::Signature));
        assert_eq!(verify(&token(Some("3"), &two), &both), Err(VerifyError::UnknownKey));
        assert_eq!(verify(&token(None, &two), &set(vec![named("1", &one)])), Err(VerifyError::Signature));
        assert_eq!(verify(&token(Some("3"), &two), &set(vec![two.public_jwk()])), Ok(()));
        // No more than eight are tried.
        let mut many: Vec<Value> = (0..8).map(|_| EcKey::generate().unwrap().public_jwk()).collect();
        many.push(two.public_jwk());
        assert_eq!(verify(&token(None, &two), &set(many)), Err(VerifyError::Signature));
    }
}
