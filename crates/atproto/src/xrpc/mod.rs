//! Calls to a PDS with a session's token (atproto specification "HTTP API (XRPC)"), with streamed bodies in
//! both directions.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use causeway_domain::{JsonObject, Nsid, Secret};
use causeway_jose::{DpopClaims, EcKey, JoseError, dpop_proof};
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use futures_util::{Stream, stream};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, DATE, ETAG, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED,
};
use reqwest::{Method, Response};
use serde::Deserialize;
use url::Url;

use crate::body::read_short;
use crate::budget::Budget;
use crate::challenge;
use crate::client::AtprotoClient;
use crate::http::{HttpError, is_json};
use crate::oauth::{DPOP, USE_DPOP_NONCE};
use crate::open::{OpenCall, next_chunk};

/// The two kinds of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XrpcMethod {
    /// GET.
    Query,
    /// POST.
    Procedure,
}

impl XrpcMethod {
    const fn http(self) -> Method {
        match self {
            Self::Query => Method::GET,
            Self::Procedure => Method::POST,
        }
    }
}

/// A call, apart from its body.
#[derive(Clone, Copy, Debug)]
pub struct XrpcRequest<'a> {
    /// The origin of the PDS.
    pub pds: &'a Url,
    /// Query or procedure.
    pub method: XrpcMethod,
    /// The method.
    pub nsid: &'a Nsid,
    /// The query, without the question mark, as it was sent to us.
    pub query: &'a str,
    /// Further headers. None of them may be about the connection, the sender or the body's length.
    pub headers: &'a [(&'static str, Vec<u8>)],
    /// The session's access token.
    pub access_token: &'a Secret,
    /// The session's DPoP key.
    pub dpop: &'a EcKey,
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

/// A request's body.
pub enum XrpcBody {
    /// None.
    Empty,
    /// All of it: it can be sent again.
    Whole(Bytes),
    /// As it comes: it can be sent once. Afterwards it is [`XrpcBody::Spent`].
    Stream {
        /// Its length in bytes, when it is known beforehand.
        length: Option<u64>,
        /// Its parts.
        chunks: BoxStream<'static, Result<Bytes, UploadError>>,
    },
    /// A stream that has been sent.
    Spent,
}

impl fmt::Debug for XrpcBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Whole(_) => "Whole",
            Self::Stream { .. } => "Stream",
            Self::Spent => "Spent",
        })
    }
}

/// Why a call brought no response for its caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XrpcError {
    /// No answer, or one that is not XRPC.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server does not take the access token (RFC 6750 section 3.1, `invalid_token`).
    #[error("the PDS does not accept the access token")]
    InvalidToken,
    /// The server does not take our proofs: with the newest nonce it still asks for another one, or finds
    /// something else wrong with them. Often its clock differs from ours.
    #[error("the PDS does not accept the DPoP proof: {0}")]
    InvalidProof(String),
    /// Another nonce or token would have worked, but the body was already sent and cannot be sent again.
    #[error("the body was sent and cannot be sent again")]
    BodySpent,
    /// The body did not arrive whole here.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// We could not sign the request. Nothing was sent.
    #[error("the request could not be signed: {0}")]
    Sign(#[from] JoseError),
}

/// An answer, whatever its status: before its body.
pub struct XrpcAnswer {
    status: u16,
    headers: HeaderMap,
    body: AnswerBody,
}

enum AnswerBody {
    Open(Response, Duration),
    Whole(Bytes),
}

impl fmt::Debug for XrpcAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XrpcAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl XrpcAnswer {
    /// The status code.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// All headers, in no particular order; the names are in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// A header's value, when it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length of the body in bytes, when it was announced.
    pub fn length(&self) -> Option<u64> {
        match &self.body {
            AnswerBody::Whole(body) => u64::try_from(body.len()).ok(),
            AnswerBody::Open(..) => self.header("content-length")?.parse().ok(),
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
            AnswerBody::Whole(_) => Err(HttpError::TooLarge),
            AnswerBody::Open(response, idle) => read_short(response, idle, cap, budget).await,
        }
    }

    /// A copy of this response with another body.
    #[must_use]
    pub fn with_body(&self, body: Bytes) -> Self {
        let mut headers = self.headers.clone();
        // These describe the original body.
        for name in [CONTENT_ENCODING, CONTENT_LENGTH, ETAG, LAST_MODIFIED] {
            headers.remove(name);
        }
        Self { status: self.status, headers, body: AnswerBody::Whole(body) }
    }

    /// The body's parts. It ends with an error when nothing came for the idle time, or the connection broke.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static {
        match self.body {
            AnswerBody::Whole(body) => stream::iter([Ok(body)]).boxed(),
            AnswerBody::Open(response, idle) => unfold(Some(response), move |response| async move {
                let mut response = response?;
                match next_chunk(&mut response, idle).await {
                    Ok(Some(chunk)) => Some((Ok(chunk), Some(response))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            })
            .boxed(),
        }
    }
}

/// Seconds for which a nonce is assumed to be valid. Servers change theirs every minute or so and accept the
/// last ones, too.
const NONCE_SECONDS: i64 = 60;
/// Maximum size of a response that is not streamed, in bytes.
const SHORT: usize = 64 * 1024;
/// Answers of at most this many bytes are read before they are passed on: whole, in one packet, or not at all.
const SMALL: u64 = 16 * 1024;
/// Names another service that the PDS is to call (AT Protocol XRPC, "Service Proxying").
const PROXY: &str = "atproto-proxy";
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
    /// [`XrpcError`]. An error response of the method itself is no error here, whatever its status.
    #[tracing::instrument(
        name = "atproto.xrpc",
        skip_all,
        fields(nsid = %request.nsid, token = request.access_token.fingerprint())
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
            XrpcBody::Whole(bytes) => Some(OpenBody::Whole(bytes.clone())),
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
                Some(OpenBody::Stream(chunks.boxed()))
            }
        };
        let call = OpenCall { method, url: &url, headers, body };
        let response = match self.0.http.send_open(call).await {
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

/// The body of one attempt.
pub(crate) enum OpenBody {
    Whole(Bytes),
    Stream(BoxStream<'static, Result<Bytes, UploadError>>),
}

fn headers(request: &XrpcRequest<'_>, proof: &str) -> Result<HeaderMap, XrpcError> {
    let unfit =
        |_| XrpcError::Http(HttpError::Blocked("a header holds characters that are not allowed in headers"));
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 4);
    for (name, value) in request.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).map_err(unfit)?);
    }
    // The HTTP library would add one.
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    let mut token =
        HeaderValue::from_str(&format!("DPoP {}", request.access_token.expose())).map_err(unfit)?;
    token.set_sensitive(true);
    headers.insert(AUTHORIZATION, token);
    let mut proof = HeaderValue::from_str(proof).map_err(unfit)?;
    proof.set_sensitive(true);
    headers.insert(DPOP, proof);
    Ok(headers)
}

/// The error code for an access token that the server does not accept.
const INVALID_TOKEN: &str = "invalid_token";
/// The XRPC error names for the same.
const XRPC_INVALID_TOKEN: [&str; 2] = ["ExpiredToken", "InvalidToken"];
/// Methods that take a token of their own, from an email: these error names are about that one.
const TAKE_A_TOKEN: [&str; 5] = [
    "com.atproto.server.confirmEmail",
    "com.atproto.server.updateEmail",
    "com.atproto.server.resetPassword",
    "com.atproto.server.deleteAccount",
    "com.atproto.identity.signPlcOperation",
];

/// The error code of a refusal of our credentials; `None` when the response is about something else. A PDS
/// passes on the status and body of a service that it called, but never its challenge: an error in such a
/// body says nothing about our token.
fn refusal(request: &XrpcRequest<'_>, status: u16, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: String,
    }
    let is_ours = |error: &str| [USE_DPOP_NONCE, INVALID_TOKEN, "invalid_dpop_proof"].contains(&error);
    if status == 401
        && let Some(challenged) = challenge::errors(headers).into_iter().find(|error| is_ours(error))
    {
        return Some(challenged);
    }
    if request.headers.iter().any(|(name, _)| *name == PROXY) || !is_json(headers) {
        return None;
    }
    let JsonObject(Body { error }) = serde_json::from_slice(body).ok()?;
    if XRPC_INVALID_TOKEN.contains(&&*error) {
        let is_its_own = TAKE_A_TOKEN.iter().any(|method| request.nsid.is(method));
        return (!is_its_own).then(|| INVALID_TOKEN.to_owned());
    }
    // A method may have errors of its own by such a name, with status 400.
    (is_ours(&error) && (status == 401 || error == USE_DPOP_NONCE)).then_some(error)
}
