//! Answers of providers, while the rest of the request's body moves on: a provider may answer before it has read all of
//! it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody, MessageBody as _, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use causeway_flow::Ctx;
use causeway_flow::upstream::relay::RelayAnswer;
use futures_util::stream;
use futures_util::{Stream, StreamExt as _};
use tokio::select;
use tokio::time::sleep;

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

/// How long an open stream of events may be silent: proxies close silent connections, and a caller who has left is noticed when
/// something is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A comment, which no reader takes for an event.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Renders an answer of server-sent events, which has no end of its own: it ends with the server, or when the caller leaves.
pub(crate) fn render_events(
    answer: RelayAnswer,
    mut headers: HeaderMap,
    pump: Option<Pump>,
    ctx: &Ctx,
) -> HttpResponse<BoxBody> {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let is_encoded = headers.contains_key(CONTENT_ENCODING);
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    let parts = Both { answer: Box::pin(answer.into_stream()), pump };
    let events = Events { parts, at_end: true, is_encoded, ctx: ctx.clone() };
    let parts = stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let part = events.next().await?;
        Some((part, Some(events)))
    });
    let mut response = HttpResponse::with_body(status, BodyStream::new(Box::pin(parts)).boxed());
    *response.headers_mut() = headers;
    response
}

struct Events<S> {
    parts: Both<S>,
    /// Whether the last event is complete: a comment in the middle of one would break it.
    at_end: bool,
    /// Whether the answer is compressed, so that nothing can be added.
    is_encoded: bool,
    ctx: Ctx,
}

impl<S: Stream<Item = Result<Bytes, E>>, E> Events<S> {
    /// The next part, or a comment when there is none for a while; `None`: the stream ends.
    async fn next(&mut self) -> Option<Result<Bytes, E>> {
        loop {
            let silence = sleep(KEEP_ALIVE);
            select! {
                biased;
                () = self.ctx.lifecycle().stopping() => return None,
                part = self.parts.next() => {
                    if let Some(Ok(part)) = &part {
                        self.at_end = part.ends_with(b"\n\n") || part.ends_with(b"\r\n\r\n") || part.ends_with(b"\r\r");
                    }
                    return part;
                }
                () = silence => if self.at_end && !self.is_encoded {
                    return Some(Ok(COMMENT));
                },
            }
        }
    }
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
