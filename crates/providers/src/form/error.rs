//! Failures of sites.

use causeway_outbound::HttpError;

use crate::request::RequestError;
use crate::values::fill::FillError;

/// Why a site did not do what it was asked. No text of the site, and nothing that was typed, is in it.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// It refused what was typed.
    #[error("the site refused the sign-in with status {status}")]
    Refused {
        /// The status of its answer.
        status: u16,
    },
    /// It cannot answer now.
    #[error("the site cannot answer now: status {status}")]
    Unavailable {
        /// The status of its answer.
        status: u16,
        /// Seconds to wait, if it said so.
        retry_after: Option<u64>,
    },
    /// Its answer cannot be used.
    #[error("the answer of the site cannot be used: {0}")]
    Malformed(&'static str),
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The request cannot be made.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl From<FillError> for SiteError {
    fn from(error: FillError) -> Self {
        Self::Request(error.into())
    }
}
