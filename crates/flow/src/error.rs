//! What all verbs' errors share.

use causeway_jose::JoseError;
use causeway_store::StoreError;

/// Whose doing an error is. Each verb's error enum sorts its variants into these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The client's or the person's: the answer says what to do.
    Client,
    /// A rule held: refused for good.
    Denied,
    /// The person's own server's.
    Upstream,
    /// Ours: the log has the detail, the wire has the request id.
    Internal,
}

/// Something of ours failed. Its text is for the log only.
#[derive(Debug, thiserror::Error)]
pub enum Internal {
    /// The database.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// Keys or signatures.
    #[error("jose: {0}")]
    Jose(#[from] JoseError),
    /// Two rows that must agree do not.
    #[error("inconsistent: {0}")]
    Inconsistent(&'static str),
    /// A detached task ended without an answer.
    #[error("task: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Internal {
    /// Whether the same request may work when it is sent again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}
