//! A GraphQL response as bytes (GraphQL specification section 7). The PDS's own text is passed on in the pieces that
//! it came in, and counts against the memory budget until it is sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use async_graphql::{Response, Value};
use causeway_outbound::budget::{Budget, Exhausted, Held};
use futures_util::Stream;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::http::headers::json_response;

/// Pieces of at least this many bytes are not copied.
const PIECE: usize = 512;
/// Bytes handed to the connection at once, which copies them.
const PART: usize = 32 * 1024;
/// How long sending a response may take: until it is sent, it occupies memory that others need.
const SENDING: Duration = Duration::from_mins(1);

/// A response under construction.
struct Answer<'a> {
    budget: &'a Budget,
    pieces: VecDeque<Bytes>,
    open: Held,
}

/// Renders the result of a request as a response.
///
/// # Errors
/// [`Exhausted`] when the memory budget is used up.
pub(super) fn render(response: &Response, budget: &Budget) -> Result<HttpResponse, Exhausted> {
    let mut answer = Answer { budget, pieces: VecDeque::new(), open: Held::new(budget, 1)? };
    answer.open.extend(b"{\"data\":")?;
    answer.value(&response.data)?;
    if !response.errors.is_empty() {
        answer.open.extend(b",\"errors\":")?;
        answer.json(&response.errors)?;
    }
    answer.open.extend(b"}")?;
    answer.close()?;
    let mut builder = json_response(StatusCode::OK);
    let mut pieces = answer.pieces;
    if pieces.len() == 1 {
        return Ok(builder.body(pieces.pop_front().unwrap_or_default()));
    }
    let length = pieces.iter().map(|piece| piece.len() as u64).sum();
    Ok(builder.body(SizedStream::new(length, Sending::new(pieces))))
}

impl Answer<'_> {
    fn value(&mut self, value: &Value) -> Result<(), Exhausted> {
        match value {
            Value::Binary(written) if written.len() < PIECE => self.open.extend(written),
            Value::Binary(written) => {
                self.close()?;
                self.pieces.push_back(written.clone());
                Ok(())
            }
            Value::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.open.extend(if n == 0 { b"[" } else { b"," })?;
                    self.value(item)?;
                }
                self.open.extend(if items.is_empty() { b"[]" } else { b"]" })
            }
            Value::Object(members) => {
                for (n, (name, member)) in members.iter().enumerate() {
                    self.open.extend(if n == 0 { b"{" } else { b"," })?;
                    self.json(name)?;
                    self.open.extend(b":")?;
                    self.value(member)?;
                }
                self.open.extend(if members.is_empty() { b"{}" } else { b"}" })
            }
            plain => self.json(plain),
        }
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), Exhausted> {
        // These are our own numbers, names and texts: all of them can be written as JSON.
        self.open.extend(&serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec()))
    }

    /// Closes the open text and adds it as a piece.
    fn close(&mut self) -> Result<(), Exhausted> {
        if !self.open.is_empty() {
            let open = std::mem::replace(&mut self.open, Held::new(self.budget, 1)?);
            self.pieces.push_back(open.freeze());
        }
        Ok(())
    }
}

/// The pieces being sent. After the deadline the rest is dropped, and the connection breaks.
struct Sending {
    left: Arc<Mutex<Option<VecDeque<Bytes>>>>,
    end: JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
#[error("the client did not read the response in time")]
struct NotTaken;

impl Sending {
    fn new(pieces: VecDeque<Bytes>) -> Self {
        let left = Arc::new(Mutex::new(Some(pieces)));
        let held = Arc::clone(&left);
        let end = tokio::spawn(async move {
            tokio::time::sleep(SENDING).await;
            held.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
        Self { left, end }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end.abort();
    }
}

impl Stream for Sending {
    type Item = Result<Bytes, NotTaken>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pieces) = &mut *left else { return Poll::Ready(Some(Err(NotTaken))) };
        let Some(mut piece) = pieces.pop_front() else { return Poll::Ready(None) };
        if piece.len() > PART {
            let part = piece.split_to(PART);
            pieces.push_front(piece);
            piece = part;
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use futures_util::StreamExt as _;

    use super::*;

    /// The text is the same as serde's, whole or in pieces, and counts against the budget until it is dropped.
    #[tokio::test]
    async fn the_same_json_in_pieces() {
        let budget = Budget::new(1024 * 1024);
        let text = serde_json::to_string(&"é\"\n".repeat(50_000)).unwrap();
        let data =
            serde_json::json!({"a": [1, -1.5, null, true, "q\"\u{1}", [], {}], "b": {"c": text}, "d": "x"});
        let mut value = Value::from_json(data.clone()).unwrap();
        let Value::Object(members) = &mut value else { panic!("{value}") };
        let mut held = Held::new(&budget, 1).unwrap();
        held.extend(text.as_bytes()).unwrap();
        members.insert(async_graphql::Name::new("b"), Value::Binary(held.freeze()));
        members.insert(async_graphql::Name::new("d"), Value::Binary(Bytes::from_static(b"[0]")));
        let response = render(&Response::new(value), &budget).unwrap();
        let body = to_bytes(response.into_body()).await.unwrap();
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let b: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(said, serde_json::json!({"data": {"a": data["a"], "b": b, "d": [0]}}));
        assert_eq!(budget.used(), 0);
        let short = render(&Response::new(Value::from(1)), &budget).unwrap();
        assert_eq!(&to_bytes(short.into_body()).await.unwrap()[..], b"{\"data\":1}");
    }

    /// A client that reads nothing does not occupy memory for long.
    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_goes() {
        let budget = Budget::new(1000);
        let mut held = Held::new(&budget, 1).unwrap().expecting(Some(1000));
        held.extend(&[b'1'; 1000]).unwrap();
        let mut sending = Sending::new([held.freeze()].into());
        tokio::task::yield_now().await;
        assert_eq!(budget.used(), 1000);
        tokio::time::sleep(SENDING).await;
        tokio::task::yield_now().await;
        assert_eq!(budget.used(), 0);
        assert!(sending.next().await.unwrap().is_err());
    }
}
