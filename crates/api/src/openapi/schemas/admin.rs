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
                &json!({ "client_id": text("the client"), "client_secret": text("once") }),
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

/// The same, with the start of the next page.
fn page(name: &str) -> Value {
    let mut page = list(name);
    page["properties"]["next"] = text("the value of after for the next page; not there on the last one");
    page
}

/// Client settings that only the operator controls.
fn operator_members() -> Value {
    json!({
        "allow_background_access": { "type": "boolean" },
        "allow_session_export": { "type": "boolean" },
        "id_token_claims": { "type": "boolean" },
        "pkce": { "type": "string", "enum": ["required", "nonce"] },
        "allowed_resources": texts("resources of others that it may ask tokens for (RFC 8707)"),
        "access_token_expiration": {
            "type": "integer", "minimum": 1, "maximum": Client::MAX_ACCESS_TOKEN_EXPIRATION,
            "description": "seconds",
        },
        "refresh_token_expiration": {
            "type": "integer", "minimum": 0, "maximum": Client::MAX_REFRESH_TOKEN_EXPIRATION,
            "description": "seconds; 0: without end",
        },
    })
}

/// Client metadata (RFC 7591 section 2), with the operator's settings.
fn client_metadata() -> Value {
    object(&with(client_members(), &operator_members()), &["redirect_uris"])
}

/// A client with everything that is stored about it. Metadata that it left out is null, so only members that
/// never are null are required.
fn client() -> Value {
    let own = json!({
        "client_id": text("the client"),
        "client_secret": text("once: in the answer that made it"),
        "client_name": text("what people see"),
        "redirect_uris": texts("where answers may go"),
        "grant_types": texts("what it may ask of the token endpoint"),
        "origin": text("how it is known"),
        "created_at": seconds("Unix time"),
        "updated_at": seconds("Unix time"),
    });
    object(&with(own, &operator_members()), &["client_id", "redirect_uris", "grant_types"])
}

fn revoked() -> Value {
    object(
        &json!({
            "ended_sessions": { "type": "integer", "description": "with all their tokens" },
            "revoked_client_tokens": {
                "type": "integer", "description": "that the client had for itself; 0 when a user is named",
            },
        }),
        &["ended_sessions", "revoked_client_tokens"],
    )
}
