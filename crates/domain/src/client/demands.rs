//! Demands that a client makes of this server in its metadata (RFC 7591 section 2, OpenID Connect Dynamic
//! Client Registration section 2). A registration response confirms the members that it repeats: one that
//! asks for a protection which is not supported here is refused, and any other one that is not honored is
//! left out of the response.

use serde_json::{Map, Value};

use super::members::{
    DEFAULT_MAX_AGE, MAX_AGE_LIMIT, REQUIRE_AUTH_TIME, REQUIRE_PUSHED_AUTHORIZATION_REQUESTS,
    REQUIRE_SIGNED_REQUEST_OBJECT, SUBJECT_TYPE,
};
use super::metadata_error::ClientMetadataError;
use super::registered::Client;

/// RFC 8705 section 3.4.
const TLS_BOUND: &str = "tls_client_certificate_bound_access_tokens";

/// Members that ask for encryption, which is not supported here.
const ENCRYPTION: [&str; 10] = [
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc",
    "authorization_encrypted_response_alg",
    "authorization_encrypted_response_enc",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
];

/// Members that must be booleans.
const BOOLEANS: [&str; 4] = [
    REQUIRE_AUTH_TIME.name(),
    REQUIRE_PUSHED_AUTHORIZATION_REQUESTS.name(),
    REQUIRE_SIGNED_REQUEST_OBJECT.name(),
    TLS_BOUND,
];

/// Members of unsupported features. Stock clients send some of them by habit.
const LEFT_OUT: [&str; 17] = [
    "authorization_details_types",
    "authorization_signed_response_alg",
    "backchannel_authentication_request_signing_alg",
    "backchannel_client_notification_endpoint",
    "backchannel_token_delivery_mode",
    "backchannel_user_code_parameter",
    "default_acr_values",
    "frontchannel_logout_session_required",
    "frontchannel_logout_uri",
    "request_uris",
    "sector_identifier_uri",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_email",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_uri",
    "tls_client_auth_subject_dn",
    "use_mtls_endpoint_aliases",
];

impl Client {
    /// Seconds that may have passed since the user signed in, where a request does not say.
    pub fn default_max_age(&self) -> Option<i64> {
        DEFAULT_MAX_AGE.get(&self.metadata)
    }
}

/// Checks a client's demands, and removes members that mean nothing here.
pub(super) fn check(metadata: &mut Map<String, Value>) -> Result<(), ClientMetadataError> {
    use ClientMetadataError as E;
    if let Some(name) = ENCRYPTION.into_iter().find(|name| metadata.contains_key(*name)) {
        return Err(E::Unserved(name));
    }
    let is_boolean = |name: &&str| metadata.get(*name).is_none_or(Value::is_boolean);
    if let Some(name) = BOOLEANS.into_iter().find(|name| !is_boolean(name)) {
        return Err(E::Boolean(name));
    }
    if metadata.get(TLS_BOUND) == Some(&Value::Bool(true)) {
        return Err(E::Unserved(TLS_BOUND));
    }
    if !SUBJECT_TYPE.is_valid(metadata) {
        return Err(E::SubjectType);
    }
    let age = DEFAULT_MAX_AGE.get(metadata);
    if !DEFAULT_MAX_AGE.is_valid(metadata) || age.is_some_and(|age| !(0..=MAX_AGE_LIMIT).contains(&age)) {
        return Err(E::DefaultMaxAge);
    }
    metadata.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(mut metadata: Value) -> Result<Value, ClientMetadataError> {
        let members = metadata.as_object_mut().unwrap();
        check(members).map(|()| metadata)
    }

    #[test]
    fn what_is_not_protected_here_is_refused() {
        for name in ENCRYPTION {
            assert_eq!(checked(json!({ name: "A256GCM" })), Err(ClientMetadataError::Unserved(name)));
        }
        assert_eq!(checked(json!({ TLS_BOUND: true })), Err(ClientMetadataError::Unserved(TLS_BOUND)));
        for name in BOOLEANS {
            assert_eq!(checked(json!({ name: "true" })), Err(ClientMetadataError::Boolean(name)));
        }
        for kind in [json!("pairwise"), json!(["public"]), json!("")] {
            assert_eq!(checked(json!({ SUBJECT_TYPE.name(): kind })), Err(ClientMetadataError::SubjectType));
        }
        for age in [json!(-1), json!("60"), json!(1.5), json!(MAX_AGE_LIMIT + 1)] {
            assert_eq!(
                checked(json!({ DEFAULT_MAX_AGE.name(): age })),
                Err(ClientMetadataError::DefaultMaxAge),
                "{age}"
            );
        }
    }

    #[test]
    fn what_means_nothing_here_is_left_out() {
        let kept = json!({
            TLS_BOUND: false, SUBJECT_TYPE.name(): "public", DEFAULT_MAX_AGE.name(): 0, "require_auth_time": true,
            "require_signed_request_object": true, "software_id": "x",
        });
        let mut sent = kept.clone();
        for name in LEFT_OUT {
            sent[name] = json!("x");
        }
        assert_eq!(checked(sent), Ok(kept));
    }
}
