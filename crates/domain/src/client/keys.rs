//! Client metadata about keys (RFC 7591 section 2, RFC 9449 section 5.2). Whether the keys are usable is not
//! decided here: this crate does no cryptography.

use causeway_types::TokenEndpointAuthMethod;
use serde_json::{Map, Value};

use super::member_values::DpopNoncePolicy;
use super::members::{
    DPOP_BOUND_ACCESS_TOKENS, DPOP_NONCE_POLICY, JWKS, JWKS_URI, TOKEN_ENDPOINT_AUTH_SIGNING_ALG,
};
use super::metadata_error::ClientMetadataError;
use super::registered::Client;
use super::web_address::is_web_address;

impl Client {
    /// Where its public keys are published.
    pub fn jwks_uri(&self) -> Option<&str> {
        JWKS_URI.text(&self.metadata)
    }

    /// The only algorithm that it signs assertions with, if it named one.
    pub fn token_endpoint_auth_signing_alg(&self) -> Option<&str> {
        TOKEN_ENDPOINT_AUTH_SIGNING_ALG.text(&self.metadata)
    }

    /// Whether all its access tokens are bound to a key (RFC 9449 section 5.2).
    pub fn dpop_bound_access_tokens(&self) -> bool {
        DPOP_BOUND_ACCESS_TOKENS.get(&self.metadata).unwrap_or_default()
    }

    /// Whether its DPoP proofs must carry a nonce of ours.
    pub fn dpop_nonce_policy(&self) -> DpopNoncePolicy {
        DPOP_NONCE_POLICY.get(&self.metadata).unwrap_or_default()
    }
}

/// Checks what metadata says about keys, and takes the inline key set out of it.
pub(super) fn take_keys(
    metadata: &mut Map<String, Value>,
    method: TokenEndpointAuthMethod,
) -> Result<Option<Value>, ClientMetadataError> {
    use ClientMetadataError as E;
    let mut jwks = metadata.remove(JWKS.name()).filter(|jwks| !has_no_key(jwks));
    // As everywhere in metadata, null counts as absent.
    let keys = jwks.as_mut().and_then(|jwks| jwks.get_mut("keys")).and_then(Value::as_array_mut);
    for key in keys.into_iter().flatten().filter_map(Value::as_object_mut) {
        key.retain(|_, value| !value.is_null());
    }
    match (&jwks, metadata.get(JWKS_URI.name())) {
        (Some(_), Some(_)) => return Err(E::JwksTwice),
        (None, None) if method == TokenEndpointAuthMethod::PrivateKeyJwt => return Err(E::NoJwks),
        (_, Some(uri)) if !uri.as_str().is_some_and(is_web_address) => return Err(E::JwksUri),
        _ => {}
    }
    if !TOKEN_ENDPOINT_AUTH_SIGNING_ALG.is_valid(metadata) {
        return Err(E::AssertionAlg);
    }
    if !DPOP_BOUND_ACCESS_TOKENS.is_valid(metadata) {
        return Err(E::DpopBound);
    }
    if !DPOP_NONCE_POLICY.is_valid(metadata) {
        return Err(E::DpopNoncePolicy);
    }
    Ok(jwks)
}

/// Whether a key set holds nothing: libraries send one so where the client has no keys.
fn has_no_key(jwks: &Value) -> bool {
    let is_empty = |keys: &Value| keys.is_null() || keys.as_array().is_some_and(Vec::is_empty);
    jwks.as_object().is_some_and(|members| members.get("keys").is_none_or(is_empty))
}

#[cfg(test)]
mod tests {
    use causeway_types::{ClientId, TenantId, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::client::ClientMetadata;

    fn client(mut metadata: Value) -> Result<Client, ClientMetadataError> {
        metadata["redirect_uris"] = json!(["https://a.example/cb"]);
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let id = ClientId::new("c");
        Ok(metadata.validate()?.into_client(id, TenantId::default_tenant(), None, Timestamp(0)))
    }

    #[test]
    fn keys_are_taken_once() {
        let method = "private_key_jwt";
        let jwks = json!({"keys": [{"kty": "EC"}]});
        let inline = client(json!({"token_endpoint_auth_method": method, "jwks": jwks})).unwrap();
        assert_eq!((inline.jwks.as_ref(), inline.jwks_uri()), (Some(&jwks), None));
        assert!(!inline.metadata.contains_key("jwks"), "it has a column of its own");
        let uri = "https://a.example/jwks";
        let published =
            client(json!({"token_endpoint_auth_method": method, "jwks_uri": uri, "jwks": null})).unwrap();
        assert_eq!((published.jwks.as_ref(), published.jwks_uri()), (None, Some(uri)));
        assert_eq!(client(json!({"token_endpoint_auth_method": method})), Err(ClientMetadataError::NoJwks));
        assert_eq!(client(json!({"jwks": jwks, "jwks_uri": uri})), Err(ClientMetadataError::JwksTwice));
        for empty in [json!({}), json!({"keys": []}), json!({"keys": null}), json!("")] {
            let without = client(json!({ "jwks": empty })).unwrap();
            assert_eq!((without.jwks, without.metadata.len()), (None, 0), "{empty}");
            let signing = client(json!({"token_endpoint_auth_method": method, "jwks": empty}));
            assert_eq!(signing, Err(ClientMetadataError::NoJwks), "{empty}");
            assert_eq!(
                client(json!({"jwks": empty, "jwks_uri": uri})).unwrap().jwks_uri(),
                Some(uri),
                "{empty}"
            );
        }
        for bad in [json!("http://a.example/jwks"), json!("file:///etc"), json!(1)] {
            assert_eq!(client(json!({ "jwks_uri": bad })), Err(ClientMetadataError::JwksUri), "{bad}");
        }
    }

    #[test]
    fn which_proofs_a_client_has_to_send() {
        let plain = client(json!({})).unwrap();
        assert!(!plain.dpop_bound_access_tokens());
        assert_eq!(plain.dpop_nonce_policy(), DpopNoncePolicy::Off);
        let strict =
            client(json!({"dpop_bound_access_tokens": true, "dpop_nonce_policy": "required"})).unwrap();
        assert!(strict.dpop_bound_access_tokens());
        assert_eq!(strict.dpop_nonce_policy(), DpopNoncePolicy::Required);
        for (name, bad) in [
            ("dpop_bound_access_tokens", json!("true")),
            ("dpop_nonce_policy", json!("sometimes")),
            ("dpop_nonce_policy", json!(true)),
            ("token_endpoint_auth_signing_alg", json!(["ES256"])),
        ] {
            assert!(client(json!({ name: bad })).is_err(), "{name} {bad}");
        }
    }
}
