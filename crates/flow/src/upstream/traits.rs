//! The interface to the servers where sessions live, independent of their protocol.

use std::fmt::Display;
use std::future::Future;

use causeway_domain::session::{HandleCheck, SessionHead, TokenSet};
use causeway_types::Secret;

use crate::error::Internal;

/// A kind of server where sessions live. It decides nothing about a session and stores nothing: the keeper
/// handles leases, pauses and answers.
pub(crate) trait Upstream: Send + Sync {
    /// The server that a session's requests go to.
    type Server: Send + Sync;

    /// The age in seconds at which an access token is renewed; `None`: only its expiry counts.
    fn max_token_age(&self) -> Option<i64>;

    /// Resolves again where the account of a session is hosted.
    fn find_server(&self, head: &SessionHead) -> impl Future<Output = Lookup<Self::Server>> + Send;

    /// The server that a session began at, without asking whether its account is still there.
    fn bound_server(&self, head: &SessionHead)
    -> impl Future<Output = Result<Self::Server, NoAnswer>> + Send;

    /// Spends a refresh token of a session. The returned tokens have no refresh token when the one that was
    /// sent stays valid.
    fn refresh(
        &self,
        server: &Self::Server,
        head: &SessionHead,
        tokens: &TokenSet,
        refresh_token: &Secret,
    ) -> impl Future<Output = Result<Refreshed, RefreshFailure>> + Send;

    /// Revokes tokens of a session at the server where it began.
    fn revoke(
        &self,
        head: &SessionHead,
        tokens: &TokenSet,
    ) -> impl Future<Output = Result<(), NoAnswer>> + Send;
}

/// The result of resolving an account's server.
pub(crate) enum Lookup<S> {
    /// Where the session began; `host` is the origin that serves the account's data there.
    Same { server: S, host: String, handle: HandleCheck },
    /// Another server, or none: the session's tokens are of no use any more.
    Gone,
    /// The look-up failed, which says nothing about the account.
    Unknown(NoAnswer),
}

/// The answer to a refresh. The refresh token is spent in any case, so the answer is stored first and
/// evaluated then.
pub(crate) struct Refreshed {
    pub(crate) tokens: TokenSet,
    /// Why the tokens must not be used.
    pub(crate) flaw: Option<&'static str>,
}

/// Why a session has no new tokens.
pub(crate) enum RefreshFailure {
    /// The server has ended the session.
    Over,
    /// The server gave a definite answer that does not end the session, and would give it again: the session
    /// ends when that lasts for [`REFUSED_SECONDS`](causeway_domain::session::REFUSED_SECONDS).
    Refused {
        /// The answer, in a word or two.
        with: String,
    },
    /// Nothing is lost, and a later try may succeed.
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

/// Why a server gave no answer: for the log.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct NoAnswer {
    reason: String,
    /// The answer of a server asked during the look-up, if it was definite.
    pub(crate) definite: Option<&'static str>,
}

impl NoAnswer {
    pub(crate) fn because(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), definite: None }
    }

    /// The same for an answer that would be given again.
    pub(crate) fn definitely(answer: &'static str, reason: impl Display) -> Self {
        Self { reason: reason.to_string(), definite: Some(answer) }
    }
}
