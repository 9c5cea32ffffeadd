//! Answers, read whole or passed on as they come.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use causeway_outbound::budget::{Budget, Held};
use causeway_outbound::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, LAST_MODIFIED,
};
use causeway_outbound::{HttpError, Response, next_chunk, read_short};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _, unfold};

use crate::upstream::usable::UsableSession;

/// An answer, whatever its status: before its body.
pub struct RelayAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: AnswerBody,
    /// The session that it was made with, if an answer has changed it since.
    pub(super) changed: Option<Box<UsableSession>>,
}

/// Whether headers announce a body of a media type, whatever its parameters.
pub(super) fn is_of_type(headers: &HeaderMap, essence: &str) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(essence)
}

pub(super) enum AnswerBody {
    /// As it comes.
    Open(Response, Duration),
    /// Its beginning, which was read, and the rest as it comes.
    Begun(Bytes, Response, Duration),
    /// All of it.
    Whole(Bytes),
    /// As it comes, changed on its way.
    Mapped(BoxStream<'static, Result<Bytes, HttpError>>),
}

/// Reads a body of at most `cap` bytes. One that is longer, or that there is no room for, is only begun.
pub(super) async fn read_if_short(
    mut response: Response,
    idle: Duration,
    cap: usize,
    budget: &Budget,
) -> Result<AnswerBody, HttpError> {
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Ok(AnswerBody::Open(response, idle));
    }
    let Ok(mut body) = Held::new(budget, 2) else { return Ok(AnswerBody::Open(response, idle)) };
    while let Some(part) = next_chunk(&mut response, idle).await? {
        if body.len() + part.len() > cap || body.extend(&part).is_err() {
            let begun = [&*body, &*part].concat();
            return Ok(AnswerBody::Begun(begun.into(), response, idle));
        }
    }
    Ok(AnswerBody::Whole(body.freeze()))
}

impl fmt::Debug for RelayAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl RelayAnswer {
    /// The status code.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// All headers, in no particular order; the names are in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// The same as they came.
    pub(crate) const fn header_map(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header's value, when it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether its body is of a media type, whatever its parameters.
    pub fn is_of_type(&self, essence: &str) -> bool {
        is_of_type(&self.headers, essence)
    }

    /// The length of the body in bytes, when it was announced.
    pub fn length(&self) -> Option<u64> {
        match &self.body {
            AnswerBody::Whole(body) => u64::try_from(body.len()).ok(),
            AnswerBody::Open(..) | AnswerBody::Begun(..) => self.header("content-length")?.parse().ok(),
            AnswerBody::Mapped(_) => None,
        }
    }

    /// Reads the whole body, at most `cap` bytes, within a budget.
    ///
    /// # Errors
    /// [`HttpError`]; [`HttpError::NotJson`] for one that is encoded in a way that we did not ask for.
    pub async fn read(self, cap: usize, budget: &Budget) -> Result<Bytes, HttpError> {
        if self
            .header(CONTENT_ENCODING.as_str())
            .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            return Err(HttpError::NotJson);
        }
        match self.body {
            AnswerBody::Whole(body) if body.len() <= cap => Ok(body),
            // A stream that is changed on its way has no end.
            AnswerBody::Whole(_) | AnswerBody::Mapped(_) => Err(HttpError::TooLarge),
            AnswerBody::Open(response, idle) => read_short(response, idle, cap, budget).await,
            AnswerBody::Begun(begun, response, idle) => {
                let rest = read_short(response, idle, cap.saturating_sub(begun.len()), budget).await?;
                Ok([begun, rest].concat().into())
            }
        }
    }

    /// The same answer with its body changed on its way.
    #[must_use]
    pub(crate) fn map_stream(
        mut self,
        map: impl FnOnce(
            BoxStream<'static, Result<Bytes, HttpError>>,
        ) -> BoxStream<'static, Result<Bytes, HttpError>>,
    ) -> Self {
        for name in [CONTENT_LENGTH, ETAG, LAST_MODIFIED] {
            self.headers.remove(name);
        }
        let headers = self.headers.clone();
        let status = self.status;
        let body = AnswerBody::Mapped(map(self.into_stream().boxed()));
        Self { status, headers, body, changed: None }
    }

    /// A copy of this response with another body.
    #[must_use]
    pub fn with_body(&self, body: Bytes) -> Self {
        let mut headers = self.headers.clone();
        // These describe the original body.
        for name in [CONTENT_ENCODING, CONTENT_LENGTH, ETAG, LAST_MODIFIED] {
            headers.remove(name);
        }
        Self { status: self.status, headers, body: AnswerBody::Whole(body), changed: None }
    }

    /// The body's parts. It ends with an error when nothing came for the idle time, or the connection broke.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static {
        match self.body {
            AnswerBody::Whole(body) => stream::iter([Ok(body)]).boxed(),
            AnswerBody::Open(response, idle) => parts(response, idle).boxed(),
            AnswerBody::Begun(begun, response, idle) => {
                stream::iter([Ok(begun)]).chain(parts(response, idle)).boxed()
            }
            AnswerBody::Mapped(parts) => parts,
        }
    }
}

fn parts(
    response: Response,
    idle: Duration,
) -> impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static {
    unfold(Some(response), move |response| async move {
        let mut response = response?;
        match next_chunk(&mut response, idle).await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(response))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}
