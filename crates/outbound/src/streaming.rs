//! Requests whose bodies may take as long as they keep moving: no total timeout, no cap.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method, Response};
use tokio::time::timeout;
use tracing::Instrument as _;
use url::Url;

use crate::answer::{final_answer, is_redirect};
use crate::client::HttpClient;
use crate::error::HttpError;
use crate::sent::{Sent, Shows};

/// A total timeout longer than any transfer takes.
const UNLIMITED: Duration = Duration::from_hours(7 * 24);

/// One request.
pub struct StreamingCall<'a> {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: &'a Url,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<StreamingBody>,
    /// Whether a redirect is an answer for the caller. It is not followed in any case.
    pub passes_redirects: bool,
    /// How much of the address the log shows.
    pub shows: Shows,
    /// How long the beginning of the answer is waited for; `None`: for the idle timeout.
    pub answer_timeout: Option<Duration>,
}

/// The body of one request.
pub enum StreamingBody {
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Stream(BoxStream<'static, Result<Bytes, UploadError>>),
}

/// Why a request body did not arrive whole from our caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The body was cut short.
    #[error("the body did not arrive completely")]
    Broken,
    /// Nothing arrived for too long.
    #[error("the body stopped arriving")]
    Stalled,
    /// The memory budget is used up.
    #[error("there is not enough memory for the body at the moment: try again in a moment")]
    NoRoom,
}

impl HttpClient {
    /// Sends a request and returns the response before its body, if it is one for the caller and no word about
    /// the connection. Its connection lives with the runtime that this is called on. At most twice the idle
    /// timeout may pass between two parts of the request's body, and from its end to the response, unless the call has a
    /// timeout of its own for that.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn send_streaming(&self, call: StreamingCall<'_>) -> Result<Response, HttpError> {
        self.check(call.url)?;
        let sent = Sent::begin(call.method.clone(), call.url, call.shows);
        let mut request =
            self.here()?.request(call.method, call.url.clone()).headers(call.headers).timeout(UNLIMITED);
        let moved = Arc::new(AtomicU64::new(0));
        match call.body {
            None => {}
            Some(StreamingBody::Whole(bytes)) => request = request.body(bytes),
            Some(StreamingBody::Stream(chunks)) => {
                let moved = Arc::clone(&moved);
                let chunks = chunks.inspect(move |_| {
                    moved.fetch_add(1, Ordering::Relaxed);
                });
                request = request.body(Body::wrap_stream(chunks));
            }
        }
        let mut sending = pin!(request.send().instrument(sent.span.clone()));
        let mut seen = 0;
        let step = call.answer_timeout.unwrap_or(self.idle_timeout());
        let outcome = loop {
            if let Ok(outcome) = timeout(step, &mut sending).await {
                break outcome.map_err(|error| HttpError::of(&error));
            }
            let now = moved.load(Ordering::Relaxed);
            if now == seen {
                break Err(HttpError::Timeout);
            }
            seen = now;
        };
        self.note_outcome(&sent, &outcome);
        let response = outcome?;
        if call.passes_redirects && is_redirect(&response) {
            return Ok(response);
        }
        final_answer(response)
    }
}

/// The next part of a response body; an error when nothing comes for the idle timeout.
///
/// # Errors
/// [`HttpError::Timeout`] and [`HttpError::Interrupted`].
pub async fn next_chunk(response: &mut Response, idle: Duration) -> Result<Option<Bytes>, HttpError> {
    let chunk = timeout(idle, response.chunk()).await.map_err(|_| HttpError::Timeout)?;
    chunk.map_err(|error| HttpError::of(&error))
}
