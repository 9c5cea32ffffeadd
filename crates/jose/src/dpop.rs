//! DPoP proofs (RFC 9449 section 4.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::{Secret, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{EcKey, JoseError, sign_jwt};

/// What a proof says about the one request that it is for.
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
        ath: claims.access_token.map(access_token_hash),
    };
    sign_jwt(key, header, &payload)
}

/// The `ath` claim: base64url(SHA-256(access token)).
fn access_token_hash(token: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(openssl::sha::sha256(token.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jwt::tests::verified;

    /// The access token of RFC 9449 section 7.1 and the `ath` of the proof beside it.
    #[test]
    fn ath_of_rfc_9449() {
        assert_eq!(
            access_token_hash(&Secret::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")),
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
}
