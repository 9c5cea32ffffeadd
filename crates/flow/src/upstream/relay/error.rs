//! Errors of relayed calls.

use std::fmt;

use causeway_domain::resource::xrpc::{NeedError, WritesError};
use causeway_domain::session::OtherKind;
use causeway_outbound::{HttpError, UploadError};
use causeway_providers::relay::TargetError;
use causeway_types::ErrorCode;

use super::request::KEPT_WRITES_BYTES;
use crate::error::Internal;
use crate::upstream::session::error::{NotConfigured, SessionError};

/// Seconds after which a retry makes sense when a server cannot be reached.
const RETRY_SECONDS: u64 = 5;
/// The same when a provider asks to wait and does not say for how long.
const WAIT_SECONDS: u64 = 60;

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
    /// The address is not one that may be called.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The body is too long to be checked.
    #[error(
        "at this provider, bodies with parameters are checked before they are sent: send at most {KEPT_WRITES_BYTES} bytes, or a file as it is"
    )]
    BodyTooLong,
    /// Calls need a managed account, and none is named.
    #[error("Causeway-Account is missing: calls of this provider name the account that they are for")]
    NoAccount,
    /// The provider does not take the credential of the managed account any more.
    #[error(
        "the provider no longer accepts the credential of this account: the user has to connect it again"
    )]
    AccountReauth,
    /// The user has to do something at the provider.
    #[error(
        "the provider wants the user to do something there first, such as to confirm the account: the connection stays"
    )]
    ActionRequired,
    /// The provider asks to wait.
    #[error("the provider asks to wait before further calls")]
    Wait {
        /// Whether all calls of our registration there have to wait.
        whole_app: bool,
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The answer is too long for credentials to be removed from it.
    #[error(
        "the answer may contain credentials and is too long to remove them: ask for fewer items at a time"
    )]
    AnswerTooLarge,
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
            Self::Target(_) | Self::BodyTooLong | Self::NoAccount => ErrorCode::InvalidRequest,
            Self::AccountReauth => ErrorCode::ReauthRequired,
            Self::ActionRequired => ErrorCode::ActionRequired,
            Self::Wait { .. } => ErrorCode::UpstreamRateLimited,
            Self::AnswerTooLarge => ErrorCode::AnswerTooLarge,
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
    /// The user has to do something at the provider.
    #[error("the user has to do something at the provider")]
    ActionRequired,
    /// The provider asks to wait.
    #[error("the provider asks to wait")]
    Wait {
        /// Whether all calls of our registration there have to wait.
        whole_app: bool,
        /// Seconds to wait, if the provider said so.
        retry_after: Option<u64>,
    },
    /// The credentials need the name of a managed account.
    #[error("no managed account is named")]
    NoAccount,
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
            CallError::ActionRequired => Self::ActionRequired,
            CallError::Wait { whole_app, retry_after } => {
                Self::Wait { whole_app, retry_after: retry_after.unwrap_or(WAIT_SECONDS) }
            }
            CallError::NoAccount => Self::NoAccount,
            CallError::BodySpent => Self::Resend(Resend::Nonce),
            CallError::Upload(error) => Self::Upload(error),
            CallError::Http(error) => error.into(),
            CallError::Internal(error) => Self::Internal(error),
        }
    }
}
