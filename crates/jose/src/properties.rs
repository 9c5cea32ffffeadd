//! Untrusted input is refused and never causes a panic.

use causeway_types::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use crate::{DpopRequest, EcKey, JwkSet, Jws, PublicJwk, htu, verify_dpop_proof};

const REQUEST: DpopRequest<'_> = DpopRequest {
    method: "POST",
    url: "https://a.example/oauth/token",
    now: Timestamp(1_000),
    access_token: Some("t"),
};

/// JSON with the names and values that keys, headers and claims are made of.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[A-Za-z0-9_-]{0,60}".prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "EC", "RSA", "OKP", "P-256", "Ed25519", "ES256", "dpop+jwt", "AQAB", "sig"
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "alg", "typ", "kid", "jwk", "crit", "kty", "crv", "x", "y", "n", "e", "d", "use", "key_ops", "keys",
        "jti", "htm", "htu", "iat", "ath", "nonce", "exp", "aud",
    ]);
    leaf.prop_recursive(4, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..10)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn compact(header: &str, payload: &str, signature: &[u8]) -> String {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    format!("{}.{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()), encode(signature))
}

proptest! {
    #[test]
    fn any_text(text in ".{0,200}") {
        prop_assert!(verify_dpop_proof(&text, &REQUEST).is_err());
        let _ = htu::is_same(&text, REQUEST.url);
    }

    #[test]
    fn any_json(header in json(), payload in json(), signature in prop::collection::vec(any::<u8>(), 0..80)) {
        let text = compact(&header.to_string(), &payload.to_string(), &signature);
        prop_assert!(verify_dpop_proof(&text, &REQUEST).is_err());
        if let Ok(jws) = Jws::parse(&text, 8192) {
            let _ = jws.jwk();
            let key = PublicJwk::parse(&EcKey::generate().unwrap().public_jwk()).unwrap();
            prop_assert!(jws.verify(&key).is_err());
        }
    }

    #[test]
    fn any_key(jwk in json(), signature in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = JwkSet::parse(&jwk);
        if let Ok(key) = PublicJwk::parse(&jwk) {
            for header in [r#"{"alg":"ES256"}"#, r#"{"alg":"PS256"}"#, r#"{"alg":"EdDSA"}"#] {
                let text = compact(header, "{}", &signature);
                prop_assert!(Jws::parse(&text, 8192).and_then(|jws| jws.verify(&key)).is_err());
            }
        }
    }

    /// Paths are the same as themselves however they are written, and different from what follows them.
    #[test]
    fn any_path(path in "(/[a-z0-9.~%-]{1,8}){0,4}") {
        let url = format!("https://a.example{path}");
        let (same, other) = (format!("{url}?q#f"), format!("{url}/x"));
        prop_assert!(htu::is_same(&same, &url));
        prop_assert!(!htu::is_same(&other, &url));
    }
}
