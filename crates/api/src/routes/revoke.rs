//! `POST /oauth/revoke` (RFC 7009).

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::token::revoke;
use serde_json::json;

use crate::error::ApiError;
use crate::http::client_auth::{answer_form, take_token};
use crate::state::AppState;

pub(crate) async fn revoke(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    answer_form(&req, &state, payload, async |state, authenticated, mut params| {
        revoke::revoke(&state.ctx, authenticated, &take_token(&mut params)?).await?;
        // RFC 7009 section 2.2 gives the body no meaning; some libraries read every answer as JSON.
        Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(json!({})))
    })
    .await
}
