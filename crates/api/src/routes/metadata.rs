//! `GET /.well-known/oauth-authorization-server` (RFC 8414), the same document as
//! `GET /.well-known/openid-configuration` (OpenID Connect Discovery section 4), and `GET /oauth/jwks`.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use causeway_flow::operations::issuer_keys;

use crate::error::ApiError;
use crate::http::headers::fixed;
use crate::state::AppState;

/// A document that may be cached for five minutes.
pub(crate) fn cached_json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, fixed("application/json")))
        .insert_header((CACHE_CONTROL, fixed("public, max-age=300")))
        .body(body)
}

pub(crate) async fn document(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.server_metadata.clone())
}

pub(crate) async fn resource_document(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.resource_metadata.clone())
}

pub(crate) async fn openapi(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.openapi.clone())
}

/// The keys change when the operator rotates them. They may be cached for as long as other documents: a
/// verifier that sees an unknown `kid` fetches the new key, and an old one stays published for a day.
pub(crate) async fn jwks(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let keys = issuer_keys::ensure(&state.ctx).await?;
    Ok(cached_json(Bytes::from(keys.jwks().to_string())))
}
