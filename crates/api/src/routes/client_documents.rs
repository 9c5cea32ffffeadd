//! Who we are to a person's own server: `GET /oauth-client-metadata.json`, `GET /oauth/atp/jwks`
//! (atproto OAuth specification, "Client ID Metadata Document").

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use causeway_domain::ErrorCode;

use super::metadata::cached_json;
use crate::error::ApiError;
use crate::state::AppState;

fn served(document: Option<&Bytes>) -> Result<HttpResponse, ApiError> {
    let text = "on a loopback address Causeway is the atproto loopback client, which has no document";
    document
        .map(|bytes| cached_json(bytes.clone()))
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, text))
}

pub(crate) async fn metadata(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    served(state.documents.client_metadata.as_ref())
}

pub(crate) async fn jwks(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    served(state.documents.client_jwks.as_ref())
}
