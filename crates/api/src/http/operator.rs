//! Requests of the operator: who may make them, and what their handlers have in common.

use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::operations::limits::{self, RateLimitedAction};
use causeway_store::PageRequest;
use causeway_types::{ClientId, ErrorCode, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::http::form::{Params, read_json};
use crate::http::headers::json_no_store;
use crate::http::list;
use crate::http::request;
use crate::state::AppState;

/// The answer of a handler.
pub(crate) type Answered = Result<HttpResponse, ApiError>;

/// Admits only the operator. The right token is accepted whatever came from the same address before, so that
/// guessing locks nobody else out. A wrong one counts as a failed authentication, and past the limit of those
/// it is answered with 429.
pub(crate) fn require_operator(req: &HttpRequest, state: &AppState) -> Result<(), ApiError> {
    let wanted = state.config.admin_token.as_ref().ok_or_else(ApiError::not_found)?;
    let header = req.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let presented = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Secret::new(token.trim()));
    if presented.as_ref() == Some(wanted) {
        return Ok(());
    }
    let operator = ClientId::new("admin");
    limits::acquire(
        &state.ctx,
        RateLimitedAction::FailedAuthentication,
        Some(&operator),
        request::address(),
    )?;
    tracing::warn!("a request to /admin without the operator's token was refused");
    Err(ApiError::no_operator())
}

/// The thing that the path names does not exist.
pub(crate) fn gone(what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, &format!("there is no such {what}"))
}

/// A mistake in the request.
pub(crate) fn bad(text: impl AsRef<str>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text.as_ref())
}

/// JSON that must not be stored.
pub(crate) fn ok(body: &impl Serialize) -> HttpResponse {
    json_no_store(StatusCode::OK, body)
}

/// Reads a body of JSON.
pub(crate) async fn body<T: DeserializeOwned>(req: &HttpRequest, payload: Payload) -> Result<T, ApiError> {
    Ok(read_json(req, payload).await?)
}

/// Reads which page of a list is requested by `limit` and `after`; these parameters are taken last.
pub(crate) fn page(params: Params) -> Result<PageRequest, ApiError> {
    list::page(params, "after")
}
