//! JWTs that should not be believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_jose::{EcKey, sign_jwt};
use causeway_types::{CodeVerifier, SystemRng, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::{Map, Value, json};

/// A fresh identifier.
pub(crate) fn jti() -> String {
    CodeVerifier::random(&SystemRng).expose().to_owned()
}

/// Changes members of an object; `null` removes one.
pub(crate) fn change(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        match (value, object.as_object_mut()) {
            (Value::Null, Some(members)) => drop(members.remove(*name)),
            _ => object[*name] = value.clone(),
        }
    }
    object
}

/// Signs with ES256.
pub(crate) fn signed(key: &EcKey, header: &Value, payload: &Value) -> String {
    sign_jwt(key, header.as_object().cloned().unwrap_or_else(Map::new), payload).unwrap()
}

/// A DPoP proof with changes to its header and its payload.
pub(crate) fn proof(
    key: &EcKey,
    now: Timestamp,
    htu: &str,
    header: &[(&str, Value)],
    payload: &[(&str, Value)],
) -> String {
    let head = json!({"typ": "dpop+jwt", "jwk": key.public_jwk()});
    let body = json!({"jti": jti(), "htm": "POST", "htu": htu, "iat": now.as_secs()});
    signed(key, &change(head, header), &change(body, payload))
}

/// The same header and payload under zeros.
pub(crate) fn with_zero_signature(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let length = URL_SAFE_NO_PAD.decode(signature).unwrap().len();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(vec![0; length]))
}

/// The same payload under a header with another `alg`, without a signature.
pub(crate) fn unsigned(token: &str, alg: &str) -> String {
    let (_, payload, _) = parts(token);
    format!("{}.{payload}.", header_with(token, alg))
}

/// The same payload under an HMAC whose secret is public: the client's key itself.
pub(crate) fn hmac(token: &str, secret: &[u8]) -> String {
    let (_, payload, _) = parts(token);
    let signed = format!("{}.{payload}", header_with(token, "HS256"));
    let key = PKey::hmac(secret).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header_with(token: &str, alg: &str) -> String {
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts(token).0).unwrap()).unwrap();
    header["alg"] = json!(alg);
    URL_SAFE_NO_PAD.encode(header.to_string())
}

fn parts(token: &str) -> (&str, &str, &str) {
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    (header, payload, signature)
}
