//! `GET /.well-known/oauth-authorization-server` (RFC 8414) and `GET /oauth/jwks`.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use causeway_domain::client::{GrantType, TokenEndpointAuthMethod};
use causeway_flow::Ctx;
use serde_json::{Value, json};

use crate::state::AppState;

/// The metadata document: what is in it is served, what is served is in it.
pub(crate) fn server_metadata(ctx: &Ctx) -> Value {
    let issuer = ctx.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    let auth_methods = TokenEndpointAuthMethod::ALL.map(TokenEndpointAuthMethod::as_str);
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "jwks_uri": at("/oauth/jwks"),
        "registration_endpoint": at("/oauth/register"),
        "pushed_authorization_request_endpoint": at("/oauth/par"),
        "revocation_endpoint": at("/oauth/revoke"),
        "userinfo_endpoint": at("/oauth/userinfo"),
        "scopes_supported": ctx.scopes().supported().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        "token_endpoint_auth_methods_supported": auth_methods,
        "revocation_endpoint_auth_methods_supported": auth_methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "require_pushed_authorization_requests": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}

/// A document that may be kept for five minutes.
pub(crate) fn cached_json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .body(body)
}

pub(crate) async fn document(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.server_metadata.clone())
}

pub(crate) async fn jwks(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.jwks.clone())
}
