//! Calls to a PDS with a session's token (atproto specification "HTTP API (XRPC)"), with streamed bodies in
//! both directions.

mod answer;
mod error;
mod refusal;
mod request;

use std::sync::{Arc, OnceLock};

use causeway_jose::{DpopClaims, dpop_proof};
use causeway_outbound::header::{CONTENT_LENGTH, DATE, HeaderValue};
use causeway_outbound::{HttpError, Response, StreamingBody, StreamingCall, read_short};
use causeway_types::Nsid;
use futures_util::StreamExt as _;

use self::answer::AnswerBody;
use self::refusal::{INVALID_TOKEN, refusal};
use self::request::headers;
use crate::authorization::nonce::USE_DPOP_NONCE;
use crate::client::AtprotoClient;

pub use self::answer::XrpcAnswer;
pub use self::error::XrpcError;
pub use self::request::{XrpcBody, XrpcMethod, XrpcRequest};

/// Seconds for which a nonce is assumed to be valid. Servers change theirs every minute or so and accept the
/// last ones, too.
const NONCE_SECONDS: i64 = 60;
/// Maximum size of a response that is not streamed, in bytes.
const SHORT: usize = 64 * 1024;
/// Answers of at most this many bytes are read before they are passed on: whole, in one packet, or not at all.
const SMALL: u64 = 16 * 1024;
/// A method that shows whether token and nonce are accepted; it needs no permission.
const PROBE: &str = "com.atproto.server.getSession";

impl AtprotoClient {
    /// Calls a method of a PDS. The request is retried once with another nonce, if its body can be sent
    /// again; a query whose connection broke is retried, too.
    ///
    /// A body that can be sent only once is held back until the server has shown that it accepts the token
    /// and a nonce that we know.
    ///
    /// # Errors
    /// [`XrpcError`]. An error response of the method itself is not an error here, whatever its status.
    #[tracing::instrument(
        name = "atproto.xrpc",
        skip_all,
        fields(nsid = %request.nsid, token = request.access_token.log_name())
    )]
    pub async fn xrpc(
        &self,
        request: &XrpcRequest<'_>,
        body: &mut XrpcBody,
    ) -> Result<XrpcAnswer, XrpcError> {
        if matches!(body, XrpcBody::Stream { .. })
            && !self.0.nonces.is_fresh(request.pds, self.0.clock.now(), NONCE_SECONDS)
        {
            self.probe(request).await?;
        }
        let nonce = self.0.nonces.get(request.pds);
        let first = match self.attempt_xrpc(request, nonce.as_deref(), body).await {
            // A connection that was kept open dies with its server. Reading twice does no harm.
            Err(XrpcError::Http(HttpError::Interrupted)) if request.method == XrpcMethod::Query => {
                self.attempt_xrpc(request, nonce.as_deref(), body).await?
            }
            outcome => outcome?,
        };
        let asked = match first {
            Tried::Answer(answer) => return Ok(answer),
            Tried::UseNonce(given) => given.filter(|given| Some(given) != nonce.as_ref()),
        };
        let Some(given) = asked else { return Err(XrpcError::InvalidProof(USE_DPOP_NONCE.to_owned())) };
        match self.attempt_xrpc(request, Some(&given), body).await? {
            Tried::Answer(answer) => Ok(answer),
            Tried::UseNonce(_) => Err(XrpcError::InvalidProof(USE_DPOP_NONCE.to_owned())),
        }
    }

    /// Presents the token and learns a nonce. The outcome of the method itself does not matter.
    async fn probe(&self, request: &XrpcRequest<'_>) -> Result<(), XrpcError> {
        let Ok(nsid) = Nsid::parse(PROBE) else { return Ok(()) };
        let probe =
            XrpcRequest { nsid: &nsid, method: XrpcMethod::Query, query: "", headers: &[], ..*request };
        Box::pin(self.xrpc(&probe, &mut XrpcBody::Empty)).await.map(drop)
    }

    /// One attempt: with its own `jti`, because servers accept one only once.
    async fn attempt_xrpc(
        &self,
        request: &XrpcRequest<'_>,
        nonce: Option<&str>,
        body: &mut XrpcBody,
    ) -> Result<Tried, XrpcError> {
        let mut url = request.pds.clone();
        url.set_path(&format!("/xrpc/{}", request.nsid));
        let method = request.method.http();
        let claims = DpopClaims {
            htm: method.as_str(),
            htu: url.as_str(),
            jti: &self.0.rng.base64url::<16>(),
            iat: self.0.clock.now(),
            nonce,
            access_token: Some(request.access_token),
        };
        let proof = dpop_proof(request.dpop, &claims)?;
        let mut headers = headers(request, &proof)?;
        url.set_query(Some(request.query).filter(|query| !query.is_empty()));
        let broken = Arc::new(OnceLock::new());
        let body = match body {
            XrpcBody::Empty => None,
            XrpcBody::Whole(bytes) => Some(StreamingBody::Whole(bytes.clone())),
            XrpcBody::Spent => return Err(XrpcError::BodySpent),
            XrpcBody::Stream { .. } => {
                let XrpcBody::Stream { length, chunks } = std::mem::replace(body, XrpcBody::Spent) else {
                    return Err(XrpcError::BodySpent);
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
        let call = StreamingCall { method, url: &url, headers, body };
        let response = match self.0.http.send_streaming(call).await {
            Ok(response) => response,
            Err(error) => return Err(broken.get().map_or(error.into(), |broken| (*broken).into())),
        };
        let given = self.0.nonces.store(request.pds, response.headers(), self.0.clock.now());
        self.read_answer(request, response, given).await
    }

    async fn read_answer(
        &self,
        request: &XrpcRequest<'_>,
        response: Response,
        given: Option<String>,
    ) -> Result<Tried, XrpcError> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (idle, documents) = (self.0.http.idle_timeout(), &self.0.http.budgets().documents);
        if status != 400 && status != 401 {
            let body = match response.content_length() {
                // A 304 announces the length of a body that it does not carry.
                Some(length) if length <= SMALL && status != 304 => {
                    AnswerBody::Whole(read_short(response, idle, SHORT, documents).await?)
                }
                _ => AnswerBody::Open(response, idle),
            };
            return Ok(Tried::Answer(XrpcAnswer { status, headers, body }));
        }
        // Errors about our credentials are for us, not for the caller.
        let body = read_short(response, idle, SHORT, documents).await?;
        match refusal(request, status, &headers, &body).as_deref() {
            Some(USE_DPOP_NONCE) => Ok(Tried::UseNonce(given)),
            Some(INVALID_TOKEN) => Err(XrpcError::InvalidToken),
            Some(other) => {
                let date = headers.get(DATE).and_then(|date| date.to_str().ok());
                let now = self.0.clock.now().as_secs();
                tracing::warn!(error = other, date, now, "the PDS does not accept our DPoP proof");
                Err(XrpcError::InvalidProof(other.chars().filter(|c| !c.is_control()).take(64).collect()))
            }
            None => {
                let body = AnswerBody::Whole(body);
                Ok(Tried::Answer(XrpcAnswer { status, headers, body }))
            }
        }
    }
}

/// Outcome of one attempt.
#[expect(clippy::large_enum_variant, reason = "short-lived, and mostly the large variant")]
enum Tried {
    Answer(XrpcAnswer),
    UseNonce(Option<String>),
}
