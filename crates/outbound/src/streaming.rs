//! Requests whose bodies may take as long as they keep moving: no total timeout, no cap.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method, Response};
use tokio::time::timeout;
use tracing::Instrument as _;
use url::Url;

use crate::http::{HttpClient, HttpError, explain, final_answer};
use crate::sent::{Sent, Shows};
use crate::xrpc::OpenBody;

/// A total timeout longer than any transfer takes.
const UNLIMITED: Duration = Duration::from_hours(7 * 24);

/// One request.
pub(crate) struct OpenCall<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<OpenBody>,
}

impl HttpClient {
    /// Sends a request and returns the response before its body, if it is a [`final_answer`]. Its connection
    /// lives with the runtime that this is called on. At most twice the idle timeout may pass between two
    /// parts of the request's body, and from its end to the response.
    pub(crate) async fn send_open(&self, call: OpenCall<'_>) -> Result<Response, HttpError> {
        self.check(call.url)?;
        let sent = Sent::begin(call.method.clone(), call.url, Shows::Address);
        let mut request =
            self.here()?.request(call.method, call.url.clone()).headers(call.headers).timeout(UNLIMITED);
        let moved = Arc::new(AtomicU64::new(0));
        match call.body {
            None => {}
            Some(OpenBody::Whole(bytes)) => request = request.body(bytes),
            Some(OpenBody::Stream(chunks)) => {
                let moved = Arc::clone(&moved);
                let chunks = chunks.inspect(move |_| {
                    moved.fetch_add(1, Ordering::Relaxed);
                });
                request = request.body(Body::wrap_stream(chunks));
            }
        }
        let mut sending = pin!(request.send().instrument(sent.span.clone()));
        let mut seen = 0;
        let outcome = loop {
            if let Ok(outcome) = timeout(self.idle_timeout(), &mut sending).await {
                break outcome.map_err(|error| explain(&error));
            }
            let now = moved.load(Ordering::Relaxed);
            if now == seen {
                break Err(HttpError::Timeout);
            }
            seen = now;
        };
        self.note_outcome(&sent, &outcome);
        final_answer(outcome?)
    }
}

/// The next part of a response body; an error when nothing comes for the idle timeout.
pub(crate) async fn next_chunk(response: &mut Response, idle: Duration) -> Result<Option<Bytes>, HttpError> {
    let chunk = timeout(idle, response.chunk()).await.map_err(|_| HttpError::Timeout)?;
    chunk.map_err(|error| explain(&error))
}
