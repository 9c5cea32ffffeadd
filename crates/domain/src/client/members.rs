//! Members of client metadata that are stored as they were sent, as far as this server reads them.
//!
//! Each is declared once, with its name and its type. They are read and checked one by one, since each has an error of
//! its own; [`KnownMembers`] describes them all.

use std::marker::PhantomData;

use causeway_types::SigningAlg;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::member_values::{AccessTokenFormat, DpopNoncePolicy, SubjectType};

/// The largest `default_max_age`, in seconds: ten digits, as for the `max_age` of a request.
pub(super) const MAX_AGE_LIMIT: i64 = 9_999_999_999;
/// The maximum number of `post_logout_redirect_uris`.
pub(super) const MAX_LOGOUT_URIS: usize = 32;

/// A member of client metadata with its type.
#[derive(Clone, Copy, Debug)]
pub struct Member<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Member<T> {
    const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: DeserializeOwned> Member<T> {
    /// Its value, if it is there and of its type.
    pub fn get(&self, metadata: &Map<String, Value>) -> Option<T> {
        metadata.get(self.name).and_then(|value| T::deserialize(value).ok())
    }

    /// Returns whether it is absent or of its type.
    pub fn is_valid(&self, metadata: &Map<String, Value>) -> bool {
        metadata.get(self.name).is_none_or(|value| T::deserialize(value).is_ok())
    }
}

impl Member<String> {
    /// Its text, if it is there and a text.
    pub fn text<'a>(&self, metadata: &'a Map<String, Value>) -> Option<&'a str> {
        metadata.get(self.name).and_then(Value::as_str)
    }
}

impl Member<Vec<String>> {
    /// Its texts, if it is there and a list.
    pub fn texts<'a>(&self, metadata: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> + use<'a> {
        let texts = metadata.get(self.name).and_then(Value::as_array);
        texts.into_iter().flatten().filter_map(Value::as_str)
    }
}

/// Declares the members, and the type that describes them.
macro_rules! members {
    ($($(#[$attribute:meta])* $constant:ident = $member:ident: $value:ty,)+) => {
        $(
            #[doc = concat!("`", stringify!($member), "`.")]
            pub const $constant: Member<$value> = Member::new(stringify!($member));
        )+

        /// Every such member, for JSON Schema.
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is used")]
        pub struct KnownMembers {
            $(
                $(#[$attribute])*
                #[schemars(skip_serializing_if = "Option::is_none")]
                $member: Option<$value>,
            )+
        }
    };
}

members! {
    /// The client's public keys (RFC 7517 section 5); not with jwks_uri.
    JWKS = jwks: Map<String, Value>,
    /// The address of the client's public keys.
    #[schemars(with = "Option<Url>")]
    JWKS_URI = jwks_uri: String,
    /// The algorithm that signs the client's assertions.
    TOKEN_ENDPOINT_AUTH_SIGNING_ALG = token_endpoint_auth_signing_alg: String,
    /// The algorithm that signs the client's request objects.
    REQUEST_OBJECT_SIGNING_ALG = request_object_signing_alg: String,
    /// The algorithm that signs ID tokens [default: RS256].
    ID_TOKEN_SIGNED_RESPONSE_ALG = id_token_signed_response_alg: SigningAlg,
    /// The algorithm that signs userinfo responses [default: they are not signed].
    USERINFO_SIGNED_RESPONSE_ALG = userinfo_signed_response_alg: SigningAlg,
    /// The algorithm that signs introspection responses (RFC 9701).
    INTROSPECTION_SIGNED_RESPONSE_ALG = introspection_signed_response_alg: SigningAlg,
    /// Whether every access token is bound to a key (RFC 9449 section 5.2).
    DPOP_BOUND_ACCESS_TOKENS = dpop_bound_access_tokens: bool,
    /// Whether DPoP proofs must carry a nonce of this server [default: off].
    DPOP_NONCE_POLICY = dpop_nonce_policy: DpopNoncePolicy,
    /// The form of access tokens [default: opaque].
    ACCESS_TOKEN_FORMAT = access_token_format: AccessTokenFormat,
    /// The kind of `sub` that the client receives.
    SUBJECT_TYPE = subject_type: SubjectType,
    /// Seconds; the max_age of requests without one.
    #[schemars(range(min = 0, max = MAX_AGE_LIMIT))]
    DEFAULT_MAX_AGE = default_max_age: i64,
    /// Whether ID tokens contain auth_time: they always do.
    REQUIRE_AUTH_TIME = require_auth_time: bool,
    /// Whether authorization requests have to be pushed (RFC 9126).
    REQUIRE_PUSHED_AUTHORIZATION_REQUESTS = require_pushed_authorization_requests: bool,
    /// Whether authorization requests have to be signed (RFC 9101).
    REQUIRE_SIGNED_REQUEST_OBJECT = require_signed_request_object: bool,
    /// Addresses to which users may be sent after a logout.
    #[schemars(with = "Option<Vec<Url>>", length(max = MAX_LOGOUT_URIS))]
    POST_LOGOUT_REDIRECT_URIS = post_logout_redirect_uris: Vec<String>,
    /// The address that receives logout tokens when a session ends.
    #[schemars(with = "Option<Url>")]
    BACKCHANNEL_LOGOUT_URI = backchannel_logout_uri: String,
    /// Whether logout tokens contain sid: they always do.
    BACKCHANNEL_LOGOUT_SESSION_REQUIRED = backchannel_logout_session_required: bool,
}

#[cfg(test)]
mod tests {
    use schemars::generate::SchemaSettings;
    use serde_json::json;

    use super::*;
    use crate::client::{ClientMetadata, ClientMetadataError};

    fn with(member: &str, value: &Value) -> Result<(), ClientMetadataError> {
        let mut metadata = json!({
            "redirect_uris": ["https://a.example/cb"], "backchannel_logout_uri": "https://a.example/out",
        });
        metadata[member] = value.clone();
        serde_json::from_value::<ClientMetadata>(metadata).unwrap().validate().map(|_| ())
    }

    /// The schema and the checks agree: a value of the described type is taken, one of another type is not.
    #[test]
    fn members_are_checked_as_they_are_described() {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<KnownMembers>();
        let members = schema.get("properties").and_then(Value::as_object).unwrap();
        assert!(members.len() > 15, "{members:?}");
        for (name, schema) in members {
            assert!(schema["description"].is_string(), "{name}");
            let named = schema.pointer("/enum/0").or_else(|| schema.pointer("/anyOf/0/oneOf/0/const"));
            let kind = schema["type"].get(0).unwrap_or(&schema["type"]);
            let (good, bad) = match (kind.as_str(), named) {
                (_, Some(name)) => (name.clone(), json!("another")),
                (Some("boolean"), _) => (json!(true), json!("true")),
                (Some("integer"), _) => (json!(60), json!("60")),
                (Some("array"), _) => (json!(["https://a.example/x"]), json!("https://a.example/x")),
                (Some("string"), _) => (json!("https://a.example/x"), json!(["https://a.example/x"])),
                // Whether keys are usable is not decided here.
                (Some("object"), _) => continue,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(with(name, &good), Ok(()), "{name} {good}");
            if name != REQUEST_OBJECT_SIGNING_ALG.name() {
                assert!(with(name, &bad).is_err(), "{name} {bad}");
            }
        }
    }
}
