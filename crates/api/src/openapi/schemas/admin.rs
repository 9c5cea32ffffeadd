//! Clients in the operator's API: with the metadata that they registered, and settings that only the operator
//! controls.

use causeway_domain::client::Client;
use serde_json::{Value, json};

use crate::bodies::client_metadata;
use crate::bodies::schema::{object, text, texts, with};

pub(super) fn all() -> [(&'static str, Value); 2] {
    [("AdminClientMetadata", metadata()), ("AdminClient", client())]
}

/// Client settings that only the operator controls.
fn operator_members() -> Value {
    json!({
        "allow_background_access": { "type": "boolean" },
        "allow_session_export": { "type": "boolean" },
        "id_token_claims": { "type": "boolean" },
        "pkce": { "type": "string", "enum": ["required", "nonce"] },
        "allowed_resources": texts("external resources that the client may request tokens for (RFC 8707)"),
        "access_token_expiration": {
            "type": "integer", "minimum": 1, "maximum": Client::MAX_ACCESS_TOKEN_EXPIRATION,
            "description": "seconds",
        },
        "refresh_token_expiration": {
            "type": "integer", "minimum": 0, "maximum": Client::MAX_REFRESH_TOKEN_EXPIRATION,
            "description": "seconds; 0: no expiry",
        },
    })
}

fn metadata() -> Value {
    object(&with(client_metadata::members(), &operator_members()), &["redirect_uris"])
}

/// A client with everything that is stored about it. Omitted metadata is null, so only the members that are
/// never null are required.
fn client() -> Value {
    let own = json!({
        "client_id": text("the client"),
        "client_secret": text("only in the response that created it"),
        "client_name": text("the name that users see"),
        "redirect_uris": texts("registered redirect URIs"),
        "grant_types": texts("grant types that the client may use"),
        "origin": text("how the client was registered"),
        "created_at": { "type": "integer", "description": "Unix time of the registration" },
        "updated_at": { "type": "integer", "description": "Unix time of the last change" },
    });
    object(&with(own, &operator_members()), &["client_id", "redirect_uris", "grant_types"])
}
