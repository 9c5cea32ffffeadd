//! `GET|POST /oauth/userinfo` (OpenID Connect Core section 5.3).

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::resource::access::Bearer;
use causeway_flow::resource::userinfo::{self, UserInfoAnswer};

use crate::bodies::forms::TokenInBody;
use crate::error::ApiError;
use crate::http::access::require_access;
use crate::http::answer::with_nonce;
use crate::http::form::{Params, take_fields};
use crate::http::headers::{json_no_store, jwt_no_store};
use crate::state::AppState;

pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let bearer = require_access(&req, &state, None).await?;
    Ok(with_nonce(answer(&state, &bearer).await, bearer.dpop_nonce))
}

/// The token may come in a form body (RFC 6750 section 2.2).
pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let body = if req.headers().contains_key(CONTENT_TYPE) {
        let mut params = Params::of_body(&req, payload).await?;
        take_fields!(&mut params => TokenInBody { access_token }).access_token
    } else {
        None
    };
    let bearer = require_access(&req, &state, body).await?;
    Ok(with_nonce(answer(&state, &bearer).await, bearer.dpop_nonce))
}

async fn answer(state: &AppState, bearer: &Bearer) -> Result<HttpResponse, ApiError> {
    Ok(match userinfo::answer(&state.ctx, bearer).await? {
        UserInfoAnswer::Plain(info) => json_no_store(StatusCode::OK, &info),
        UserInfoAnswer::Signed(jwt) => jwt_no_store("application/jwt", jwt),
    })
}
