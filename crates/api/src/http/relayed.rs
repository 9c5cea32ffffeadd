//! Answers of providers, while the rest of the request's body moves on: a provider may answer before it has read all of
//! it.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody, MessageBody as _, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use causeway_flow::upstream::relay::RelayAnswer;
use futures_util::Stream;
use tokio::select;

use crate::http::upload::Pump;

/// Waits for an answer, and feeds the request's body meanwhile.
pub(crate) async fn while_pumping<T>(
    pump: &mut Option<Pump>,
    mut asking: Pin<&mut impl Future<Output = T>>,
) -> T {
    loop {
        match pump {
            None => break asking.await,
            Some(pumping) => select! {
                answer = &mut asking => break answer,
                () = pumping => *pump = None,
            },
        }
    }
}

/// Renders an answer with these headers.
pub(crate) fn render(answer: RelayAnswer, headers: HeaderMap, pump: Option<Pump>) -> HttpResponse<BoxBody> {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
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
