//! The component schemas: those of requests, and of bodies that no type describes, are written here; those of
//! all other bodies come from their types.

mod admin;
mod derived;

use serde_json::{Map, Value, json};

use crate::bodies::client_metadata;
use crate::bodies::schema::{object, text, uri, with};

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
        (502, "the PDS gave no response that can be passed on"),
        (503, "temporarily unavailable: Retry-After says when to try again"),
        (504, "the PDS took too long to respond"),
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
        ("AuthorizationRequest", authorization_request()),
        ("PushedRequest", pushed_request()),
        ("LogoutRequest", logout_request()),
        ("DeviceRequest", device_request()),
        ("Credentials", object(&credentials(), &[])),
        ("SessionQuestion", object(&with(session_question()["properties"].clone(), &credentials()), &[])),
        ("ProofRequest", proof_request()),
        ("TokenRequest", token_request()),
        ("TokenQuestion", token_question()),
        ("ClientMetadata", object(&client_metadata::members(), &["redirect_uris"])),
        ("EventsRequest", object(&credentials(), &[])),
        ("GraphQlRequest", graphql_request()),
        (
            "GraphQlAnswer",
            json!({ "type": "object", "properties": { "data": {}, "errors": { "type": "array" } } }),
        ),
    ];
    let written = written.into_iter().chain(admin::all());
    let written = written.map(|(name, schema)| (name.to_owned(), schema));
    Value::Object(written.chain(derived::all()).collect::<Map<_, _>>())
}

fn document(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

/// RFC 6749 section 4.1.1 and its extensions.
pub(super) fn authorization_request() -> Value {
    object(
        &json!({
            "client_id": text("the client"),
            "redirect_uri": uri("a URI that the client registered"),
            "response_type": { "type": "string", "const": "code" },
            "response_mode": { "type": "string", "enum": ["query", "fragment", "form_post"] },
            "scope": text("separated by spaces"),
            "state": text("returned unchanged"),
            "nonce": text("returned in the ID token"),
            "code_challenge": text("the SHA-256 of the verifier in base64url (RFC 7636)"),
            "code_challenge_method": { "type": "string", "const": "S256" },
            "login_hint": text("a handle, a DID, or the address of a PDS or entryway"),
            "prompt": text("none, or login, consent, select_account separated by spaces"),
            "max_age": text("the maximum age of the user's authentication, in seconds"),
            "id_token_hint": text("an ID token of the account"),
            "ui_locales": text("preferred languages, separated by spaces, most preferred first"),
            "resource": uri("the resource that the access token is for (RFC 8707); may be repeated"),
            "claims": text("requested claims, as JSON (OpenID Connect Core section 5.5)"),
            "dpop_jkt": text("the thumbprint of the key to bind the code to (RFC 9449 section 10)"),
            "request": text("a signed request object with these parameters (RFC 9101)"),
            "request_uri": text("from the PAR endpoint (RFC 9126)"),
        }),
        &["client_id"],
    )
}

/// Client credentials in a body.
fn credentials() -> Value {
    json!({
        "client_id": text("required unless it is in the Authorization header"),
        "client_secret": text("for client_secret_post"),
        "client_assertion_type": { "type": "string", "const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" },
        "client_assertion": text("for private_key_jwt (RFC 7523)"),
    })
}

fn pushed_request() -> Value {
    let mut request = authorization_request()["properties"].clone();
    if let Some(members) = request.as_object_mut() {
        members.remove("request_uri");
    }
    object(&with(request, &credentials()), &[])
}

/// OpenID Connect RP-Initiated Logout 1.0 section 2.
pub(super) fn logout_request() -> Value {
    object(
        &json!({
            "id_token_hint": text("an ID token of the session that ends"),
            "client_id": text("the client"),
            "post_logout_redirect_uri": uri("a URI that the client registered"),
            "state": text("returned unchanged"),
            "logout_hint": text("the account: a handle or a DID"),
            "ui_locales": text("preferred languages, separated by spaces, most preferred first"),
        }),
        &[],
    )
}

/// RFC 8628 section 3.1.
fn device_request() -> Value {
    let own = json!({
        "scope": text("separated by spaces"),
        "resource": uri("the resource that the access token is for (RFC 8707)"),
        "dpop_jkt": text("the thumbprint of the key to bind the tokens to"),
    });
    object(&with(own, &credentials()), &[])
}

pub(super) fn session_question() -> Value {
    object(
        &json!({
            "sub": text("the user's DID"),
            "session_kind": { "type": "string", "enum": ["device", "background"] },
            "fingerprint": text("the browser or app of a device session; the most recently used one if omitted"),
        }),
        &["sub", "session_kind"],
    )
}

fn proof_request() -> Value {
    let own = json!({
        "htm": text("the method of the request (RFC 9449 section 4.2)"),
        "htu": uri("the URL of the request, at the session's PDS"),
        "nonce": text("the PDS's latest DPoP nonce"),
    });
    object(&with(own, &credentials()), &["htm", "htu"])
}

fn token_request() -> Value {
    let own = json!({
        "grant_type": text("one of the metadata's grant_types_supported"),
        "code": text("for authorization_code"),
        "redirect_uri": uri("the redirect_uri of the authorization request"),
        "code_verifier": text("for authorization_code (RFC 7636 section 4.1)"),
        "refresh_token": text("for refresh_token"),
        "scope": text("for refresh_token and token exchange: at most the granted scope"),
        "device_code": text("for device_code (RFC 8628 section 3.4)"),
        "subject_token": text("for token exchange: the session_id of a background session (RFC 8693)"),
        "subject_token_type": text("urn:causeway:token-type:session"),
        "requested_token_type": text("urn:ietf:params:oauth:token-type:access_token"),
        "audience": text("for token exchange: this server, or omitted"),
        "resource": uri("the resource that the access token is for (RFC 8707); may be repeated"),
    });
    object(&with(own, &credentials()), &["grant_type"])
}

fn token_question() -> Value {
    let own = json!({ "token": text("the access token or refresh token"), "token_type_hint": text("access_token or refresh_token") });
    object(&with(own, &credentials()), &["token"])
}

fn graphql_request() -> Value {
    object(
        &json!({
            "query": text("the GraphQL document"),
            "operationName": { "type": ["string", "null"] },
            "variables": { "type": ["object", "null"] },
        }),
        &["query"],
    )
}
