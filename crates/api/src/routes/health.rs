//! `GET /healthz`: the process serves. `GET /readyz`: so does the database, and the server is not about to stop.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use causeway_types::ErrorCode;

use crate::error::ApiError;
use crate::state::AppState;

pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).content_type("text/plain").body("ok\n")
}

pub(crate) async fn readyz(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let unready =
        |text: &str| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, text);
    if state.ctx.lifecycle().is_draining() {
        return Err(unready("the server is shutting down: send requests to another one"));
    }
    match state.ctx.store().ready().await {
        Ok(()) => Ok(HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("text/plain")
            .body("ready\n")),
        Err(error) => {
            tracing::error!(%error, "not ready");
            Err(unready(
                "the database does not respond or is not writable, or its schema does not fit this version",
            ))
        }
    }
}
