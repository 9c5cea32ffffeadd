//! What the keeper asks of the place where a session lives, whatever that place speaks.

use std::fmt::Display;
use std::future::Future;

use causeway_domain::Secret;
use causeway_domain::session::{HandleCheck, SessionHead, TokenSet};

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
    ) -> impl Future<Output = Result<Refreshed, RefreshFailure>> + Send;

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
    Same { server: S, host: String, handle: HandleCheck },
    /// Somewhere else, or nowhere: the session's tokens have no business anywhere any more.
    Gone,
    /// Nobody could say, which says nothing about the account.
    Unknown(NoAnswer),
}

/// The answer to a refresh. Whatever it is, the refresh token is spent: it is kept first and judged then.
pub(crate) struct Refreshed {
    pub(crate) tokens: TokenSet,
    /// Why the tokens must not be used.
    pub(crate) flaw: Option<&'static str>,
}

/// Why a session has no new tokens.
pub(crate) enum RefreshFailure {
    /// The server has ended the session.
    Over,
    /// The server gave a definite answer that does not end the session, and would give it again: the session is over
    /// when that goes on for [`REFUSED_SECONDS`](causeway_domain::upkeep::REFUSED_SECONDS).
    Refused {
        /// The answer, in a word or two.
        with: String,
    },
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
#[error("{reason}")]
pub(crate) struct NoAnswer {
    reason: String,
    /// The answer of whoever was asked on the way, when that one was definite.
    pub(crate) definite: Option<&'static str>,
}

impl NoAnswer {
    pub(crate) fn because(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), definite: None }
    }

    /// The same for something that would be answered again.
    pub(crate) fn definitely(answer: &'static str, reason: impl Display) -> Self {
        Self { reason: reason.to_string(), definite: Some(answer) }
    }
}
