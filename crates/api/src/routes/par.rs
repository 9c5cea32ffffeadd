//! `POST /oauth/par` (RFC 9126, RFC 9449 section 10.1).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::authorization::par;
use causeway_flow::client::authenticated::AuthenticatedClient;

use super::authorize::authorize_params;
use crate::bodies::oauth::PushedAnswer;
use crate::error::ApiError;
use crate::http::client_auth;
use crate::http::form::Params;
use crate::http::headers::json_no_store;
use crate::state::AppState;

pub(crate) async fn par(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    client_auth::answer_form(&req, &state, payload, push).await
}

async fn push(
    state: &AppState,
    authenticated: &AuthenticatedClient,
    mut params: Params,
) -> Result<HttpResponse, ApiError> {
    let pushed = par::push(&state.ctx, authenticated, authorize_params(&mut params)).await?;
    let answer = PushedAnswer { request_uri: pushed.request_uri.as_str(), expires_in: pushed.expires_in };
    Ok(json_no_store(StatusCode::CREATED, &answer))
}
