//! Client authentication of requests: at the token endpoint and wherever clients authenticate the same way.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::client::authenticated::{self, AuthenticatedClient};
use causeway_types::ErrorCode;

use super::answer::with_nonce;
use super::credentials::client_credentials;
use super::form::{Params, take_fields};
use super::proof::Proofs;
use crate::bodies::forms::TokenQuestion;
use crate::error::ApiError;
use crate::state::AppState;

/// Authenticates the client of a request and checks its DPoP proof, before anything else of it is evaluated.
pub(crate) async fn identify(
    req: &HttpRequest,
    state: &AppState,
    params: &mut Params,
) -> Result<AuthenticatedClient, ApiError> {
    let credentials = client_credentials(req, params)?;
    authenticated::identify(&state.ctx, &credentials, &Proofs::of(req, state.ctx.issuer()).request())
        .await
        .map_err(ApiError::request_auth)
}

/// Answers a form that a client posts: authenticates the client, runs `grant`, and adds the nonce for its
/// next proof to the answer, successful or not (RFC 9449 section 8.2).
pub(crate) async fn answer_form(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
    grant: impl AsyncFnOnce(&AppState, &AuthenticatedClient, Params) -> Result<HttpResponse, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let mut params = Params::of_body(req, payload).await?;
    let authenticated = identify(req, state, &mut params).await?;
    let outcome = grant(state, &authenticated, params).await;
    Ok(with_nonce(outcome, authenticated.dpop_nonce))
}

/// Takes the token that a client revokes or asks about (RFC 7009 section 2.1, RFC 7662 section 2.1).
pub(crate) fn take_token(params: &mut Params) -> Result<String, ApiError> {
    let missing = || ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, "token is missing");
    take_fields!(params => TokenQuestion { token, token_type_hint }).token.ok_or_else(missing)
}
