//! The component schemas: those of documents that no type describes are written here; all others come from their types.

mod admin;
mod derived;
pub(super) mod forms;

use serde_json::{Map, Value, json};

pub(super) fn security() -> Value {
    json!({
        "clientBasic": {
            "type": "http", "scheme": "basic",
            "description": "client_id and client_secret, each form-encoded (RFC 6749 section 2.3.1)",
        },
        "bearer": { "type": "http", "scheme": "bearer", "description": "an access token bound to no key (RFC 6750)" },
        "dpop": { "type": "http", "scheme": "dpop", "description": "an access token bound to a key (RFC 9449)" },
        "registrationToken": {
            "type": "http", "scheme": "bearer", "description": "the registration access token (RFC 7592)",
        },
        "operatorToken": {
            "type": "http", "scheme": "bearer", "description": "the token in the file of --admin-token-file",
        },
    })
}

/// The error responses, one for each status.
pub(super) fn errors() -> Value {
    let known = [
        (400, "the request is invalid: error_description says how to fix it"),
        (401, "the client or the token is not accepted"),
        (403, "not allowed"),
        (404, "not found, or it belongs to another client"),
        (408, "the body stopped arriving"),
        (413, "the body is too large"),
        (415, "this endpoint does not accept the body's media type"),
        (429, "too many requests: Retry-After says when to try again"),
        (502, "the provider gave no response that can be passed on"),
        (503, "temporarily unavailable: Retry-After says when to try again"),
        (504, "the provider took too long to respond"),
    ];
    let one = |(status, description): (u16, &str)| {
        let schema = super::operation::reference("Error");
        let response = json!({
            "description": description, "content": { "application/json": { "schema": schema } },
        });
        (format!("Error{status}"), response)
    };
    Value::Object(known.into_iter().map(one).collect())
}

/// Every schema by its name.
pub(super) fn all() -> Value {
    let written = [
        ("ServerMetadata", document(&["issuer", "token_endpoint", "jwks_uri"])),
        ("ResourceMetadata", document(&["resource", "authorization_servers"])),
        ("JwkSet", document(&["keys"])),
        ("OpenApi", document(&["openapi", "paths"])),
        (
            "GraphQlAnswer",
            json!({ "type": "object", "properties": { "data": {}, "errors": { "type": "array" } } }),
        ),
    ];
    let written = written.into_iter().chain(admin::all()).chain(forms::all());
    let written = written.map(|(name, schema)| (name.to_owned(), schema));
    Value::Object(written.chain(derived::all()).collect::<Map<_, _>>())
}

fn document(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}
