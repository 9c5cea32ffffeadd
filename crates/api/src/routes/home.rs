//! `GET /`: a page to try the server, and the static files of all pages.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{Data, Path};
use causeway_types::ErrorCode;

use crate::error::{ApiError, PageError};
use crate::http::headers::{Forms, page};
use crate::http::request;
use crate::pages::{ASSETS, DemoPage, HomePage};
use crate::state::AppState;

pub(crate) async fn home(state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let issuer = state.ctx.issuer().to_owned();
    let html = match &state.config.demo {
        Some(client_id) => DemoPage { issuer, client_id: client_id.to_string() }.render(request::lang())?,
        None => HomePage { issuer }.render(request::lang())?,
    };
    Ok(page(StatusCode::OK, html, Forms::Stay, None))
}

pub(crate) async fn asset(name: Path<String>) -> Result<HttpResponse, ApiError> {
    let wanted = format!("/assets/{name}");
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == wanted) else {
        return Err(ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such file"));
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(asset.body))
}
