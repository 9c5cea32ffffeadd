//! How a kind of provider is called.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_outbound::header::HeaderMap;
use causeway_providers::relay::NotStripped;
use causeway_types::Scope;
use url::Url;

use crate::error::Internal;
use crate::upstream::relay::connection::CalledConnection;
use crate::upstream::relay::error::{CallError, RelayError, Resend};
use crate::upstream::relay::request::{RelayRequest, RelayTarget};
use crate::upstream::traits::kept::CredentialsUpdate;
use crate::upstream::usable::UsableSession;

/// How a kind of provider is called with the credentials of a session. It sends nothing: the
/// [relay](crate::upstream::relay) does, and handles bodies, statuses, repetitions and budgets.
#[async_trait]
pub trait Called: Debug + Send + Sync {
    /// Headers that pass beside the usual ones in calls of clients that authenticate themselves; `None`: such calls are
    /// not relayed.
    fn passing_headers(&self) -> Option<PassingHeaders> {
        None
    }

    /// Checks that a call is one that may be made: within the scope of the caller's token, within what the provider
    /// granted, and at an address that may be called. Removes from the request what is not meant for the provider, and
    /// replaces its target by one that was checked.
    async fn permit(
        &self,
        call: &PermitRequest<'_>,
        request: &mut RelayRequest,
    ) -> Result<Permit, RelayError>;

    /// Whether [`Called::permit`] reads bodies of this `Content-Type`: they are not streamed then.
    fn reads_body(&self, _content_type: Option<&str>) -> bool {
        false
    }

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

    /// The change that an answer makes to the credentials that it was asked with, whatever else it means; `None`: it makes none.
    fn absorb(&self, _live: &UsableSession, _url: &Url, _headers: &HeaderMap) -> Option<CredentialsUpdate> {
        None
    }

    /// The target of a redirect that is followed, with the credentials; `None`: the caller gets the redirect.
    fn follow(&self, _request: &RelayRequest, _answer: Answer<'_>) -> Option<RelayTarget> {
        None
    }

    /// Removes from a whole answer what is not for the caller ([`Strip::ByDefinition`]); `None`: it has nothing of that.
    ///
    /// # Errors
    /// [`NotStripped`]: it must not be passed on.
    fn strip(&self, _body: &[u8]) -> Result<Option<Vec<u8>>, NotStripped> {
        Ok(None)
    }

    /// The same for the headers of an answer.
    fn strip_headers(&self, _headers: &mut HeaderMap) {}

    /// Whether managed accounts have credentials of their own: calls for one that has none are not made with the user's.
    fn accounts_have_credentials(&self) -> bool {
        false
    }

    /// Asks in one call whether the provider takes the credentials of a call.
    async fn verify(
        &self,
        _live: &UsableSession,
        _connection: &CalledConnection,
    ) -> Result<Verified, Internal> {
        Ok(Verified::Unknown)
    }

    /// The reason to repeat a failed call with renewed credentials; `None`: it is not repeated.
    async fn second_chance(&self, _live: &UsableSession, error: &CallError) -> Option<Resend> {
        matches!(error, CallError::CredentialsRefused).then_some(Resend::Token)
    }
}

/// Names of headers in lower case that a provider's definition lets pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassingHeaders {
    /// Headers of the caller.
    pub request: Vec<String>,
    /// Headers of the answer.
    pub answer: Vec<String>,
}

/// A call that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct PermitRequest<'a> {
    /// The scope of the caller's token.
    pub scope: &'a Scope,
    /// The session, with the credentials that the call is made with.
    pub live: &'a UsableSession,
    /// The connection, if the session is one.
    pub connection: Option<&'a CalledConnection>,
}

/// The permission of a call, with the facts that the relay needs for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    /// Parts of an answer that are not for the caller.
    pub strip: Strip,
    /// Whether the answer may be a web page. One that may not is of a proxy in between.
    pub may_be_page: bool,
    /// The consequence when the provider refuses renewed credentials, too.
    pub refused_again: RefusedAgain,
}

/// Parts of an answer that are not for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// There are none.
    Nothing,
    /// These members of a result.
    Members(&'static [&'static str]),
    /// Members that the definition names as credentials, in whatever answer ([`Called::strip`]).
    ByDefinition,
}

/// The consequence when the provider refuses credentials right after they were renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedAgain {
    /// An error: they are bound to a key, and it may be the proof that is refused.
    Error,
    /// The user has to connect again.
    RequireReauth,
}

/// The provider's word about credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It takes them.
    Live,
    /// It does not take them any more.
    Refused,
    /// It gave no answer that tells.
    Unknown,
}

/// The credentials of one attempt.
#[derive(Debug)]
pub struct Injected {
    /// The address of the request.
    pub url: Url,
    /// The challenge that they answer. They are not presented again for the same one.
    pub challenge: Option<String>,
    /// Whether a redirect may be the answer.
    pub may_redirect: bool,
    /// Whether the log may show the path.
    pub shows_path: bool,
    /// The body with the credentials in it; `None`: it is sent as it is.
    pub body: Option<Bytes>,
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
    /// The body; `None`: not read yet ([`Verdict::ReadBody`]). Empty if it is too long to tell anything.
    pub body: Option<&'a [u8]>,
}

/// The meaning of an answer for the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is for the caller.
    Pass,
    /// Its body tells. One that is too long to be read is no answer.
    ReadBody,
    /// Its body tells if it is short.
    ReadShortBody,
    /// They have to be presented in another way.
    Challenge {
        /// The provider's error code.
        error: &'static str,
        /// The value to present them with, if the provider gave one.
        value: Option<String>,
    },
    /// The provider does not take them any more.
    CredentialsRefused,
    /// The answer is about the credentials or about the call: [`Called::verify`] tells.
    MaybeRefused,
    /// The provider does not take them as they were presented, and would not take others: its error code.
    Refused(String),
    /// The user has to do something at the provider. The credentials stay.
    ActionRequired,
    /// The provider asks to wait.
    Wait {
        /// Whether all calls of our registration have to.
        whole_app: bool,
        /// Seconds to wait, if the provider said so.
        retry_after: Option<u64>,
    },
}
