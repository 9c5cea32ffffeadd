//! What can go wrong on the way to somebody's server, and in talking to it.

use causeway_jose::JoseError;

use crate::http::HttpError;

/// Why it is not known who somebody is, or which server is theirs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nobody has this handle.
    #[error("no account has this handle")]
    HandleNotFound,
    /// The handle's DNS records name several DIDs.
    #[error("the handle's DNS records name more than one account")]
    HandleAmbiguous,
    /// The handle leads to an account that goes by another handle.
    #[error("the handle leads to an account that does not use this handle")]
    HandleMismatch,
    /// There is no such DID.
    #[error("this DID does not exist")]
    DidNotFound,
    /// The DID was deactivated for good.
    #[error("this DID was deactivated")]
    DidDeactivated,
    /// Apps could not take this DID as a person's name (OpenID Connect Core section 2).
    #[error("this DID is longer than the 255 characters that apps take")]
    DidTooLong,
    /// What stands where the DID document should be is not that DID's document.
    #[error("the DID document is not valid: {0}")]
    DidDocument(&'static str),
    /// The account has no PDS.
    #[error("the account's DID document names no personal data server")]
    NoPds,
    /// A server's OAuth metadata does not allow a safe sign-in.
    #[error("the server's OAuth metadata is not valid: {0}")]
    ServerMetadata(&'static str),
    /// The handle's own domain does not say whether it is somebody's: it may not be asked, or not now.
    #[error("the domain of the handle could not be asked: {0}")]
    HandleUnanswered(#[source] HttpError),
    /// The DNS servers gave no answer.
    #[error("the DNS lookup of the handle failed")]
    Dns,
    /// A document could not be fetched.
    #[error("a document could not be fetched: {0}")]
    Http(#[from] HttpError),
}

impl ResolveError {
    /// Whether an account that was somewhere is nowhere now, by its own document or the directory's word. Any other
    /// error says nothing about the account: a setting of ours or a name server may be wrong for a while.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::DidDeactivated | Self::NoPds)
    }

    /// Whether somebody's server failed us: a later try may succeed, and what was known before stands.
    /// Otherwise the answer is definite: what was typed leads nowhere.
    pub const fn is_upstream_fault(&self) -> bool {
        match self {
            Self::HandleNotFound
            | Self::HandleAmbiguous
            | Self::HandleMismatch
            | Self::DidNotFound
            | Self::DidDeactivated
            | Self::DidTooLong
            | Self::NoPds
            | Self::Http(HttpError::Blocked(_) | HttpError::Setup(_)) => false,
            Self::DidDocument(_)
            | Self::ServerMetadata(_)
            | Self::HandleUnanswered(_)
            | Self::Dns
            | Self::Http(_) => true,
        }
    }
}

/// What a server refused that was asked for a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The refresh token itself, in so many words.
    Grant,
    /// The request: a refresh token that is dead, as some servers put it.
    Request,
    /// Us: our client there, its document or its key, or our clock. The refresh token may be good.
    Ours,
}

/// Why an authorization server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It said no (RFC 6749 section 5.2): a definite answer, with a 4xx status.
    #[error("the authorization server answered {status} {error}")]
    OAuth {
        /// The status code.
        status: u16,
        /// The error code.
        error: String,
        /// Its explanation: at most 200 characters, without control characters. It is the server's text.
        description: Option<String>,
    },
    /// It said yes, but the answer cannot be used.
    #[error("the authorization server's answer cannot be used: {0}")]
    Malformed(&'static str),
    /// There is no definite answer: no connection, a timeout, 429, 5xx, something that is not OAuth.
    #[error("no answer from the authorization server: {0}")]
    Http(#[from] HttpError),
    /// We could not sign the request. Nothing was sent.
    #[error("the request could not be signed: {0}")]
    Sign(#[from] JoseError),
}

impl TokenError {
    /// Whether the server refused the code or refresh token itself.
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::OAuth { error, .. } if error == "invalid_grant")
    }

    /// How a refusal of a refresh is to be taken.
    pub fn refusal(&self) -> Option<Refusal> {
        let Self::OAuth { status, error, .. } = self else { return None };
        match error.as_str() {
            "invalid_grant" => Some(Refusal::Grant),
            _ if self.is_transient() => None,
            // Who we are there, and how we prove it: no session is to blame for that.
            "invalid_client" | "unauthorized_client" | "invalid_client_metadata" | "invalid_dpop_proof" => {
                Some(Refusal::Ours)
            }
            // Not every server says it in the words of RFC 6749.
            _ if matches!(status, 400 | 401) => Some(Refusal::Request),
            _ => None,
        }
    }

    /// The error code of a definite refusal (RFC 6749 section 5.2, RFC 9126 section 2.3).
    pub fn oauth_error(&self) -> Option<&str> {
        match self {
            Self::OAuth { error, .. } => Some(error),
            _ => None,
        }
    }

    /// The server's explanation of a definite refusal.
    pub fn description(&self) -> Option<&str> {
        match self {
            Self::OAuth { description, .. } => description.as_deref(),
            _ => None,
        }
    }

    /// Whether a later try of the same request may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::OAuth { error, .. } => {
                ["temporarily_unavailable", "server_error", "use_dpop_nonce", "slow_down"]
                    .contains(&error.as_str())
            }
            Self::Http(error) => !matches!(error, HttpError::Blocked(_) | HttpError::Setup(_)),
            Self::Malformed(_) | Self::Sign(_) => false,
        }
    }

    /// Whether a single-use credential that the request carried may be spent though we got nothing for it.
    pub const fn may_be_spent(&self) -> bool {
        match self {
            Self::Malformed(_) => true,
            Self::Http(error) => error.may_have_arrived(),
            Self::OAuth { .. } | Self::Sign(_) => false,
        }
    }

    /// Seconds to wait before another try, when the server said so.
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Http(error) => error.retry_after(),
            _ => None,
        }
    }
}
