//! Why a request brought no usable response.

use std::error::Error as StdError;

use crate::guard::{BlockedAddress, PRIVATE};

/// Why a request brought no usable response. The texts hold no bodies, queries or credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The client itself could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(&'static str),
    /// The address is not one that we connect to. Nothing was sent.
    #[error("refused to connect: {0}")]
    Blocked(&'static str),
    /// No connection (name lookup, TCP, TLS). Nothing was sent.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// No answer in time. The request may have been carried out.
    #[error("no response in time")]
    Timeout,
    /// The connection broke before the answer was complete. The request may have been carried out.
    #[error("the connection broke before the response was complete")]
    Interrupted,
    /// The answer is a redirect (3xx) that is not followed.
    #[error("responded with a redirect, which is not followed")]
    Redirected,
    /// The answer is longer than we read.
    #[error("the response is too large")]
    TooLarge,
    /// The memory budget is used up: there is no room for the response at the moment.
    #[error("there is not enough memory for the response at the moment")]
    NoRoom {
        /// Whether the request was sent.
        sent: bool,
    },
    /// The answer is not JSON of the form that was expected.
    #[error("the response is not the expected JSON")]
    NotJson,
    /// The answer's status is not the one that was expected.
    #[error("responded with status {status}")]
    Status {
        /// The status code.
        status: u16,
        /// Seconds to wait before another try, when the server said so (`Retry-After`).
        retry_after: Option<u64>,
    },
}

impl HttpError {
    /// Whether the server may have carried out the request although no response confirms it.
    ///
    /// A single-use credential that such a request carried may be spent.
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Blocked(_) | Self::Unreachable(_) => false,
            Self::NoRoom { sent } => *sent,
            Self::Timeout
            | Self::Interrupted
            | Self::Redirected
            | Self::TooLarge
            | Self::NotJson
            | Self::Status { .. } => true,
        }
    }

    /// Seconds to wait before another try, when the server said so.
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Classifies reqwest's errors by what they mean for the request. Their own text is dropped: it holds the
    /// URL.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut innermost: &dyn StdError = error;
        while let Some(source) = innermost.source() {
            if source.is::<BlockedAddress>() {
                return Self::Blocked(PRIVATE);
            }
            innermost = source;
        }
        if error.is_connect() {
            let reason = if error.is_timeout() { "timed out".to_owned() } else { innermost.to_string() };
            Self::Unreachable(reason.chars().filter(|c| !c.is_control()).take(200).collect())
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_builder() {
            Self::Blocked("the address cannot be requested")
        } else {
            Self::Interrupted
        }
    }
}
