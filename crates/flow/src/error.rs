//! The parts that the errors of all flows share.

use causeway_domain::session::OtherKind;
use causeway_jose::JoseError;
use causeway_store::StoreError;

use crate::upstream::session::NotConfigured;

/// A failure of this server. Its text is for the log only.
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
    /// The session or its credentials are of a kind that this operation cannot have.
    #[error(transparent)]
    OtherKind(#[from] OtherKind),
    /// A session is at a provider that this server does not know.
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
    /// Work takes longer than a caller can be kept waiting. It continues.
    #[error("the work continues after the caller stopped waiting")]
    Slow,
    /// Work of another task failed that this one waited for; the log has that task's error.
    #[error("the work of another task failed")]
    Shared,
    /// More proofs are in use than can be remembered.
    #[error("the memory for DPoP proofs is full at the moment")]
    Crowded,
    /// A detached task ended without an answer.
    #[error("task: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Internal {
    /// Whether a row refers to a missing one: a client that was deleted a moment ago.
    pub(crate) const fn is_dangling(&self) -> bool {
        matches!(self, Self::Store(StoreError::Constraint(_)))
    }

    /// Whether the same write may work later: the database rejects it now, and may accept it after its
    /// operator has acted.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self, Self::Store(error) if !error.is_final())
    }

    /// Whether the same request may work when it is sent again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Slow | Self::Shared | Self::Crowded => true,
            _ => false,
        }
    }
}
