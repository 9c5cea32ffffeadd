//! Why a session was not refreshed.

use causeway_types::ErrorCode;

use crate::error::Internal;

/// The default `retry_after`, in seconds.
pub(crate) const RETRY_SECONDS: u64 = 5;

/// The provider of a session is not configured on this server, or not any more. The session stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the provider {0} of this session is not configured on this server: its operator has to configure it again, or to end \
     the session"
)]
pub struct NotConfigured(pub String);

/// Why a session was not refreshed. No part of it is lost.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The provider ended it, or the account has moved.
    #[error("session expired, please sign in again")]
    ReauthRequired {
        /// Where to send the user; the client adds its own `redirect_uri`, `state`, PKCE and `scope`. `None`:
        /// callers were told a moment ago ([`limit_prompts`](super::limit_prompts)).
        sign_in_url: Option<String>,
    },
    /// The provider does not answer; the session stays as it is.
    #[error("the provider cannot be reached at the moment: try again later")]
    Unavailable {
        /// Seconds after which a retry makes sense.
        retry_after: u64,
    },
    /// The provider answered a renewal, and renewed nothing; the session stays as it is.
    #[error("the provider did not renew the session: it stays as it is, try again later")]
    RefreshRejected,
    /// Another process is refreshing it, or died doing so and its lease has yet to run out.
    #[error("another process is refreshing this session: try again in a moment")]
    Busy {
        /// Seconds after which a retry makes sense.
        retry_after: u64,
    },
    /// The session has ended.
    #[error("the access token is unknown, expired or revoked")]
    Ended,
    /// The provider of the session is not configured on this server.
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl SessionError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::ReauthRequired { .. } => ErrorCode::ReauthRequired,
            Self::Unavailable { .. } | Self::NotConfigured(_) => ErrorCode::UpstreamUnavailable,
            Self::RefreshRejected => ErrorCode::RefreshRejected,
            Self::Busy { .. } => ErrorCode::TemporarilyUnavailable,
            Self::Ended => ErrorCode::InvalidToken,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }

    /// Whether it is temporary and says nothing about the session itself: the old token may be used while it
    /// is valid.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Busy { .. } | Self::Internal(_) => true,
            Self::ReauthRequired { .. } | Self::RefreshRejected | Self::Ended | Self::NotConfigured(_) => {
                false
            }
        }
    }
}
