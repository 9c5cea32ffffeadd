//! Client metadata (RFC 7591 section 2) as JSON Schema. It is stored as it was registered, including unknown members,
//! so no type of ours describes it.

use causeway_types::{SigningAlg, TokenEndpointAuthMethod};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::schema::{text, texts, uri, with};

/// Every member that the server knows.
pub(crate) fn members() -> Value {
    let own = json!({
        "redirect_uris": { "type": "array", "items": { "type": "string", "format": "uri" }, "maxItems": 32 },
        "token_endpoint_auth_method": {
            "type": "string", "enum": TokenEndpointAuthMethod::NAMES,
        },
        "grant_types": texts("from the metadata's grant_types_supported"),
        "response_types": { "type": "array", "items": { "type": "string", "const": "code" } },
        "client_name": text("the name that users see"),
        "scope": text("the maximum scope that the client may request"),
        "jwks": { "type": "object", "description": "the client's public keys" },
    });
    with(own, &extensions())
}

/// The members that are stored as they were sent, for a type that has the others.
pub(super) fn extensions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "properties": extensions() })
}

fn extensions() -> Value {
    let algorithm = json!({ "type": "string", "enum": SigningAlg::NAMES });
    json!({
        "token_endpoint_auth_signing_alg": text("the algorithm that signs the client's assertions"),
        "client_uri": uri("the client's home page"),
        "jwks_uri": uri("the address of the client's public keys"),
        "dpop_bound_access_tokens": { "type": "boolean" },
        "dpop_nonce_policy": { "type": "string", "enum": ["off", "required"] },
        "id_token_signed_response_alg": algorithm,
        "userinfo_signed_response_alg": algorithm,
        "introspection_signed_response_alg": algorithm,
        "request_object_signing_alg": text("the algorithm that signs the client's request objects"),
        "subject_type": { "type": "string", "const": "public" },
        "default_max_age": {
            "type": "integer", "minimum": 0, "description": "seconds; the max_age of requests without one",
        },
        "post_logout_redirect_uris": { "type": "array", "items": { "type": "string", "format": "uri" } },
        "require_pushed_authorization_requests": { "type": "boolean" },
        "require_signed_request_object": { "type": "boolean" },
        "access_token_format": { "type": "string", "enum": ["opaque", "jwt"] },
        "backchannel_logout_uri": uri("where logout tokens are sent when a session ends"),
        "backchannel_logout_session_required": { "type": "boolean" },
    })
}
