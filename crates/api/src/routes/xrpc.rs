//! `GET|POST /xrpc/{nsid}`: relays calls to the PDS, for holders of our access tokens.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use actix_web::body::{BodyStream, BoxBody, MessageBody as _, SizedStream};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::resource::access::Bearer;
use causeway_flow::upstream::relay::{self, RelayAnswer, RelayBody, RelayRequest, RelayTarget};
use causeway_types::{ErrorCode, Nsid, TokenType};
use futures_util::Stream;
use tokio::select;

use crate::error::ApiError;
use crate::http::access::require_access_to_call;
use crate::http::answer::with_nonce;
use crate::http::relay_headers;
use crate::http::upload::{self, Keeping, Pump};
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
    let headers = relay_headers::of_request(req.headers(), is_procedure)
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
    };
    let mut asking = pin!(relay::relay(&state.ctx, bearer, request));
    let answer = loop {
        match &mut pump {
            None => break asking.await,
            Some(pumping) => select! {
                answer = &mut asking => break answer,
                () = pumping => pump = None,
            },
        }
    };
    let scheme = TokenType::of(bearer.token.dpop_jkt.as_ref());
    Ok(render(answer.map_err(|error| ApiError::relay(error, scheme))?, pump))
}

/// Renders the answer while the rest of the request's body moves on: a PDS may answer before it has read
/// all of it.
fn render(answer: RelayAnswer, pump: Option<Pump>) -> HttpResponse<BoxBody> {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = relay_headers::of_answer(answer.headers());
    let length = answer.length();
    let body = match status {
        // A body that came with them is dropped: some readers would take it for the next answer.
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => ().boxed(),
        _ => {
            let parts = Both { answer: Box::pin(answer.into_stream()), pump };
            match length {
                Some(length) => SizedStream::new(length, parts).boxed(),
                None => BodyStream::new(parts).boxed(),
            }
        }
    };
    let mut response = HttpResponse::with_body(status, body);
    *response.headers_mut() = headers;
    response
}

struct Both<S> {
    answer: Pin<Box<S>>,
    pump: Option<Pump>,
}

impl<S: Stream<Item = Result<Bytes, E>>, E> Stream for Both<S> {
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(pump) = &mut self.pump
            && pump.as_mut().poll(cx).is_ready()
        {
            self.pump = None;
        }
        self.answer.as_mut().poll_next(cx)
    }
}
