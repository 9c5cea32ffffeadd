//! Requests and answers as JSON Schema.

mod admin;

use causeway_domain::ErrorCode;
use serde_json::{Map, Value, json};

/// Text without a format.
fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn uri(description: &str) -> Value {
    json!({ "type": "string", "format": "uri", "description": description })
}

fn seconds(description: &str) -> Value {
    json!({ "type": "integer", "description": description })
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

/// `left` and the members of `right`.
fn with(mut left: Value, right: &Value) -> Value {
    if let (Some(left), Some(right)) = (left.as_object_mut(), right.as_object()) {
        left.extend(right.clone());
    }
    left
}

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

pub(super) fn all() -> Value {
    let named = [
        ("Error", error()),
        ("ServerMetadata", document(&["issuer", "token_endpoint", "jwks_uri"])),
        ("ResourceMetadata", document(&["resource", "authorization_servers"])),
        ("JwkSet", document(&["keys"])),
        ("OpenApi", document(&["openapi", "paths"])),
        ("AuthorizationRequest", authorization_request()),
        ("PushedRequest", pushed_request()),
        ("PushedAnswer", pushed_answer()),
        ("LogoutRequest", logout_request()),
        ("DeviceRequest", device_request()),
        ("DeviceAnswer", device_answer()),
        ("Credentials", object(&credentials(), &[])),
        ("SessionQuestion", object(&with(session_question()["properties"].clone(), &credentials()), &[])),
        ("FoundSession", found_session()),
        ("ExportedSession", exported_session()),
        ("ProofRequest", proof_request()),
        ("SessionProof", session_proof()),
        ("Prompt", object(&json!({ "sign_in_url": uri("to open in the user's browser") }), &["sign_in_url"])),
        ("TokenRequest", token_request()),
        ("TokenAnswer", token_answer()),
        ("TokenQuestion", token_question()),
        ("Introspection", introspection()),
        ("ClientMetadata", object(&client_members(), &["redirect_uris"])),
        ("Client", client()),
        ("UserInfo", user_info()),
        ("Session", session()),
        ("EventsRequest", object(&credentials(), &[])),
        ("GraphQlRequest", graphql_request()),
        (
            "GraphQlAnswer",
            json!({ "type": "object", "properties": { "data": {}, "errors": { "type": "array" } } }),
        ),
    ];
    let named = named.into_iter().chain(admin::all());
    Value::Object(named.map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>())
}

fn document(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

fn error() -> Value {
    let codes = ErrorCode::NAMES;
    object(
        &json!({
            "error": { "type": "string", "enum": codes, "description": "the error code, for programs" },
            "error_description": text("the cause and the remedy, for developers"),
            "request_id": text("finds the log lines of this request"),
        }),
        &["error", "error_description", "request_id"],
    )
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

fn pushed_answer() -> Value {
    object(
        &json!({ "request_uri": text("for the authorization endpoint; single-use"), "expires_in": seconds("seconds until it expires") }),
        &["request_uri", "expires_in"],
    )
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

/// RFC 8628 section 3.2.
fn device_answer() -> Value {
    object(
        &json!({
            "device_code": text("for the token endpoint"),
            "user_code": text("the code that the user enters"),
            "verification_uri": uri("where the user enters user_code"),
            "verification_uri_complete": uri("verification_uri with user_code included"),
            "expires_in": seconds("seconds until the codes expire"),
            "interval": seconds("seconds to wait between polls"),
        }),
        &["device_code", "user_code", "verification_uri", "expires_in"],
    )
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

fn found_session() -> Value {
    object(
        &json!({
            "session_id": text("the session"),
            "session_kind": { "type": "string", "enum": ["device", "background"] },
            "session_state": { "type": "string", "enum": ["active", "reauth_required"] },
            "fingerprint": { "type": ["string", "null"] },
            "sub": text("the user's DID"),
            "handle": { "type": ["string", "null"], "description": "verified in both directions" },
            "pds": uri("the user's PDS"),
            "scope": text("the granted scope"),
            "head_iteration": { "type": "integer" },
            "last_used_at": seconds("Unix time in seconds"),
            "session_expires_at": { "type": ["integer", "null"], "description": "Unix time in seconds; null: never" },
        }),
        &["session_id", "session_kind", "session_state", "sub", "pds", "scope"],
    )
}

fn exported_session() -> Value {
    object(
        &json!({
            "session_id": text("the session"),
            "session_kind": { "type": "string", "enum": ["device", "background"] },
            "sub": text("the user's DID"),
            "handle": { "type": ["string", "null"], "description": "verified in both directions" },
            "pds": uri("the user's PDS"),
            "head_iteration": { "type": "integer" },
            "access_token": text("issued by the user's PDS"),
            "token_type": { "type": "string", "const": "DPoP" },
            "dpop_jkt": text("the thumbprint of the key that it is bound to"),
            "scope": text("the scope that the PDS granted"),
            "expires_at": { "type": ["integer", "null"], "description": "Unix time in seconds" },
            "expires_in": { "type": ["integer", "null"], "description": "seconds" },
        }),
        &["session_id", "access_token", "token_type", "pds", "sub"],
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

fn session_proof() -> Value {
    object(
        &json!({
            "dpop_proof": text("the value of the DPoP header"),
            "head_iteration": { "type": "integer", "description": "the iteration whose access token the proof goes with" },
        }),
        &["dpop_proof", "head_iteration"],
    )
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

fn token_answer() -> Value {
    object(
        &json!({
            "access_token": text("opaque, or a JWT if the client registered that format (RFC 9068)"),
            "issued_token_type": text("for token exchange (RFC 8693 section 2.2.1)"),
            "token_type": { "type": "string", "enum": ["Bearer", "DPoP"] },
            "expires_in": seconds("seconds until the access token expires"),
            "refresh_token": text("single-use: each response holds the next one"),
            "scope": text("the granted scope"),
            "sub": text("the user's DID"),
            "id_token": text("with the scope openid"),
        }),
        &["access_token", "token_type", "expires_in"],
    )
}

fn token_question() -> Value {
    let own = json!({ "token": text("the access token or refresh token"), "token_type_hint": text("access_token or refresh_token") });
    object(&with(own, &credentials()), &["token"])
}

fn introspection() -> Value {
    object(
        &json!({
            "active": { "type": "boolean" },
            "iss": uri("the issuer"),
            "sub": text("the user's DID"),
            "username": text("the user's handle, verified in both directions"),
            "client_id": text("the client"),
            "scope": text("the scope of the token"),
            "token_type": { "type": "string", "enum": ["Bearer", "DPoP"] },
            "iat": seconds("Unix time at which it was issued"),
            "exp": seconds("Unix time at which it expires"),
            "sid": text("the session"),
            "cnf": { "type": "object", "properties": { "jkt": text("the thumbprint of the key that it is bound to") } },
        }),
        &["active"],
    )
}

/// RFC 7591 section 2.
fn client_members() -> Value {
    json!({
        "redirect_uris": { "type": "array", "items": { "type": "string", "format": "uri" }, "maxItems": 32 },
        "token_endpoint_auth_method": {
            "type": "string", "enum": ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        },
        "token_endpoint_auth_signing_alg": text("the algorithm that signs the client's assertions"),
        "grant_types": texts("from the metadata's grant_types_supported"),
        "response_types": { "type": "array", "items": { "type": "string", "const": "code" } },
        "client_name": text("the name that users see"),
        "client_uri": uri("the client's home page"),
        "scope": text("the maximum scope that the client may request"),
        "jwks": { "type": "object", "description": "the client's public keys" },
        "jwks_uri": uri("the address of the client's public keys"),
        "dpop_bound_access_tokens": { "type": "boolean" },
        "dpop_nonce_policy": { "type": "string", "enum": ["off", "required"] },
        "id_token_signed_response_alg": { "type": "string", "enum": ["RS256", "ES256"] },
        "userinfo_signed_response_alg": { "type": "string", "enum": ["RS256", "ES256"] },
        "introspection_signed_response_alg": { "type": "string", "enum": ["RS256", "ES256"] },
        "request_object_signing_alg": text("the algorithm that signs the client's request objects"),
        "subject_type": { "type": "string", "const": "public" },
        "default_max_age": { "type": "integer", "minimum": 0, "description": "seconds; the max_age of requests without one" },
        "post_logout_redirect_uris": { "type": "array", "items": { "type": "string", "format": "uri" } },
        "require_pushed_authorization_requests": { "type": "boolean" },
        "require_signed_request_object": { "type": "boolean" },
        "access_token_format": { "type": "string", "enum": ["opaque", "jwt"] },
        "backchannel_logout_uri": uri("where logout tokens are sent when a session ends"),
        "backchannel_logout_session_required": { "type": "boolean" },
    })
}

fn client() -> Value {
    let own = json!({
        "client_id": text("the client"),
        "client_id_issued_at": seconds("Unix time of the registration"),
        "client_secret": text("only in the response that created it"),
        "client_secret_expires_at": seconds("0: it never expires"),
        "registration_client_uri": uri("the client configuration endpoint (RFC 7592)"),
        "registration_access_token": text("the token for registration_client_uri"),
    });
    let required = [
        "client_id",
        "client_id_issued_at",
        "redirect_uris",
        "registration_access_token",
        "registration_client_uri",
        "token_endpoint_auth_method",
    ];
    object(&with(client_members(), &own), &required)
}

fn user_info() -> Value {
    object(
        &json!({
            "sub": text("the user's DID"),
            "preferred_username": text("the user's handle, verified in both directions"),
            "name": text("with the scope profile: the handle"),
            "email": text("with the scope email: the address that the PDS reports, if it is valid"),
            "email_verified": {
                "type": "boolean",
                "description": "true only if the address was confirmed by a PDS that the operator trusts",
            },
        }),
        &["sub"],
    )
}

fn session() -> Value {
    object(
        &json!({
            "sub": text("the user's DID"),
            "handle": { "type": ["string", "null"], "description": "verified in both directions" },
            "pds": uri("the user's PDS"),
            "session_id": text("the session"),
            "session_iteration": { "type": ["integer", "null"], "description": "the iteration that this token came from" },
            "head_iteration": { "type": "integer", "description": "the iteration in use" },
            "session_kind": { "type": "string", "enum": ["device", "background"] },
            "session_state": { "type": "string", "enum": ["pending", "active", "reauth_required", "ended"] },
            "scope": text("the scope of the token"),
            "token_expires_at": seconds("Unix time in seconds"),
            "session_expires_at": { "type": ["integer", "null"], "description": "Unix time in seconds; null: never" },
        }),
        &["sub", "pds", "session_id", "head_iteration", "session_kind", "session_state", "scope"],
    )
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
