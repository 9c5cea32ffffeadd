//! `GET|POST /oauth/userinfo` (OpenID Connect Core section 5.3).

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::Ctx;
use causeway_flow::resource::access::{self, AccessError, AccessRequest, Bearer};
use causeway_flow::resource::userinfo::{self, UserInfoAnswer};

use crate::bodies::forms::TokenInBody;
use crate::error::ApiError;
use crate::http::answer::with_nonce;
use crate::http::credentials::{Presented, access_token};
use crate::http::form::{Params, take_fields};
use crate::http::headers::{json_no_store, jwt_no_store};
use crate::http::proof::Proofs;
use crate::state::AppState;

/// Checks the access token of a request, and the proof that it may need.
pub(crate) async fn require_access(
    req: &HttpRequest,
    state: &AppState,
    body: Option<String>,
) -> Result<Bearer, ApiError> {
    check_access(req, state, body, access::verify).await
}

/// The same for a request that is relayed to the PDS.
pub(crate) async fn require_access_to_call(req: &HttpRequest, state: &AppState) -> Result<Bearer, ApiError> {
    check_access(req, state, None, access::verify_to_call).await
}

async fn check_access(
    req: &HttpRequest,
    state: &AppState,
    body: Option<String>,
    verify: impl AsyncFnOnce(&Ctx, &AccessRequest<'_>) -> Result<Bearer, AccessError>,
) -> Result<Bearer, ApiError> {
    let (scheme, token) = match access_token(req, body) {
        Presented::Nothing => return Err(ApiError::no_token()),
        Presented::Malformed(problem) => return Err(ApiError::malformed_token(problem)),
        Presented::Token(scheme, token) => (scheme, token),
    };
    let proofs = Proofs::of(req, state.ctx.issuer());
    let request = AccessRequest { token, scheme, proof: proofs.request() };
    verify(&state.ctx, &request).await.map_err(|error| ApiError::access(&error, scheme))
}

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
