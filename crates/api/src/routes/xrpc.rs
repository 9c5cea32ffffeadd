//! `GET|POST /xrpc/{nsid}`: relays calls to the PDS, for holders of our access tokens.

use std::pin::pin;

use actix_web::http::Method;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::resource::access::Bearer;
use causeway_flow::upstream::relay::{self, RelayBody, RelayRequest, RelayTarget, Repeats, Waits};
use causeway_types::{ErrorCode, Nsid, TokenType};

use crate::error::ApiError;
use crate::http::access::require_access_to_call;
use crate::http::answer::with_nonce;
use crate::http::upload::{self, Keeping};
use crate::http::{relay_headers, relayed};
use crate::state::AppState;

pub(crate) async fn call(
    req: HttpRequest,
    nsid: Path<String>,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    pass_on(&req, &nsid, &state, payload).await.map_err(ApiError::in_xrpc)
}

async fn pass_on(
    req: &HttpRequest,
    nsid: &str,
    state: &AppState,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let nsid = Nsid::parse(nsid).map_err(|error| ApiError::bad_request(ErrorCode::InvalidRequest, &error))?;
    let bearer = require_access_to_call(req, state).await?;
    let outcome = ask(req, nsid, state, payload, &bearer).await.map_err(ApiError::in_xrpc);
    Ok(with_nonce(outcome, bearer.dpop_nonce))
}

async fn ask(
    req: &HttpRequest,
    nsid: Nsid,
    state: &AppState,
    payload: Payload,
    bearer: &Bearer,
) -> Result<HttpResponse, ApiError> {
    let is_procedure = req.method() == Method::POST;
    let headers = relay_headers::of_request(&relay_headers::XRPC, &[], req.headers(), is_procedure)
        .map_err(|error| ApiError::bad_request(ErrorCode::InvalidRequest, &error))?;
    let (body, mut pump) = if is_procedure {
        let keeping = Keeping { bytes: relay::kept_bytes(&nsid), or_stream: !relay::may_be_read(&nsid) };
        upload::read(req, payload, keeping).await?
    } else {
        (RelayBody::Empty, None)
    };
    let request = RelayRequest {
        method: if is_procedure { relay::Method::POST } else { relay::Method::GET },
        target: RelayTarget::Xrpc(nsid),
        query: req.query_string().to_owned(),
        headers,
        body,
        repeats: Repeats::Any,
        waits: Waits::Usual,
    };
    let answer = relayed::while_pumping(&mut pump, pin!(relay::relay(&state.ctx, bearer, request))).await;
    let scheme = TokenType::of(bearer.token.dpop_jkt.as_ref());
    let answer = answer.map_err(|error| ApiError::relay(error, scheme))?;
    let headers = relay_headers::of_answer(&relay_headers::XRPC, &[], answer.headers());
    Ok(relayed::render(answer, headers, pump))
}
