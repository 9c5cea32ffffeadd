//! Why a token endpoint issued nothing.

use causeway_outbound::HttpError;
use thiserror::Error;

use super::refusal::{Refusal, RefusalMeaning};
use crate::request::RequestError;

/// Why a token endpoint issued nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It said so.
    #[error("the provider responded with {} {}", .0.status, .0.code.as_deref().unwrap_or("and no error code"))]
    Refused(Refusal),
    /// There is no complete answer.
    #[error("no answer from the provider: {0}")]
    Http(#[from] HttpError),
    /// The request cannot be made. Nothing was sent.
    #[error("the request cannot be made: {0}")]
    Request(#[from] RequestError),
}

impl TokenError {
    /// The consequence.
    pub const fn meaning(&self) -> RefusalMeaning {
        match self {
            Self::Refused(refusal) => refusal.meaning,
            Self::Http(_) => RefusalMeaning::Passing,
            Self::Request(RequestError::NoRefreshToken | RequestError::NoRenewal) => {
                RefusalMeaning::NotRenewable
            }
            Self::Request(_) => RefusalMeaning::Request,
        }
    }

    /// Seconds to wait before another try, when the provider said so.
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Http(error) => error.retry_after(),
            Self::Request(_) => None,
        }
    }

    /// Whether a code or a refresh token in the request may be spent although nothing was received for it.
    pub const fn may_be_spent(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.meaning, RefusalMeaning::Passing),
            Self::Http(error) => error.may_have_arrived(),
            Self::Request(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The credential lives on: no user is asked to connect again because of it.
    #[test]
    fn what_cannot_be_renewed_is_not_over() {
        for error in [RequestError::NoRefreshToken, RequestError::NoRenewal] {
            let error = TokenError::from(error);
            assert_eq!(
                (error.meaning(), error.may_be_spent()),
                (RefusalMeaning::NotRenewable, false),
                "{error}"
            );
        }
    }
}
