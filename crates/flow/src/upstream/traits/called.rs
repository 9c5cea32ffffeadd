//! How a kind of provider is called.

use std::fmt::Debug;

use async_trait::async_trait;
use causeway_domain::session::Credentials;
use causeway_outbound::header::HeaderMap;
use causeway_types::Scope;
use url::Url;

use crate::error::Internal;
use crate::upstream::relay::error::{CallError, RelayError, Resend};
use crate::upstream::relay::request::RelayRequest;
use crate::upstream::usable::UsableSession;

/// How a kind of provider is called with the credentials of a session. It sends nothing: the
/// [relay](crate::upstream::relay) does, and handles bodies, statuses, repetitions and budgets.
#[async_trait]
pub trait Called: Debug + Send + Sync {
    /// Checks that a call is within the scope of the caller's token and within what the provider granted. Removes from
    /// the request what is not meant for the provider.
    fn permit(
        &self,
        scope: &Scope,
        credentials: &Credentials,
        request: &mut RelayRequest,
    ) -> Result<Permit, RelayError>;

    /// A call without effect, to be made before one whose body can be sent only once: so that it is not sent with
    /// credentials that the provider refuses. `None`: not needed now.
    fn probe(&self, _live: &UsableSession) -> Result<Option<RelayRequest>, Internal> {
        Ok(None)
    }

    /// Adds the credentials to the headers of one attempt, and returns where it goes. `challenge` is what the
    /// provider demanded in its answer to the attempt before ([`Verdict::Challenge`]).
    fn inject(
        &self,
        live: &UsableSession,
        request: &RelayRequest,
        challenge: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<Injected, CallError>;

    /// Evaluates an answer: whether it is for the caller, or about the credentials and so for us.
    fn examine(&self, request: &RelayRequest, answer: Answer<'_>) -> Verdict;

    /// The reason to repeat a failed call with renewed credentials; `None`: it is not repeated.
    async fn second_chance(&self, _live: &UsableSession, error: &CallError) -> Option<Resend> {
        matches!(error, CallError::CredentialsRefused).then_some(Resend::Token)
    }
}

/// The permission of a call, with the facts that the relay needs for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    /// Members of a JSON answer that are not for the caller.
    pub strip: &'static [&'static str],
    /// Whether the answer may be a web page. One that may not is of a proxy in between.
    pub may_be_page: bool,
}

/// The credentials of one attempt.
#[derive(Debug)]
pub struct Injected {
    /// The address of the request, without the query, which the relay adds as the caller sent it.
    pub url: Url,
    /// The challenge that they answer. They are not presented again for the same one.
    pub challenge: Option<String>,
}

/// An answer of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The address that was called.
    pub url: &'a Url,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body; `None`: not read yet ([`Verdict::ReadBody`]).
    pub body: Option<&'a [u8]>,
}

/// The meaning of an answer for the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is for the caller.
    Pass,
    /// Its body tells.
    ReadBody,
    /// They have to be presented in another way.
    Challenge {
        /// The provider's error code.
        error: &'static str,
        /// The value to present them with, if the provider gave one.
        value: Option<String>,
    },
    /// The provider does not take them any more.
    CredentialsRefused,
    /// The provider does not take them as they were presented, and would not take others: its error code.
    Refused(String),
}
