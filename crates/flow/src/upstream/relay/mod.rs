//! Calls to a user's PDS, authorized by one of our access tokens.
//!
//! The caller holds nothing but our token. The call goes out with the session's own token and proof, and only
//! if both the scope of our token and the scope that the user's authorization server granted allow it.

pub mod raw_json;
pub mod repository;

mod account;
mod permission;

use std::fmt;

use causeway_atproto::{HttpError, XrpcError, XrpcRequest};
use causeway_domain::xrpc::{NeedError, Writes, WritesError};
use causeway_domain::{ErrorCode, Nsid};
use causeway_jose::EcKey;
use url::Url;

pub use causeway_atproto::{UploadError, XrpcAnswer, XrpcBody, XrpcMethod};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::resource::access::Bearer;
use crate::upstream::keeper::{self, UsableSession};
use crate::upstream::session::SessionError;

/// Maximum bytes of a body that are buffered, so that it can be sent again.
const KEPT_BYTES: usize = 64 * 1024;
/// The same for bodies of methods that write records: they may have to be parsed. PDSes accept far less.
const KEPT_WRITES_BYTES: usize = 2 * 1024 * 1024;
/// Seconds after which a retry makes sense when a server cannot be reached.
const RETRY_SECONDS: u64 = 5;
/// The header that names a service behind the PDS.
const PROXY: &str = "atproto-proxy";

/// Maximum bytes of this method's body to buffer.
pub fn kept_bytes(nsid: &Nsid) -> usize {
    if Writes::are_in(nsid) { KEPT_WRITES_BYTES } else { KEPT_BYTES }
}

/// Whether this method's body may have to be parsed, and so is of no use as a stream.
pub fn may_be_read(nsid: &Nsid) -> bool {
    Writes::are_in(nsid)
}

/// A call to relay.
#[derive(Debug)]
pub struct RelayRequest {
    /// Whether it is a query or a procedure.
    pub method: XrpcMethod,
    /// The method.
    pub nsid: Nsid,
    /// The query, as it was sent.
    pub query: String,
    /// The headers to forward, each name once.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: XrpcBody,
}

impl RelayRequest {
    /// A header's value; `Some(None)` when it is no text.
    fn header(&self, name: &str) -> Option<Option<&str>> {
        let (_, value) = self.headers.iter().find(|(own, _)| *own == name)?;
        Some(std::str::from_utf8(value).ok())
    }
}

/// Why a call was not made, or got no answer from the method.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The access token does not allow the call.
    #[error("the access token does not allow this: it lacks the scope {scope}")]
    TokenScope {
        /// The scope that would allow it.
        scope: String,
    },
    /// The authorization server granted less than the access token says.
    #[error("the person's server has not granted this: the session lacks the scope {scope}")]
    SessionScope {
        /// The scope that would allow it.
        scope: String,
    },
    /// No app may call this method.
    #[error("a person's own server lets no app call this method")]
    Never,
    /// The query is ambiguous about what the call is for.
    #[error(transparent)]
    Query(#[from] NeedError),
    /// The body is ambiguous about what it writes.
    #[error(transparent)]
    Writes(#[from] WritesError),
    /// The body cannot be parsed, and the scope does not allow everything that it could do.
    #[error(
        "with this scope the body has to be read: send application/json in UTF-8, without content-encoding"
    )]
    NotPlain,
    /// The body is too long to be parsed, and the scope does not allow everything that it could do.
    #[error("with this scope the body has to be read: send at most {KEPT_WRITES_BYTES} bytes")]
    TooLong,
    /// `atproto-proxy` is malformed.
    #[error("atproto-proxy must name one service, such as did:web:api.bsky.app#bsky_appview")]
    Proxy,
    /// The session cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The PDS took too long.
    #[error("the person's server did not answer in time: it may have done what it was asked")]
    Timeout,
    /// The PDS cannot be reached. Nothing was sent.
    #[error("the person's server cannot be reached at the moment: nothing was sent, try again later")]
    Unreachable {
        /// Seconds after which a retry makes sense.
        retry_after: u64,
    },
    /// The connection broke.
    #[error("the connection to the person's server broke: it may have done what it was asked")]
    Interrupted,
    /// The answer is not XRPC.
    #[error("the person's server gave an answer that is not XRPC ({0})")]
    Invalid(String),
    /// The PDS refused the call even with a new token or nonce.
    #[error("the person's server does not take our credentials ({0}); often its clock or ours is wrong")]
    Refused(String),
    /// The process's memory budget is used up.
    #[error("there is no room for the answer at the moment: try again in a moment")]
    Busy,
    /// The call could be made now, but its body has been consumed.
    #[error("{0}: send the same request again")]
    Resend(Resend),
    /// The body did not arrive.
    #[error(transparent)]
    Upload(UploadError),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

/// Why a call has to be sent again whose body could be read only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// The PDS changed its DPoP nonce (RFC 9449 section 8).
    Nonce,
    /// The PDS refused the session's access token. There is a new one now.
    Token,
    /// The account has moved to another PDS. The session follows it.
    Moved,
}

impl fmt::Display for Resend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nonce => "the PDS asked for a proof with another nonce while the body was under way",
            Self::Token => "the PDS refused the session's access token while the body was under way, and the session was renewed",
            Self::Moved => "the account has moved to another PDS",
        })
    }
}

impl RelayError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TokenScope { .. } | Self::SessionScope { .. } | Self::Never => ErrorCode::InsufficientScope,
            Self::Query(_) | Self::Writes(_) | Self::NotPlain | Self::TooLong | Self::Proxy => {
                ErrorCode::InvalidRequest
            }
            Self::Upload(error) => match error {
                UploadError::NoRoom => ErrorCode::TemporarilyUnavailable,
                UploadError::Broken | UploadError::Stalled => ErrorCode::InvalidRequest,
            },
            Self::Session(error) => error.code(),
            Self::Timeout => ErrorCode::UpstreamTimeout,
            Self::Unreachable { .. } => ErrorCode::UpstreamUnavailable,
            Self::Interrupted => ErrorCode::UpstreamInterrupted,
            Self::Invalid(_) => ErrorCode::UpstreamInvalid,
            Self::Refused(_) => ErrorCode::UpstreamRefused,
            Self::Resend(_) => ErrorCode::ResendRequest,
            Self::Busy => ErrorCode::TemporarilyUnavailable,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Calls a method of the user's PDS and returns the method's answer, including its errors.
///
/// The session is refreshed first when necessary, and once more when the PDS refuses its token. The request
/// is then sent again if its body still can be.
///
/// # Errors
/// [`RelayError`].
#[tracing::instrument(
    name = "flow.relay",
    skip_all,
    fields(nsid = %request.nsid, session = %bearer.session.session_id)
)]
pub async fn relay(ctx: &Ctx, bearer: &Bearer, mut request: RelayRequest) -> Result<XrpcAnswer, RelayError> {
    let found = keeper::of_bearer(ctx, bearer).await?;
    permission::check(&bearer.token.scope, &found.tokens.scope, &mut request)?;
    let hides_email = account::hides_email(&bearer.token.scope, &request.nsid);
    if hides_email {
        account::ask_readably(&mut request);
    }
    let live = keeper::freshen(ctx, found).await?;
    let answer = match call(ctx, &live, &mut request).await {
        Err(Trouble::Call(error)) => match second_chance(ctx, &live, &error).await {
            Some(reason) => again(ctx, &live, &mut request, reason).await?,
            None => return Err(error.into()),
        },
        outcome => outcome?,
    };
    if is_page(&answer) && !may_be_page(&request) {
        return Err(RelayError::Invalid(format!("status {} with a web page", answer.status())));
    }
    if hides_email { account::without_email(answer, &ctx.budgets().documents).await } else { Ok(answer) }
}

enum Trouble {
    Call(XrpcError),
    Internal(Internal),
}

impl From<Trouble> for RelayError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Call(error) => error.into(),
            Trouble::Internal(error) => error.into(),
        }
    }
}

/// The reason to retry a failed call with a renewed session; `None`: it is not retried.
///
/// When the PDS refuses the session's token, the cached identity of the account is dropped, so that its DID
/// document is resolved again before the session is renewed.
async fn second_chance(ctx: &Ctx, live: &UsableSession, error: &XrpcError) -> Option<Resend> {
    match error {
        XrpcError::InvalidToken => {
            ctx.atproto().forget(&live.head.did);
            Some(Resend::Token)
        }
        XrpcError::InvalidProof(_) | XrpcError::Http(HttpError::Unreachable(_)) => {
            has_moved(ctx, live).await.then_some(Resend::Moved)
        }
        _ => None,
    }
}

/// Whether the account has left the PDS of the session, for another one or for none. `false` when that cannot
/// be found out.
async fn has_moved(ctx: &Ctx, live: &UsableSession) -> bool {
    match ctx.atproto().resolve_did_lately(&live.head.did).await {
        Ok(identity) => identity.pds.origin().ascii_serialization() != live.head.upstream.pds,
        Err(error) => error.is_gone(),
    }
}

/// Renews the session at the account's current PDS, and repeats the call if its body is still available.
async fn again(
    ctx: &Ctx,
    refused: &UsableSession,
    request: &mut RelayRequest,
    reason: Resend,
) -> Result<XrpcAnswer, RelayError> {
    let live = keeper::renew_session(ctx, refused).await?;
    match call(ctx, &live, request).await {
        Err(Trouble::Call(XrpcError::BodySpent)) => Err(RelayError::Resend(reason)),
        outcome => Ok(outcome?),
    }
}

async fn call(ctx: &Ctx, live: &UsableSession, request: &mut RelayRequest) -> Result<XrpcAnswer, Trouble> {
    let pds = Url::parse(&live.head.upstream.pds)
        .map_err(|_| Trouble::Internal(Internal::Inconsistent("the PDS of a session is not a URL")))?;
    let dpop = EcKey::from_trusted_jwk(&live.tokens.dpop_key).map_err(|e| Trouble::Internal(e.into()))?;
    let call = XrpcRequest {
        pds: &pds,
        method: request.method,
        nsid: &request.nsid,
        query: &request.query,
        headers: &request.headers,
        access_token: &live.tokens.access_token,
        dpop: &dpop,
    };
    ctx.atproto().xrpc(&call, &mut request.body).await.map_err(Trouble::Call)
}

impl From<XrpcError> for RelayError {
    fn from(error: XrpcError) -> Self {
        match error {
            XrpcError::InvalidToken => Self::Refused("invalid_token".to_owned()),
            XrpcError::InvalidProof(reason) => Self::Refused(reason),
            XrpcError::BodySpent => Self::Resend(Resend::Nonce),
            XrpcError::Upload(error) => Self::Upload(error),
            XrpcError::Sign(error) => Self::Internal(error.into()),
            XrpcError::Http(error) => match error {
                HttpError::Timeout => Self::Timeout,
                HttpError::Setup(_) | HttpError::Blocked(_) | HttpError::Unreachable(_) => {
                    Self::Unreachable { retry_after: RETRY_SECONDS }
                }
                HttpError::Interrupted => Self::Interrupted,
                HttpError::NoRoom { .. } => Self::Busy,
                error @ (HttpError::Redirected
                | HttpError::TooLarge
                | HttpError::NotJson
                | HttpError::Status { .. }) => Self::Invalid(error.to_string()),
            },
        }
    }
}

/// Whether an answer is a web page, most likely from a proxy in between.
fn is_page(answer: &XrpcAnswer) -> bool {
    let essence = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/html")
}

/// Whether the request may be answered with a web page: a file may be one.
fn may_be_page(request: &RelayRequest) -> bool {
    let accept = request.header("accept").flatten().unwrap_or_default();
    accept.to_ascii_lowercase().contains("text/html") || request.nsid.is("com.atproto.sync.getBlob")
}
