//! `GET|POST /oauth/userinfo` (OpenID Connect Core section 5.3).

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::access::{self, Bearer};
use causeway_flow::userinfo::{self, UserInfoAnswer};

use crate::error::ApiError;
use crate::http::credentials::{Presented, bearer_token};
use crate::http::form::Params;
use crate::http::headers::{json_no_store, jwt_no_store};
use crate::state::AppState;

/// Checks the access token of a request.
pub(crate) async fn require_bearer(
    req: &HttpRequest,
    state: &AppState,
    body: Option<String>,
) -> Result<Bearer, ApiError> {
    match bearer_token(req, body) {
        Presented::Nothing => Err(ApiError::no_token()),
        Presented::Malformed(problem) => Err(ApiError::malformed_token(problem)),
        Presented::Token(token) => Ok(access::verify(&state.ctx, &token).await?),
    }
}

pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    answer(&state, &require_bearer(&req, &state, None).await?).await
}

/// The token may come in a form body (RFC 6750 section 2.2).
pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let body = if req.headers().contains_key(CONTENT_TYPE) {
        Params::of_body(&req, payload).await?.take("access_token")
    } else {
        None
    };
    answer(&state, &require_bearer(&req, &state, body).await?).await
}

async fn answer(state: &AppState, bearer: &Bearer) -> Result<HttpResponse, ApiError> {
    Ok(match userinfo::answer(&state.ctx, bearer).await? {
        UserInfoAnswer::Plain(info) => json_no_store(StatusCode::OK, &info),
        UserInfoAnswer::Signed(jwt) => jwt_no_store("application/jwt", jwt),
    })
}
