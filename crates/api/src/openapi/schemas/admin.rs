//! Requests and answers of the operator's API.

use causeway_domain::client::Client;
use serde_json::{Value, json};

use super::{client_members, object, seconds, text, texts, with};

pub(super) fn all() -> [(&'static str, Value); 11] {
    [
        ("AdminClientMetadata", client_metadata()),
        ("AdminClient", client()),
        ("AdminClients", page("clients")),
        ("AdminSessions", page("sessions")),
        ("AdminKeys", list("keys")),
        ("AdminAuditEvents", page("events")),
        ("AdminObject", json!({ "type": "object" })),
        (
            "AdminSecret",
            object(
                &json!({ "client_id": text("the client"), "client_secret": text("only in this response") }),
                &["client_secret"],
            ),
        ),
        ("AdminWhose", object(&json!({ "user": text("a DID"), "client": text("a client_id") }), &[])),
        ("AdminRevoked", revoked()),
        (
            "AdminNewKey",
            object(&json!({ "alg": { "type": "string", "enum": ["RS256", "ES256"] } }), &["alg"]),
        ),
    ]
}

/// An answer with one list of objects.
fn list(name: &str) -> Value {
    let items = json!({ "type": "array", "items": { "type": "object" } });
    json!({ "type": "object", "properties": { name: items }, "required": [name] })
}

/// The same, with the cursor of the next page.
fn page(name: &str) -> Value {
    let mut page = list(name);
    page["properties"]["next"] = text("the value of after for the next page; absent on the last page");
    page
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

/// Client metadata (RFC 7591 section 2), with the operator's settings.
fn client_metadata() -> Value {
    object(&with(client_members(), &operator_members()), &["redirect_uris"])
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
        "created_at": seconds("Unix time in seconds"),
        "updated_at": seconds("Unix time in seconds"),
    });
    object(&with(own, &operator_members()), &["client_id", "redirect_uris", "grant_types"])
}

fn revoked() -> Value {
    object(
        &json!({
            "ended_sessions": { "type": "integer", "description": "sessions that were ended, with all their tokens" },
            "revoked_client_tokens": {
                "type": "integer", "description": "revoked tokens of the client itself; 0 when a user is named",
            },
        }),
        &["ended_sessions", "revoked_client_tokens"],
    )
}
