//! What the keeper asks of the place where a session lives, whatever that place speaks.

use std::fmt::Display;
use std::future::Future;

use causeway_domain::Secret;
use causeway_domain::session::{SessionHead, TokenSet};

use crate::error::Internal;

/// A kind of place where sessions live. It decides nothing about a session and stores nothing: leases, pauses
/// and what becomes of an answer are the keeper's.
pub(crate) trait Upstream: Send + Sync {
    /// Where the requests of a session go.
    type Server: Send + Sync;

    /// The age in seconds at which an access token is renewed; `None`: only its end counts.
    fn max_token_age(&self) -> Option<i64>;

    /// Looks up again where the account of a session is at home.
    fn find_server(&self, head: &SessionHead) -> impl Future<Output = Lookup<Self::Server>> + Send;

    /// The server that a session began at, without asking whether its account is still there.
    fn bound_server(&self, head: &SessionHead)
    -> impl Future<Output = Result<Self::Server, NoAnswer>> + Send;

    /// Spends a refresh token of a session. The tokens that come back have no refresh token of their own when
    /// the one that was sent goes on.
    fn refresh(
        &self,
        server: &Self::Server,
        head: &SessionHead,
        tokens: &TokenSet,
        refresh_token: &Secret,
    ) -> impl Future<Output = Result<TokenSet, RefreshFailure>> + Send;

    /// Revokes tokens of a session where it began.
    fn revoke(
        &self,
        head: &SessionHead,
        tokens: &TokenSet,
    ) -> impl Future<Output = Result<(), NoAnswer>> + Send;
}

/// Where an account is at home.
pub(crate) enum Lookup<S> {
    /// Where the session began; `host` is the origin that serves the account's data there.
    Same { server: S, host: String },
    /// Somewhere else, or nowhere: the session's tokens have no business anywhere any more.
    Gone,
    /// Nobody could say, which says nothing about the account.
    Unknown(NoAnswer),
}

/// Why a session has no new tokens.
pub(crate) enum RefreshFailure {
    /// The server has ended the session.
    Over,
    /// Nothing is lost, and a later try may do.
    Passing {
        /// Seconds that the server asked to wait.
        retry_after: Option<u64>,
    },
    /// Ours: nothing was asked.
    Internal(Internal),
}

impl From<Internal> for RefreshFailure {
    fn from(error: Internal) -> Self {
        Self::Internal(error)
    }
}

/// Why there is no answer: for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoAnswer(String);

impl NoAnswer {
    pub(crate) fn because(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}
