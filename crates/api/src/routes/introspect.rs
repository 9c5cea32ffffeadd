//! `POST /oauth/introspect` (RFC 7662 section 2, RFC 9701 section 4).

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::token::introspect;

use crate::error::ApiError;
use crate::http::client_auth::{answer_form, take_token};
use crate::http::headers::{json_no_store, jwt_no_store};
use crate::state::AppState;

const SIGNED: &str = "application/token-introspection+jwt";

pub(crate) async fn introspect(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    answer_form(&req, &state, payload, async |state, authenticated, mut params| {
        let answer = introspect::introspect(&state.ctx, authenticated, &take_token(&mut params)?).await?;
        if wants_signed(&req) {
            return Ok(jwt_no_store(
                SIGNED,
                introspect::sign(&state.ctx, &authenticated.client, &answer).await?,
            ));
        }
        Ok(json_no_store(StatusCode::OK, &answer))
    })
    .await
}

/// Whether the caller's `Accept` header names the signed form.
fn wants_signed(req: &HttpRequest) -> bool {
    let accept = req.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| range.split(';').next().unwrap_or_default().trim() == SIGNED)
}
