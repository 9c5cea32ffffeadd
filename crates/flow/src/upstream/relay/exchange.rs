//! One call, in as many attempts as its credentials need.

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use causeway_outbound::header::{ACCEPT, CONTENT_LENGTH, HeaderMap, HeaderValue};
use causeway_outbound::{
    HttpClient, HttpError, Method, Response, Shows, StreamingBody, StreamingCall, read_short,
};
use futures_util::StreamExt as _;

use super::answer::{AnswerBody, RelayAnswer, is_of_type, read_if_short};
use super::error::CallError;
use super::request::{RelayBody, RelayRequest, RelayTarget};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::upstream::keeper;
use crate::upstream::relay::connection::CalledConnection;
use crate::upstream::traits::{Answer, Injected, Upstream, Verdict, Verified};
use crate::upstream::usable::UsableSession;

/// Maximum size of a response that is not streamed, in bytes.
const SHORT: usize = 64 * 1024;
/// Answers of at most this many bytes are read before they are passed on: whole, in one packet, or not at all.
const SMALL: u64 = 16 * 1024;
/// Redirects that are followed in one call.
const REDIRECTS: usize = 3;
/// Headers that are added to those of the caller.
const ADDED: usize = 4;

/// A provider, and the session that it is called with.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    /// Where what answers change of the session is stored; `None`: they change nothing.
    pub(super) ctx: Option<&'a Ctx>,
    pub(super) http: &'a HttpClient,
    pub(super) upstream: &'a dyn Upstream,
    pub(super) live: &'a UsableSession,
    /// The connection, if the session is one.
    pub(super) connection: Option<&'a CalledConnection>,
}

/// Outcome of one attempt.
#[expect(clippy::large_enum_variant, reason = "short-lived, and mostly the large variant")]
enum Attempted {
    Answer(RelayAnswer),
    /// The credentials have to be presented in another way.
    Challenged {
        error: &'static str,
        value: Option<String>,
    },
}

impl Exchange<'_> {
    /// Sends a request. It is sent once more when the provider wants its credentials presented in another way, if its
    /// body can be sent again; and so is a request without effect whose connection broke.
    ///
    /// A body that can be sent only once is held back until the provider has shown that it accepts the credentials, if
    /// they may not be good.
    ///
    /// # Errors
    /// [`CallError`]. An error response that is for the caller is not an error here, whatever its status.
    #[tracing::instrument(
        name = "flow.relay.exchange",
        skip_all,
        fields(
            nsid = request.nsid().ok().map(tracing::field::display),
            token = self.live.credentials.access.secret().log_name(),
        )
    )]
    pub(super) async fn send(self, request: &mut RelayRequest) -> Result<RelayAnswer, CallError> {
        if matches!(request.body, RelayBody::Stream { .. })
            && let Some(mut probe) = self.upstream.probe(self.live)?
        {
            // Its outcome does not matter otherwise.
            Box::pin(self.attempts(&mut probe)).await?;
        }
        let mut answer = self.attempts(request).await?;
        for _ in 0..REDIRECTS {
            let Some(target) = self.redirected(request, &answer) else { break };
            request.target = target;
            let changed = answer.changed.take();
            let live = changed.as_deref().unwrap_or(self.live);
            let mut next = Box::pin(Exchange { live, ..self }.attempts(request)).await?;
            next.changed = next.changed.or(changed);
            answer = next;
        }
        self.upstream.strip_headers(&mut answer.headers);
        Ok(answer)
    }

    /// The target of a redirect that is followed: of a read, where the provider has more addresses that may be called.
    fn redirected(self, request: &RelayRequest, answer: &RelayAnswer) -> Option<RelayTarget> {
        let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
        if request.method != Method::GET || !is_redirect {
            return None;
        }
        let url = &request.checked().ok()?.url;
        self.upstream
            .follow(request, Answer { url, status: answer.status, headers: &answer.headers, body: None })
    }

    async fn attempts(self, request: &mut RelayRequest) -> Result<RelayAnswer, CallError> {
        let first = match self.attempt(request, None).await {
            // A connection that was kept open dies with its server. Reading twice does no harm.
            Err(CallError::Http(HttpError::Interrupted)) if request.method.is_safe() => {
                self.attempt(request, None).await?
            }
            outcome => outcome?,
        };
        let (error, value) = match first {
            Attempted::Answer(answer) => return Ok(answer),
            Attempted::Challenged { error, value } => (error, value),
        };
        let refused = |error: &str| CallError::Refused(error.to_owned());
        let value = value.ok_or_else(|| refused(error))?;
        match self.attempt(request, Some(&value)).await? {
            Attempted::Answer(answer) => Ok(answer),
            Attempted::Challenged { error, .. } => Err(refused(error)),
        }
    }

    async fn attempt(
        self,
        request: &mut RelayRequest,
        challenge: Option<&str>,
    ) -> Result<Attempted, CallError> {
        let mut headers = headers(request)?;
        let injected = self.upstream.inject(self.live, request, challenge, &mut headers)?;
        let broken = Arc::new(OnceLock::new());
        let body = match &mut request.body {
            RelayBody::Empty => None,
            RelayBody::Whole(bytes) => Some(StreamingBody::Whole(bytes.clone())),
            RelayBody::Spent => return Err(CallError::BodySpent),
            body @ RelayBody::Stream { .. } => {
                let RelayBody::Stream { length, chunks } = std::mem::replace(body, RelayBody::Spent) else {
                    return Err(CallError::BodySpent);
                };
                if let Some(length) = length {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                }
                let note = Arc::clone(&broken);
                let chunks = chunks.inspect(move |chunk| {
                    if let Err(error) = chunk {
                        // Only the first one counts, and there is no second.
                        let _ = note.set(*error);
                    }
                });
                Some(StreamingBody::Stream(chunks.boxed()))
            }
        };
        let body = injected.body.clone().map(StreamingBody::Whole).or(body);
        let call = StreamingCall {
            method: request.method.clone(),
            url: &injected.url,
            headers,
            body,
            passes_redirects: injected.may_redirect,
            shows: if injected.shows_path { Shows::Address } else { Shows::Host },
            answer_timeout: request.waits.answer_timeout(),
        };
        match self.http.send_streaming(call).await {
            Ok(response) => self.evaluate(request, response, injected).await,
            Err(error) => Err(broken.get().map_or(error.into(), |broken| (*broken).into())),
        }
    }

    /// Sorts an answer: for the caller, whose body is passed on as it comes, or about the credentials that were
    /// injected. The request is borrowed as a whole, since threads may not share a body that streams.
    async fn evaluate(
        self,
        request: &mut RelayRequest,
        response: Response,
        Injected { url, challenge, .. }: Injected,
    ) -> Result<Attempted, CallError> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_events = is_of_type(&headers, "text/event-stream");
        let idle = request.waits.idle_timeout(is_events, self.http.idle_timeout());
        let answers = &self.http.budgets().answers.of(trace::origin().1);
        let answer = Answer { url: &url, status, headers: &headers, body: None };
        let changed = match (self.ctx, self.upstream.absorb(self.live, &url, &headers)) {
            (Some(ctx), Some(update)) => Box::pin(keeper::absorb(ctx, self.live, update)).await.map(Box::new),
            _ => None,
        };
        let mut verdict = self.upstream.examine(request, answer);
        let body = match verdict {
            Verdict::ReadBody => {
                let body = read_short(response, idle, SHORT, answers).await?;
                verdict = self.upstream.examine(request, Answer { body: Some(&body), ..answer });
                AnswerBody::Whole(body)
            }
            Verdict::ReadShortBody => {
                let body = read_if_short(response, idle, SHORT, answers).await?;
                let whole: &[u8] = if let AnswerBody::Whole(whole) = &body { whole } else { b"" };
                verdict = self.upstream.examine(request, Answer { body: Some(whole), ..answer });
                body
            }
            Verdict::Pass => match response.content_length() {
                // A 304 and an answer to HEAD announce the length of a body that they do not carry.
                Some(length) if length <= SMALL && status != 304 && request.method != Method::HEAD => {
                    AnswerBody::Whole(read_short(response, idle, SHORT, answers).await?)
                }
                _ => AnswerBody::Open(response, idle),
            },
            _ => AnswerBody::Open(response, idle),
        };
        if verdict == Verdict::MaybeRefused {
            verdict =
                if Box::pin(self.is_refused()).await? { Verdict::CredentialsRefused } else { Verdict::Pass };
        }
        match verdict {
            Verdict::Pass | Verdict::ReadBody | Verdict::ReadShortBody => {
                Ok(Attempted::Answer(RelayAnswer { status, headers, body, changed }))
            }
            Verdict::Challenge { error, value } => {
                // They were presented for this one already.
                let value = value.filter(|value| challenge.as_ref() != Some(value));
                Ok(Attempted::Challenged { error, value })
            }
            Verdict::CredentialsRefused | Verdict::MaybeRefused => Err(CallError::CredentialsRefused),
            Verdict::Refused(error) => Err(CallError::Refused(error)),
            Verdict::ActionRequired => Err(CallError::ActionRequired),
            Verdict::Wait { whole_app, retry_after } => Err(CallError::Wait { whole_app, retry_after }),
        }
    }
}

impl Exchange<'_> {
    /// Asks whether the provider refuses the credentials themselves. Without a clear word from it they stay.
    async fn is_refused(self) -> Result<bool, Internal> {
        let Some(connection) = self.connection else { return Ok(true) };
        Ok(self.upstream.verify(self.live, connection).await? == Verified::Refused)
    }
}

/// The headers of one attempt, without the credentials.
fn headers(request: &RelayRequest) -> Result<HeaderMap, CallError> {
    let unfit = |_| HttpError::Blocked("a header holds characters that are not allowed in headers");
    let mut headers = HeaderMap::with_capacity(request.headers.len() + ADDED);
    for (name, value) in &request.headers {
        headers.append(name, HeaderValue::from_bytes(value).map_err(unfit)?);
    }
    // The HTTP library would add one.
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    Ok(headers)
}
