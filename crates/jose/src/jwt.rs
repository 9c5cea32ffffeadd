//! Signed JWTs (RFC 7515, RFC 7519) and the assertions by which we authenticate upstream (RFC 7523).

use causeway_types::{Secret, Timestamp, UpstreamClientId};
use josekit::jws::{self, JwsHeader};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{EcKey, JoseError};

/// Signs `claims` in compact form. `alg` is set to ES256 whatever `header` says.
///
/// # Errors
/// [`JoseError::InvalidClaims`] when header or claims cannot be written, [`JoseError::Crypto`] when signing
/// fails.
pub fn sign_jwt(
    key: &EcKey,
    header: Map<String, Value>,
    claims: &impl Serialize,
) -> Result<String, JoseError> {
    let header = JwsHeader::from_map(header).map_err(|_| JoseError::InvalidClaims)?;
    let claims = serde_json::to_vec(claims).map_err(|_| JoseError::InvalidClaims)?;
    jws::serialize_compact(&claims, &header, key.signer()).map_err(|_| JoseError::Crypto("sign"))
}

/// The contents of a client assertion (RFC 7523 section 3).
#[derive(Clone, Copy, Debug)]
pub struct ClientAssertion<'a> {
    /// The key's identifier in our published key set.
    pub kid: &'a str,
    /// Our identifier at the authorization server: `iss` and `sub`.
    pub client_id: &'a UpstreamClientId,
    /// The authorization server's issuer: `aud`.
    pub audience: &'a str,
    /// A fresh random identifier: servers accept it once.
    pub jti: &'a str,
    /// When it is made.
    pub iat: Timestamp,
    /// Seconds until it ends.
    pub lifetime_seconds: i64,
}

/// Signs a client assertion for `private_key_jwt` (RFC 7523 section 2.2).
///
/// # Errors
/// [`JoseError::Crypto`] when signing fails.
pub fn client_assertion(key: &EcKey, assertion: &ClientAssertion<'_>) -> Result<Secret, JoseError> {
    let header = Map::from_iter([("kid".to_owned(), Value::from(assertion.kid))]);
    let claims = json!({
        "iss": assertion.client_id,
        "sub": assertion.client_id,
        "aud": assertion.audience,
        "jti": assertion.jti,
        "iat": assertion.iat,
        "exp": assertion.iat.plus(assertion.lifetime_seconds),
    });
    sign_jwt(key, header, &claims).map(Secret::new)
}

#[cfg(test)]
pub(crate) mod tests {
    use josekit::jwk::Jwk;
    use josekit::jws::ES256;

    use super::*;

    /// Verifies a compact JWS with josekit's own verifier; gives its header and claims.
    pub(crate) fn verified(token: &str, public_jwk: &Value) -> (Map<String, Value>, Value) {
        let jwk = Jwk::from_map(public_jwk.as_object().unwrap().clone()).unwrap();
        let verifier = ES256.verifier_from_jwk(&jwk).unwrap();
        let (payload, header) = jws::deserialize_compact(token, &verifier).unwrap();
        (header.into_map(), serde_json::from_slice(&payload).unwrap())
    }

    #[test]
    fn an_assertion_says_who_we_are_to_whom() {
        let key = EcKey::generate().unwrap();
        let client_id = UpstreamClientId::new("https://causeway.example/client.json");
        let assertion = ClientAssertion {
            kid: key.thumbprint(),
            client_id: &client_id,
            audience: "https://pds.example",
            jti: "j1",
            iat: Timestamp(1_000),
            lifetime_seconds: 60,
        };
        let token = client_assertion(&key, &assertion).unwrap();
        let (header, claims) = verified(token.expose(), &key.published_jwk());
        assert_eq!(Value::from(header), json!({ "alg": "ES256", "kid": key.thumbprint() }));
        assert_eq!(
            claims,
            json!({
                "iss": "https://causeway.example/client.json",
                "sub": "https://causeway.example/client.json",
                "aud": "https://pds.example",
                "jti": "j1",
                "iat": 1_000,
                "exp": 1_060,
            })
        );
    }

    #[test]
    fn the_header_cannot_choose_the_algorithm() {
        let key = EcKey::generate().unwrap();
        let header = Map::from_iter([("alg".to_owned(), Value::from("none"))]);
        let token = sign_jwt(&key, header, &json!({ "a": 1 })).unwrap();
        let (header, claims) = verified(&token, &key.public_jwk());
        assert_eq!(header["alg"], "ES256");
        assert_eq!(claims, json!({ "a": 1 }));
    }

    #[test]
    fn another_key_does_not_verify() {
        let (one, two) = (EcKey::generate().unwrap(), EcKey::generate().unwrap());
        let token = sign_jwt(&one, Map::new(), &json!({})).unwrap();
        let jwk = Jwk::from_map(two.public_jwk().as_object().unwrap().clone()).unwrap();
        let verifier = ES256.verifier_from_jwk(&jwk).unwrap();
        assert!(jws::deserialize_compact(&token, &verifier).is_err());
    }
}
