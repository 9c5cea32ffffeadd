//! `POST /graphql`: the repository of whoever's token it is.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::userinfo::require_access;
use crate::error::ApiError;
use crate::graphql;
use crate::http::form::{read_body_up_to, require_type};
use crate::http::headers::json_no_store;
use crate::http::proof::with_nonce;
use crate::state::AppState;

/// The largest body, in bytes: what a server takes as records fits in.
const MAX_BODY: usize = 2 * 1024 * 1024;

pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let bearer = require_access(&req, &state, None).await?;
    let nonce = bearer.dpop_nonce.clone();
    let outcome = async {
        require_type(&req, "application/json")?;
        let body = read_body_up_to(&req, payload, MAX_BODY).await?;
        let request = graphql::read(&body)?;
        let response = graphql::execute(&state.schema, state.ctx.clone(), bearer, request).await;
        Ok(json_no_store(StatusCode::OK, &response))
    };
    Ok(with_nonce(outcome.await, nonce))
}
