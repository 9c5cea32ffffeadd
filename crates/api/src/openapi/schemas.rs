//! Requests and answers as JSON Schema.

mod admin;

use causeway_domain::ErrorCode;
use serde_json::{Map, Value, json};

/// Text without a form of its own.
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

/// One for each status that an error may have.
pub(super) fn errors() -> Value {
    let known = [
        (400, "the request is wrong: the text says what to mend"),
        (401, "the client, or the token, is not accepted"),
        (403, "not allowed"),
        (404, "not there, or not this caller's"),
        (408, "the body stopped arriving"),
        (413, "the body is too large"),
        (415, "the body is of another type than this endpoint takes"),
        (429, "too many: Retry-After says when to try again"),
        (502, "the person's own server gave no answer that can be passed on"),
        (503, "not now: Retry-After says when to try again"),
        (504, "the person's own server took too long"),
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
        ("Prompt", object(&json!({ "sign_in_url": uri("for the person's browser") }), &["sign_in_url"])),
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
            "error": { "type": "string", "enum": codes, "description": "decide by this" },
            "error_description": text("for people: what is wrong and what to do"),
            "request_id": text("finds the log lines"),
        }),
        &["error", "error_description", "request_id"],
    )
}

/// RFC 6749 section 4.1.1 and its extensions.
pub(super) fn authorization_request() -> Value {
    object(
        &json!({
            "client_id": text("the client"),
            "redirect_uri": uri("one that the client registered"),
            "response_type": { "type": "string", "const": "code" },
            "response_mode": { "type": "string", "enum": ["query", "fragment", "form_post"] },
            "scope": text("separated by spaces"),
            "state": text("comes back unchanged"),
            "nonce": text("comes back in the id_token"),
            "code_challenge": text("the SHA-256 of the verifier in base64url (RFC 7636)"),
            "code_challenge_method": { "type": "string", "const": "S256" },
            "login_hint": text("a handle, a DID, or the address of a PDS or entryway"),
            "prompt": text("none, or login, consent, select_account separated by spaces"),
            "max_age": text("seconds since the person proved who they are"),
            "id_token_hint": text("an id_token that names the account"),
            "ui_locales": text("languages, separated by spaces, best first"),
            "resource": uri("where the access token is to be used (RFC 8707); may be repeated"),
            "claims": text("claims that are asked for, as JSON (OpenID Connect Core section 5.5)"),
            "dpop_jkt": text("the thumbprint of the key that the code is to be bound to (RFC 9449 section 10)"),
            "request": text("all of it as a signed JWT (RFC 9101)"),
            "request_uri": text("from the PAR endpoint (RFC 9126)"),
        }),
        &["client_id"],
    )
}

/// Client credentials in a body.
fn credentials() -> Value {
    json!({
        "client_id": text("unless it is in the Authorization header"),
        "client_secret": text("client_secret_post"),
        "client_assertion_type": { "type": "string", "const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" },
        "client_assertion": text("private_key_jwt (RFC 7523)"),
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
        &json!({ "request_uri": text("for the authorization endpoint, once"), "expires_in": seconds("until it ends") }),
        &["request_uri", "expires_in"],
    )
}

/// OpenID Connect RP-Initiated Logout 1.0 section 2.
pub(super) fn logout_request() -> Value {
    object(
        &json!({
            "id_token_hint": text("whose session ends"),
            "client_id": text("the client"),
            "post_logout_redirect_uri": uri("one that the client registered"),
            "state": text("comes back unchanged"),
            "logout_hint": text("an account"),
            "ui_locales": text("languages, separated by spaces, best first"),
        }),
        &[],
    )
}

/// RFC 8628 section 3.1.
fn device_request() -> Value {
    let own = json!({
        "scope": text("separated by spaces"),
        "resource": uri("where the access token is to be used (RFC 8707)"),
        "dpop_jkt": text("the thumbprint of the key that the tokens are to be bound to"),
    });
    object(&with(own, &credentials()), &[])
}

/// RFC 8628 section 3.2.
fn device_answer() -> Value {
    object(
        &json!({
            "device_code": text("for the token endpoint"),
            "user_code": text("for the person"),
            "verification_uri": uri("where the person types it"),
            "verification_uri_complete": uri("the same with the code in it"),
            "expires_in": seconds("until the codes end"),
            "interval": seconds("between two polls"),
        }),
        &["device_code", "user_code", "verification_uri", "expires_in"],
    )
}

pub(super) fn session_question() -> Value {
    object(
        &json!({
            "sub": text("the person's DID"),
            "session_kind": { "type": "string", "enum": ["device", "background"] },
            "fingerprint": text("which browser or app a device session belongs to; without it, the last one used"),
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
            "sub": text("the person's DID"),
            "handle": { "type": ["string", "null"], "description": "verified in both directions" },
            "pds": uri("the person's own server"),
            "scope": text("what was granted"),
            "head_iteration": { "type": "integer" },
            "last_used_at": seconds("Unix time"),
            "session_expires_at": { "type": ["integer", "null"], "description": "Unix time; null: never" },
        }),
        &["session_id", "session_kind", "session_state", "sub", "pds", "scope"],
    )
}

fn exported_session() -> Value {
    object(
        &json!({
            "session_id": text("the session"),
            "session_kind": { "type": "string", "enum": ["device", "background"] },
            "sub": text("the person's DID"),
            "handle": { "type": ["string", "null"], "description": "verified in both directions" },
            "pds": uri("the person's own server"),
            "head_iteration": { "type": "integer" },
            "access_token": text("of the person's own server"),
            "token_type": { "type": "string", "const": "DPoP" },
            "dpop_jkt": text("the key that it is bound to"),
            "scope": text("what the person's own server granted"),
            "expires_at": { "type": ["integer", "null"], "description": "Unix time" },
            "expires_in": { "type": ["integer", "null"], "description": "seconds" },
        }),
        &["session_id", "access_token", "token_type", "pds", "sub"],
    )
}

fn proof_request() -> Value {
    let own = json!({
        "htm": text("the method of the request (RFC 9449 section 4.2)"),
        "htu": uri("its address, at the session's own server"),
        "nonce": text("that server's nonce"),
    });
    object(&with(own, &credentials()), &["htm", "htu"])
}

fn session_proof() -> Value {
    object(
        &json!({
            "dpop_proof": text("for the DPoP header"),
            "head_iteration": { "type": "integer", "description": "good with the token of this iteration" },
        }),
        &["dpop_proof", "head_iteration"],
    )
}

fn token_request() -> Value {
    let own = json!({
        "grant_type": text("one of the metadata's grant_types_supported"),
        "code": text("authorization_code"),
        "redirect_uri": uri("that of the authorization request"),
        "code_verifier": text("RFC 7636 section 4.1"),
        "refresh_token": text("refresh_token"),
        "scope": text("refresh_token, token exchange: not wider than what was granted"),
        "device_code": text("RFC 8628 section 3.4"),
        "subject_token": text("token exchange: the session_id of a background session (RFC 8693)"),
        "subject_token_type": text("urn:causeway:token-type:session"),
        "requested_token_type": text("urn:ietf:params:oauth:token-type:access_token"),
        "audience": text("token exchange: this server, or left out"),
        "resource": uri("where the access token is to be used (RFC 8707); may be repeated"),
    });
    object(&with(own, &credentials()), &["grant_type"])
}

fn token_answer() -> Value {
    object(
        &json!({
            "access_token": text("opaque, or a JWT for a client that asked for that (RFC 9068)"),
            "issued_token_type": text("of a token exchange (RFC 8693 section 2.2.1)"),
            "token_type": { "type": "string", "enum": ["Bearer", "DPoP"] },
            "expires_in": seconds("until the access token ends"),
            "refresh_token": text("works once: each answer has the next"),
            "scope": text("what was granted"),
            "sub": text("the person's DID"),
            "id_token": text("with the scope openid"),
        }),
        &["access_token", "token_type", "expires_in"],
    )
}

fn token_question() -> Value {
    let own = json!({ "token": text("the token"), "token_type_hint": text("access_token or refresh_token") });
    object(&with(own, &credentials()), &["token"])
}

fn introspection() -> Value {
    object(
        &json!({
            "active": { "type": "boolean" },
            "iss": uri("the issuer"),
            "sub": text("the person's DID"),
            "username": text("their handle, verified in both directions"),
            "client_id": text("the client"),
            "scope": text("what it allows"),
            "token_type": { "type": "string", "enum": ["Bearer", "DPoP"] },
            "iat": seconds("when it was issued"),
            "exp": seconds("when it ends"),
            "sid": text("the session"),
            "cnf": { "type": "object", "properties": { "jkt": text("the key that it is bound to") } },
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
        "token_endpoint_auth_signing_alg": text("the one algorithm of its assertions"),
        "grant_types": texts("out of the metadata's grant_types_supported"),
        "response_types": { "type": "array", "items": { "type": "string", "const": "code" } },
        "client_name": text("what people see"),
        "client_uri": uri("its home"),
        "scope": text("the widest scope that it will ask for"),
        "jwks": { "type": "object", "description": "its public keys" },
        "jwks_uri": uri("where its public keys are"),
        "dpop_bound_access_tokens": { "type": "boolean" },
        "dpop_nonce_policy": { "type": "string", "enum": ["off", "required"] },
        "id_token_signed_response_alg": { "type": "string", "enum": ["RS256", "ES256"] },
        "userinfo_signed_response_alg": { "type": "string", "enum": ["RS256", "ES256"] },
        "introspection_signed_response_alg": { "type": "string", "enum": ["RS256", "ES256"] },
        "request_object_signing_alg": text("the one algorithm of its request objects"),
        "subject_type": { "type": "string", "const": "public" },
        "default_max_age": { "type": "integer", "minimum": 0, "description": "seconds; max_age of requests that have none" },
        "post_logout_redirect_uris": { "type": "array", "items": { "type": "string", "format": "uri" } },
        "require_pushed_authorization_requests": { "type": "boolean" },
        "require_signed_request_object": { "type": "boolean" },
        "access_token_format": { "type": "string", "enum": ["opaque", "jwt"] },
        "backchannel_logout_uri": uri("where it is told that a session has ended"),
        "backchannel_logout_session_required": { "type": "boolean" },
    })
}

fn client() -> Value {
    let own = json!({
        "client_id": text("the client"),
        "client_id_issued_at": seconds("when it was registered"),
        "client_secret": text("once: in the answer that made it"),
        "client_secret_expires_at": seconds("0: never"),
        "registration_client_uri": uri("where the registration is managed"),
        "registration_access_token": text("what the registration is managed with"),
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
            "sub": text("the person's DID"),
            "preferred_username": text("their handle, verified in both directions"),
            "name": text("with the scope profile: the handle again"),
            "email": text("with the scope email, if the PDS says it and it is an address"),
            "email_verified": {
                "type": "boolean",
                "description": "true only of an address that a PDS which the operator trusts has confirmed",
            },
        }),
        &["sub"],
    )
}

fn session() -> Value {
    object(
        &json!({
            "sub": text("the person's DID"),
            "handle": { "type": ["string", "null"], "description": "verified in both directions" },
            "pds": uri("the person's own server"),
            "session_id": text("the session"),
            "session_iteration": { "type": ["integer", "null"], "description": "that this token came from" },
            "head_iteration": { "type": "integer", "description": "that is in use" },
            "session_kind": { "type": "string", "enum": ["device", "background"] },
            "session_state": { "type": "string", "enum": ["pending", "active", "reauth_required", "ended"] },
            "scope": text("what the token allows"),
            "token_expires_at": seconds("Unix time"),
            "session_expires_at": { "type": ["integer", "null"], "description": "Unix time; null: never" },
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
