//! `POST /oauth/revoke` (RFC 7009).

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::ErrorCode;
use causeway_flow::token::revoke;
use serde::Serialize;

use crate::error::ApiError;
use crate::http::caller::identify;
use crate::http::form::Params;
use crate::state::AppState;

/// `{}`.
#[derive(Serialize)]
struct Empty {}

pub(crate) async fn revoke(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let mut params = Params::of_body(&req, payload).await?;
    let caller = identify(&req, &state, &mut params).await?;
    let token = params.take("token").ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, "token is missing")
    })?;
    revoke::revoke(&state.ctx, &caller, &token).await?;
    // RFC 7009 section 2.2 gives the body no meaning; some libraries read every answer as JSON.
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Empty {}))
}
