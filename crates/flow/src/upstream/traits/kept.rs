//! How sessions at a kind of provider are kept.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;
use causeway_domain::session::{Credentials, OtherKind, Policy, SessionHead};
use causeway_store::{AnyConnection, StoreError};
use causeway_types::UpstreamSessionId;

use crate::error::Internal;

/// How sessions at a kind of provider are kept. The [keeper](crate::upstream::keeper) handles leases, pauses and
/// answers, and knows of a provider what its [`Policy`] says.
#[async_trait]
pub trait Kept: Debug + Send + Sync {
    /// How these credentials of a session are renewed, and when. It may follow from the answer that brought them:
    /// whether a refresh token came ([`Policy::for_credentials`]).
    fn policy(&self, head: &SessionHead, credentials: &Credentials) -> Policy;

    /// Finds out whether the account of a session is still where its credentials are renewed.
    async fn locate(&self, _head: &SessionHead) -> Located {
        Located::Here { update: None }
    }

    /// Renews credentials by what the policy names. An answer without a refresh token keeps the one that was
    /// sent, and one without a scope keeps the scope (RFC 6749 section 5.1). The keeper waits
    /// for [`RENEWAL_TIMEOUT`](crate::upstream::keeper::RENEWAL_TIMEOUT): an implementation has shorter deadlines of
    /// its own, because nobody knows what became of a renewal that was given up.
    async fn renew(&self, head: &SessionHead, credentials: &Credentials) -> Result<Renewed, RenewalFailure>;

    /// Revokes credentials of a session at the server where it began.
    async fn revoke(&self, head: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer>;

    /// The URL at which a session's user connects again, for its client to complete.
    fn sign_in_url(&self, issuer: &str, head: &SessionHead) -> String;
}

/// The result of looking for an account.
#[derive(Debug)]
pub enum Located {
    /// Where the session began.
    Here {
        /// News about the account, to be stored with the new credentials.
        update: Option<BindingUpdate>,
    },
    /// At another server, or at none: the session's credentials are of no use any more.
    Gone,
    /// The look-up failed, which says nothing about the account.
    Unknown(NoAnswer),
}

/// A change of a session's binding, for the keeper to store in the transaction of the refresh.
#[derive(Clone)]
pub struct BindingUpdate(Arc<Change>);

type Change = dyn Fn(&mut AnyConnection, &UpstreamSessionId) -> Result<(), StoreError> + Send + Sync;

impl BindingUpdate {
    /// Wraps the statements that make the change.
    pub fn new(
        change: impl Fn(&mut AnyConnection, &UpstreamSessionId) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(change))
    }

    /// Makes the change.
    ///
    /// # Errors
    /// [`StoreError`] when a query fails.
    pub fn store(&self, c: &mut AnyConnection, id: &UpstreamSessionId) -> Result<(), StoreError> {
        (self.0)(c, id)
    }
}

impl Debug for BindingUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BindingUpdate")
    }
}

/// The answer to a renewal. What it was made with is spent in any case, so the answer is stored first and evaluated
/// then.
#[derive(Debug)]
pub struct Renewed {
    /// The new credentials.
    pub credentials: Credentials,
    /// Why they must not be used.
    pub flaw: Option<&'static str>,
    /// News about the binding that came with them, to be stored in the same transaction.
    pub update: Option<BindingUpdate>,
    /// How the new credentials follow from those that are there when they are stored, where other answers may have changed
    /// those meanwhile; `None`: they do not depend on them.
    pub onto: Option<CredentialsUpdate>,
}

/// A change of credentials, for those that are current when it is stored.
#[derive(Clone)]
pub struct CredentialsUpdate(Arc<CredentialsChange>);

type CredentialsChange = dyn Fn(&Credentials) -> Result<Credentials, Internal> + Send + Sync;

impl CredentialsUpdate {
    /// Wraps the change.
    pub fn new(
        change: impl Fn(&Credentials) -> Result<Credentials, Internal> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(change))
    }

    /// The credentials after the change.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn apply(&self, current: &Credentials) -> Result<Credentials, Internal> {
        (self.0)(current)
    }
}

impl Debug for CredentialsUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsUpdate")
    }
}

/// Why a session has no new credentials.
#[derive(Debug)]
pub enum RenewalFailure {
    /// The server has ended the session.
    Over {
        /// The answer, in a word or two.
        with: String,
    },
    /// The server gave a definite answer that does not end the session, and would give it again: the session
    /// ends when that lasts for [`REFUSED_SECONDS`](causeway_domain::session::REFUSED_SECONDS).
    Refused {
        /// The answer, in a word or two.
        with: String,
    },
    /// The server answered, and renewed nothing. The session stays as it is, and whoever needs it is told; the next one who
    /// does tries again.
    Rejected,
    /// Nothing is lost, and a later try may succeed.
    Passing {
        /// Seconds that the server asked to wait.
        retry_after: Option<u64>,
    },
    /// Ours: nothing was asked.
    Internal(Internal),
}

impl From<Internal> for RenewalFailure {
    fn from(error: Internal) -> Self {
        Self::Internal(error)
    }
}

impl From<OtherKind> for RenewalFailure {
    fn from(error: OtherKind) -> Self {
        Self::Internal(error.into())
    }
}

/// Why a server gave no answer: for the log.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct NoAnswer {
    reason: String,
    /// The answer of a server asked during the look-up, if it was definite.
    pub(crate) definite: Option<&'static str>,
}

impl NoAnswer {
    /// For a reason that may pass.
    pub fn because(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), definite: None }
    }

    /// The same for an answer that would be given again.
    pub(crate) fn definitely(answer: &'static str, reason: impl Display) -> Self {
        Self { reason: reason.to_string(), definite: Some(answer) }
    }
}
