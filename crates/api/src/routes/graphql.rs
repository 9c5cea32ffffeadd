//! `POST /graphql`: the repository of the access token's user.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use async_graphql::Request;
use causeway_outbound::budget::Held;

use crate::error::ApiError;
use crate::graphql;
use crate::http::access::require_access;
use crate::http::answer::with_nonce;
use crate::http::form::{read_body_up_to, require_type};
use crate::http::request;
use crate::state::AppState;

/// The largest body, in bytes: large enough for the records that a PDS accepts.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// Bytes above which a body is parsed off the thread that also serves other requests.
const LONG: usize = 32 * 1024;

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
        let request = parse(&state, body).await?;
        Ok(graphql::execute(&state.schema, state.ctx.clone(), bearer, request).await)
    };
    Ok(with_nonce(outcome.await, nonce))
}

/// Parses a body; a long one where it does not block other requests.
async fn parse(state: &AppState, mut body: Held) -> Result<Request, ApiError> {
    let is_long = body.len() > LONG;
    let parse = move || (graphql::read(&mut body), body.into_share());
    let (request, share) = if is_long { state.ctx.parse(parse).await? } else { parse() };
    request::hold(share);
    request
}
