//! DPoP proofs: how we make them (RFC 9449 section 4.2) and how we check them (section 4.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::{Jkt, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::claims::{is_jti, numeric_date};
use crate::{EcKey, JoseError, Jws, VerifyError, htu, sign_jwt};

/// Seconds that a proof is accepted after its `iat`.
pub const DPOP_PAST_SECONDS: i64 = 300;
/// Seconds that the `iat` of a proof may lie ahead of our clock.
pub const DPOP_FUTURE_SECONDS: i64 = 30;
/// The longest proof that is read, in bytes.
const MAX_PROOF_BYTES: usize = 8 * 1024;

/// The claims of a proof about the one request that it is for.
#[derive(Clone, Copy, Debug)]
pub struct DpopClaims<'a> {
    /// The request's method.
    pub htm: &'a str,
    /// The request's URL; query and fragment are left out of the proof.
    pub htu: &'a str,
    /// A fresh random identifier: servers accept it once.
    pub jti: &'a str,
    /// When the proof is made.
    pub iat: Timestamp,
    /// The nonce that this server gave last.
    pub nonce: Option<&'a str>,
    /// The access token that the request carries, for a resource server.
    pub access_token: Option<&'a Secret>,
}

#[derive(Serialize)]
struct Payload<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    iat: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

/// Signs the proof that goes into the `DPoP` header of one request.
///
/// # Errors
/// [`JoseError::Crypto`] when signing fails.
pub fn dpop_proof(key: &EcKey, claims: &DpopClaims<'_>) -> Result<String, JoseError> {
    let header =
        Map::from_iter([("typ".to_owned(), Value::from("dpop+jwt")), ("jwk".to_owned(), key.public_jwk())]);
    let payload = Payload {
        jti: claims.jti,
        htm: claims.htm,
        htu: claims.htu.split(['?', '#']).next().unwrap_or_default(),
        iat: claims.iat,
        nonce: claims.nonce,
        ath: claims.access_token.map(|token| access_token_hash(token.expose())),
    };
    sign_jwt(key, header, &payload)
}

/// The `ath` claim: base64url(SHA-256(access token)).
fn access_token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(openssl::sha::sha256(token.as_bytes()))
}

/// The request that a proof came with.
#[derive(Clone, Copy)]
pub struct DpopRequest<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its URL as clients see it; query and fragment are ignored.
    pub url: &'a str,
    /// When it came.
    pub now: Timestamp,
    /// The access token that it carries, at a resource.
    pub access_token: Option<&'a str>,
}

/// A proof that is valid for its request. It works once: the caller remembers `jti` until
/// [`DpopProof::expires_at`]. If a nonce of the server is required, the caller compares it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopProof {
    /// The thumbprint of the key that made it (RFC 7638).
    pub jkt: Jkt,
    /// Its own name.
    pub jti: String,
    /// When it was made, by the client's clock.
    pub iat: Timestamp,
    /// The nonce in it.
    pub nonce: Option<String>,
}

impl DpopProof {
    /// The time from which it is too old to be accepted.
    pub const fn expires_at(&self) -> Timestamp {
        self.iat.plus(DPOP_PAST_SECONDS + 1)
    }
}

/// Why a proof is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// Not a JWS, not signed by the key in it, or with an algorithm or key that is not accepted.
    #[error("the DPoP proof {0}")]
    Jws(#[from] VerifyError),
    /// The header `typ`.
    #[error("the DPoP proof must have the header typ dpop+jwt")]
    Typ,
    /// `jti` is missing, empty or too long.
    #[error("the DPoP proof must have a jti of 1 to 256 bytes")]
    Jti,
    /// `htm` is another method.
    #[error("the DPoP proof's htm is not the method of this request")]
    Htm,
    /// `htu` is another URL.
    #[error(
        "the DPoP proof's htu is not the URL of this request: send the URL from the metadata, \
         without query and fragment"
    )]
    Htu,
    /// Too old.
    #[error(
        "the DPoP proof's iat is more than {DPOP_PAST_SECONDS} seconds old: create a new proof for each request"
    )]
    Old,
    /// Made later than now.
    #[error("the DPoP proof's iat is more than {DPOP_FUTURE_SECONDS} seconds ahead: check your clock")]
    Future,
    /// `ath` is missing or another token's.
    #[error("the DPoP proof's ath is not the SHA-256 of the access token in base64url")]
    Ath,
}

#[derive(Deserialize)]
struct PresentedClaims {
    jti: Option<String>,
    htm: Option<String>,
    htu: Option<String>,
    #[serde(default, deserialize_with = "numeric_date")]
    iat: Option<Timestamp>,
    nonce: Option<String>,
    ath: Option<String>,
}

/// Checks a proof against the request that it came with: everything of RFC 9449 section 4.3 except the
/// nonce, which the caller knows, and replay.
///
/// # Errors
/// The first [`DpopError`] found; cheap checks come before the signature.
pub fn verify_dpop_proof(proof: &str, request: &DpopRequest<'_>) -> Result<DpopProof, DpopError> {
    let jws = Jws::parse(proof, MAX_PROOF_BYTES)?;
    if jws.typ() != Some("dpop+jwt") {
        return Err(DpopError::Typ);
    }
    let key = jws.jwk()?;
    let claims: PresentedClaims = jws.unverified_claims()?;
    let jti = claims.jti.filter(|jti| is_jti(jti)).ok_or(DpopError::Jti)?;
    if claims.htm.as_deref() != Some(request.method) {
        return Err(DpopError::Htm);
    }
    if !claims.htu.is_some_and(|claimed| htu::is_same(&claimed, request.url)) {
        return Err(DpopError::Htu);
    }
    let iat = claims.iat.ok_or(VerifyError::Claims)?;
    if request.now.since(iat) > DPOP_PAST_SECONDS {
        return Err(DpopError::Old);
    }
    if iat.since(request.now) > DPOP_FUTURE_SECONDS {
        return Err(DpopError::Future);
    }
    if let Some(token) = request.access_token
        && claims.ath != Some(access_token_hash(token))
    {
        return Err(DpopError::Ath);
    }
    // The claims read above are trusted from here on: they are the payload that this signature covers.
    jws.verify(&key)?;
    Ok(DpopProof { jkt: Jkt::new(key.thumbprint()), jti, iat, nonce: claims.nonce })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::JwkError;
    use crate::jwt::tests::verified;

    /// The access token of RFC 9449 section 7.1 and the `ath` of the proof beside it.
    #[test]
    fn ath_of_rfc_9449() {
        assert_eq!(
            access_token_hash("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
            "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
        );
    }

    #[test]
    fn a_proof_covers_one_request() {
        let key = EcKey::generate().unwrap();
        let mut claims = DpopClaims {
            htm: "GET",
            htu: "https://pds.example/xrpc/com.example.get?secret=1#part",
            jti: "j1",
            iat: Timestamp(7),
            nonce: None,
            access_token: None,
        };
        let (header, payload) = verified(&dpop_proof(&key, &claims).unwrap(), &key.public_jwk());
        assert_eq!(
            Value::from(header),
            json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk() })
        );
        assert_eq!(
            payload,
            json!({ "htm": "GET", "htu": "https://pds.example/xrpc/com.example.get", "jti": "j1", "iat": 7 })
        );

        let token = Secret::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        claims.nonce = Some("n1");
        claims.access_token = Some(&token);
        let (_, payload) = verified(&dpop_proof(&key, &claims).unwrap(), &key.public_jwk());
        assert_eq!(payload["nonce"], "n1");
        assert_eq!(payload["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }

    /// The proofs of RFC 9449 sections 5 and 7.1.
    const TOKEN_REQUEST: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    const RESOURCE_REQUEST: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    #[test]
    fn proofs_of_rfc_9449() {
        let token_request = DpopRequest {
            method: "POST",
            url: "https://server.example.com/token",
            now: Timestamp(1_562_262_616),
            access_token: None,
        };
        let proof = verify_dpop_proof(TOKEN_REQUEST, &token_request).unwrap();
        assert_eq!((proof.jkt.as_str(), &*proof.jti, proof.nonce), (JKT, "-BwC3ESc6acc2lTc", None));
        let resource_request = DpopRequest {
            method: "GET",
            url: "https://resource.example.org/protectedresource",
            now: Timestamp(1_562_262_618),
            access_token: Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
        };
        assert_eq!(verify_dpop_proof(RESOURCE_REQUEST, &resource_request).unwrap().jkt.as_str(), JKT);
        let refused = |proof, request: DpopRequest<'_>| verify_dpop_proof(proof, &request).unwrap_err();
        assert_eq!(refused(TOKEN_REQUEST, DpopRequest { method: "GET", ..token_request }), DpopError::Htm);
        assert_eq!(refused(TOKEN_REQUEST, DpopRequest { method: "post", ..token_request }), DpopError::Htm);
        assert_eq!(
            refused(TOKEN_REQUEST, DpopRequest { url: "https://server.example.com/par", ..token_request }),
            DpopError::Htu
        );
        assert_eq!(
            refused(TOKEN_REQUEST, DpopRequest { access_token: Some("x"), ..token_request }),
            DpopError::Ath
        );
        assert_eq!(
            refused(RESOURCE_REQUEST, DpopRequest { access_token: Some("Kz"), ..resource_request }),
            DpopError::Ath
        );
        let at =
            |now| verify_dpop_proof(TOKEN_REQUEST, &DpopRequest { now: Timestamp(now), ..token_request });
        assert!(at(1_562_262_616 + 300).is_ok());
        assert_eq!(at(1_562_262_616 + 301), Err(DpopError::Old));
        assert!(at(1_562_262_616 - 30).is_ok());
        assert_eq!(at(1_562_262_616 - 31), Err(DpopError::Future));
        assert_eq!(proof.iat.plus(301), Timestamp(1_562_262_616 + 301));
        assert_eq!(
            refused(&RESOURCE_REQUEST.replace(".2oW9", ".2oW8"), resource_request),
            DpopError::Jws(VerifyError::Signature)
        );
    }

    /// A proof whose header and payload are changed before it is signed.
    fn forged(key: &EcKey, header: &[(&str, Value)], payload: &[(&str, Value)]) -> String {
        use josekit::jws::JwsSigner as _;
        let mut head = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk()});
        let mut body = json!({"jti": "j", "htm": "GET", "htu": "https://a.example/x", "iat": 1_000});
        for (target, changes) in [(&mut head, header), (&mut body, payload)] {
            for (name, value) in changes {
                target[*name] = value.clone();
            }
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&head), encode(&body));
        let signature = key.signer().sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn each_line_of_section_4_3() {
        let key = EcKey::generate().unwrap();
        let request = DpopRequest {
            method: "GET",
            url: "https://a.example/x",
            now: Timestamp(1_000),
            access_token: None,
        };
        let check = |header: &[(&str, Value)], payload: &[(&str, Value)]| {
            verify_dpop_proof(&forged(&key, header, payload), &request).map(|_| ())
        };
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(check(&[("typ", json!("application/dpop+jwt"))], &[]), Ok(()));
        assert_eq!(check(&[], &[("htu", json!("https://A.example:443/x?y=z#f"))]), Ok(()));
        for typ in [json!("JWT"), json!("at+jwt"), json!("DPOP+JWT"), Value::Null] {
            assert_eq!(check(&[("typ", typ)], &[]), Err(DpopError::Typ));
        }
        let mut private: Value = serde_json::from_str(key.private_jwk().expose()).unwrap();
        let refused = |jwk: Value| match check(&[("jwk", jwk)], &[]) {
            Err(DpopError::Jws(VerifyError::Jwk(error))) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(private.clone()), JwkError::Private);
        private["d"] = Value::Null;
        assert_eq!(refused(private), JwkError::Private);
        assert_eq!(refused(json!({"kty": "oct", "k": "AAAA"})), JwkError::Symmetric);
        assert!(matches!(refused(Value::Null), JwkError::Malformed(_)));
        // Another key's header over our signature.
        let other = EcKey::generate().unwrap().public_jwk();
        assert_eq!(check(&[("jwk", other)], &[]), Err(DpopError::Jws(VerifyError::Signature)));
        for (name, value, error) in [
            ("jti", json!(null), DpopError::Jti),
            ("jti", json!(""), DpopError::Jti),
            ("jti", json!("j".repeat(257)), DpopError::Jti),
            ("jti", json!(7), DpopError::Jws(VerifyError::Claims)),
            ("htm", json!("POST"), DpopError::Htm),
            ("htm", json!(null), DpopError::Htm),
            ("htu", json!("https://a.example/y"), DpopError::Htu),
            ("htu", json!("http://a.example/x"), DpopError::Htu),
            ("htu", json!(null), DpopError::Htu),
            ("iat", json!(699), DpopError::Old),
            ("iat", json!(1_031), DpopError::Future),
            ("iat", json!(i64::MAX), DpopError::Future),
            ("iat", json!(i64::MIN), DpopError::Old),
            ("iat", json!(null), DpopError::Jws(VerifyError::Claims)),
            ("iat", json!("1000"), DpopError::Jws(VerifyError::Claims)),
        ] {
            assert_eq!(check(&[], &[(name, value.clone())]), Err(error), "{name} {value}");
        }
        let long = forged(&key, &[], &[("x", json!("x".repeat(8192)))]);
        assert_eq!(verify_dpop_proof(&long, &request), Err(DpopError::Jws(VerifyError::TooLong(8192))));
    }

    #[test]
    fn a_proof_of_ours_holds() {
        let key = EcKey::generate().unwrap();
        let token = Secret::new("cw_at_x");
        let claims = DpopClaims {
            htm: "POST",
            htu: "https://a.example/x?y",
            jti: "j1",
            iat: Timestamp(7),
            nonce: Some("n1"),
            access_token: Some(&token),
        };
        let request = DpopRequest {
            method: "POST",
            url: "https://a.example/x",
            now: Timestamp(8),
            access_token: Some("cw_at_x"),
        };
        let proof = verify_dpop_proof(&dpop_proof(&key, &claims).unwrap(), &request).unwrap();
        assert_eq!(proof.jkt.as_str(), key.thumbprint());
        assert_eq!(proof.nonce.as_deref(), Some("n1"));
        assert_eq!(proof.expires_at(), Timestamp(308));
    }
}
