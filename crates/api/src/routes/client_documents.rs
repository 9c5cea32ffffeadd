//! Our client metadata for authorization servers: `GET /oauth-client-metadata.json` and everything below
//! `/oauth-client-metadata/`, `GET /oauth/atp/jwks` (atproto OAuth specification, "Client ID Metadata
//! Document").

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::connection::client_document;
use causeway_flow::upstream::atproto::metadata;
use causeway_types::ErrorCode;

use super::metadata::cached_json;
use crate::error::ApiError;
use crate::state::AppState;

fn served(document: Option<&Bytes>) -> Result<HttpResponse, ApiError> {
    let text = "there is no such client document: on a loopback address there are none";
    document
        .map(|bytes| cached_json(bytes.clone()))
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, text))
}

pub(crate) async fn metadata(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    served(state.documents.client_metadata.as_ref())
}

pub(crate) async fn other_metadata(
    req: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    match metadata::find_document(&state.ctx, req.uri().path()).await? {
        Some(document) => Ok(cached_json(Bytes::from(document.to_string()))),
        None => served(None),
    }
}

/// The document of a registration of ours at another server than an AT Protocol server.
pub(crate) async fn of_registration(
    document: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let found = document.strip_suffix(".json").and_then(|id| client_document::of(&state.ctx, id));
    match found {
        Some(document) => Ok(cached_json(Bytes::from(document.to_string()))),
        None => served(None),
    }
}

pub(crate) async fn jwks(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    served(state.documents.client_jwks.as_ref())
}
