//! A request's body that is relayed: buffered when it is small, streamed when it is not.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, Payload};
use causeway_flow::upstream::relay::{RelayBody, UploadError};
use causeway_outbound::budget::Held;
use futures_util::StreamExt as _;
use futures_util::stream::{iter, unfold};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::http::request;

/// Maximum time between two parts of a body.
const IDLE: Duration = Duration::from_secs(30);
/// Parts that are queued between the two connections.
const WAITING: usize = 2;

/// Forwards the rest of a body. It has to be polled.
pub(crate) type Pump = Pin<Box<dyn Future<Output = ()>>>;

/// How much of a body is buffered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    /// The maximum size in bytes of a body that is buffered.
    pub(crate) bytes: usize,
    /// Whether a body within that size may be streamed when there is no memory to buffer it.
    pub(crate) or_stream: bool,
}

/// Buffers a body, or returns a longer one as a stream, which the [`Pump`] has to feed.
///
/// The payload cannot leave the thread of its connection, but the HTTP client takes only a body that can:
/// hence the two halves.
pub(crate) async fn read(
    req: &HttpRequest,
    mut payload: Payload,
    keeping: Keeping,
) -> Result<(RelayBody, Option<Pump>), UploadError> {
    let length = req.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_long = length.is_some_and(|length| length > keeping.bytes as u64);
    // Twice: what is parsed of it, to find the permission that it requires, may be as long.
    let mut begun = Held::new(&request::budget(), 2).map_err(|_| UploadError::NoRoom)?.expecting(length);
    let mut first = Bytes::new();
    while !is_long && begun.len() <= keeping.bytes {
        let Some(part) = next(&mut payload).await? else {
            return Ok((RelayBody::Whole(begun.freeze()), None));
        };
        if begun.extend(&part).is_err() {
            if !keeping.or_stream {
                return Err(UploadError::NoRoom);
            }
            first = part;
            break;
        }
    }
    let (sender, receiver) = mpsc::channel(WAITING);
    let begun = [begun.freeze(), first];
    let rest = unfold(Some(receiver), |receiver| async move {
        let mut receiver: mpsc::Receiver<Part> = receiver?;
        match receiver.recv().await {
            Some(Ok(Some(part))) => Some((Ok(part), Some(receiver))),
            Some(Ok(None)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            // The client has hung up: the part that was sent must not look complete.
            None => Some((Err(UploadError::Broken), None)),
        }
    });
    let chunks = iter(begun.map(Ok)).filter(|part| {
        let is_there = part.as_ref().is_ok_and(|part: &Bytes| !part.is_empty());
        async move { is_there }
    });
    let body = RelayBody::Stream { length, chunks: chunks.chain(rest).boxed() };
    Ok((body, Some(Box::pin(pump(payload, sender)))))
}

/// A part, the end, or why there is none.
type Part = Result<Option<Bytes>, UploadError>;

async fn pump(mut payload: Payload, sender: mpsc::Sender<Part>) {
    loop {
        let part = next(&mut payload).await;
        let goes_on = matches!(part, Ok(Some(_)));
        if sender.send(part).await.is_err() || !goes_on {
            return;
        }
    }
}

async fn next(payload: &mut Payload) -> Part {
    match timeout(IDLE, payload.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(part))) => Ok(Some(part)),
        Ok(Some(Err(_))) => Err(UploadError::Broken),
        Err(_) => Err(UploadError::Stalled),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::dev;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;

    use super::*;

    async fn begun(parts: Vec<Result<Bytes, PayloadError>>, kept: usize) -> (RelayBody, Option<Pump>) {
        let req = TestRequest::post().to_http_request();
        let stream = futures_util::stream::iter(parts).chain(futures_util::stream::pending());
        let mut stream: dev::Payload = dev::Payload::Stream { payload: Box::pin(stream) };
        let payload = Payload::from_request(&req, &mut stream).await.unwrap();
        read(&req, payload, Keeping { bytes: kept, or_stream: true }).await.unwrap()
    }

    async fn received(body: RelayBody) -> (Vec<u8>, Option<UploadError>) {
        let RelayBody::Stream { mut chunks, .. } = body else { panic!("{body:?}") };
        let mut whole = Vec::new();
        loop {
            match chunks.next().await {
                Some(Ok(part)) => whole.extend_from_slice(&part),
                Some(Err(error)) => return (whole, Some(error)),
                None => return (whole, None),
            }
        }
    }

    /// The client hangs up, and nothing feeds the body any more: it is incomplete.
    #[tokio::test]
    async fn a_body_that_nobody_feeds_is_broken() {
        let (body, pump) = begun(vec![Ok(Bytes::from_static(b"beginning"))], 4).await;
        drop(pump);
        assert_eq!(received(body).await, (b"beginning".to_vec(), Some(UploadError::Broken)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_breaks_or_stops() {
        let parts = || vec![Ok(Bytes::from_static(b"one")), Ok(Bytes::from_static(b"two"))];
        let (body, pump) = begun(parts(), 2).await;
        let (whole, ()) = tokio::join!(received(body), pump.unwrap());
        assert_eq!(whole, (b"onetwo".to_vec(), Some(UploadError::Stalled)));
        let mut broken = parts();
        broken.push(Err(PayloadError::EncodingCorrupted));
        let (body, pump) = begun(broken, 2).await;
        let (whole, ()) = tokio::join!(received(body), pump.unwrap());
        assert_eq!(whole, (b"onetwo".to_vec(), Some(UploadError::Broken)));
    }
}
