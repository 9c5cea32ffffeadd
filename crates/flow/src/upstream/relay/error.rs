//! Errors of relayed calls.

use std::fmt;

use causeway_domain::resource::xrpc::{NeedError, WritesError};
use causeway_domain::session::OtherKind;
use causeway_outbound::{HttpError, UploadError};
use causeway_types::ErrorCode;

use super::request::KEPT_WRITES_BYTES;
use crate::error::Internal;
use crate::upstream::session::error::{NotConfigured, SessionError};

/// Seconds after which a retry makes sense when a server cannot be reached.
const RETRY_SECONDS: u64 = 5;

/// Why a call was not made, or got no answer from the method.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The access token does not allow the call.
    #[error("the access token does not allow this: it lacks the scope {scope}")]
    TokenScope {
        /// The scope that would allow it.
        scope: String,
    },
    /// The provider granted less than the access token says.
    #[error("the provider has not granted this: the session lacks the scope {scope}")]
    SessionScope {
        /// The scope that would allow it.
        scope: String,
    },
    /// No app may call this method of a PDS.
    #[error("PDSes allow no app to call this method")]
    Never,
    /// The query is ambiguous about what the call is for.
    #[error(transparent)]
    Query(#[from] NeedError),
    /// The body is ambiguous about what it writes.
    #[error(transparent)]
    Writes(#[from] WritesError),
    /// The body cannot be parsed, and the scope does not allow everything that it could do.
    #[error(
        "checking this scope requires reading the body: send application/json in UTF-8, without content-encoding"
    )]
    NotPlain,
    /// The body is too long to be parsed, and the scope does not allow everything that it could do.
    #[error("checking this scope requires reading the body: send at most {KEPT_WRITES_BYTES} bytes")]
    TooLong,
    /// `atproto-proxy` is malformed.
    #[error("atproto-proxy must name one service, such as did:web:api.bsky.app#bsky_appview")]
    Proxy,
    /// The session cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The provider took too long.
    #[error("the provider did not respond in time: it may have carried out the request")]
    Timeout,
    /// The provider cannot be reached. Nothing was sent.
    #[error("the provider cannot be reached at the moment: nothing was sent, try again later")]
    Unreachable {
        /// Seconds after which a retry makes sense.
        retry_after: u64,
    },
    /// The connection broke.
    #[error("the connection to the provider broke: it may have carried out the request")]
    Interrupted,
    /// The answer cannot be passed on.
    #[error("the provider sent an invalid response ({0})")]
    Invalid(String),
    /// The provider refused the call even with new credentials.
    #[error("the provider does not accept this server's credentials ({0}): check both clocks")]
    Refused(String),
    /// The process's memory budget is used up.
    #[error("there is not enough memory for the response at the moment: try again in a moment")]
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
    /// The provider changed its DPoP nonce (RFC 9449 section 8).
    Nonce,
    /// The provider refused the session's access token. There is a new one now.
    Token,
    /// The account has moved to another PDS. The session follows it.
    Moved,
}

impl fmt::Display for Resend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nonce => "the provider required a proof with another nonce while the body was being sent",
            Self::Token => "the provider refused the session's access token while the body was being sent, and the session was refreshed",
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

impl From<NotConfigured> for RelayError {
    fn from(error: NotConfigured) -> Self {
        Self::Session(error.into())
    }
}

impl From<OtherKind> for RelayError {
    fn from(error: OtherKind) -> Self {
        Self::Internal(error.into())
    }
}

impl From<HttpError> for RelayError {
    fn from(error: HttpError) -> Self {
        match error {
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
        }
    }
}

/// Why a request brought no answer for its caller.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer, or one that cannot be passed on.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The provider does not take the credentials any more.
    #[error("the provider does not accept the credentials")]
    CredentialsRefused,
    /// The provider does not take the credentials as they were presented: its error code.
    #[error("the provider does not accept how the credentials are presented: {0}")]
    Refused(String),
    /// The request would be sent again, but its body was already sent and cannot be sent again.
    #[error("the body was sent and cannot be sent again")]
    BodySpent,
    /// The body did not arrive whole here.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// Ours. Nothing was sent.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<OtherKind> for CallError {
    fn from(error: OtherKind) -> Self {
        Self::Internal(error.into())
    }
}

impl From<CallError> for RelayError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::CredentialsRefused => Self::Refused("invalid_token".to_owned()),
            CallError::Refused(reason) => Self::Refused(reason),
            CallError::BodySpent => Self::Resend(Resend::Nonce),
            CallError::Upload(error) => Self::Upload(error),
            CallError::Http(error) => error.into(),
            CallError::Internal(error) => Self::Internal(error),
        }
    }
}
