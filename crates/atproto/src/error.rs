//! Errors of identity resolution and of requests to upstream servers.

use causeway_jose::JoseError;
use causeway_outbound::HttpError;

/// Why an account or its server could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No account has this handle.
    #[error("no account has this handle")]
    HandleNotFound,
    /// The handle's DNS records name several DIDs.
    #[error("the handle's DNS records name more than one account")]
    HandleAmbiguous,
    /// The handle leads to an account that uses another handle.
    #[error("the handle leads to an account that does not use this handle")]
    HandleMismatch,
    /// There is no such DID.
    #[error("this DID does not exist")]
    DidNotFound,
    /// The DID was deactivated permanently.
    #[error("this DID is deactivated")]
    DidDeactivated,
    /// The DID is too long for a `sub` claim (OpenID Connect Core section 2).
    #[error("this DID is longer than the 255 characters that apps accept")]
    DidTooLong,
    /// The fetched document is not a valid DID document of that DID.
    #[error("the DID document is not valid: {0}")]
    DidDocument(&'static str),
    /// The account has no PDS.
    #[error("the account's DID document names no PDS")]
    NoPds,
    /// A server's OAuth metadata does not allow a safe sign-in.
    #[error("the server's OAuth metadata is not valid: {0}")]
    ServerMetadata(&'static str),
    /// The handle's own domain could not be asked whether the handle belongs to an account: the request is
    /// not allowed, or failed for now.
    #[error("the handle's domain did not answer: {0}")]
    HandleUnanswered(#[source] HttpError),
    /// The DNS servers gave no answer.
    #[error("the DNS lookup of the handle failed")]
    Dns,
    /// A document could not be fetched.
    #[error("a document could not be fetched: {0}")]
    Http(#[from] HttpError),
}

impl ResolveError {
    /// Whether an account that existed no longer does, by its own document or the directory's response. Any other
    /// error says nothing about the account: one of our settings or a name server may be wrong for a while.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::DidDeactivated | Self::NoPds)
    }

    /// Whether an upstream server failed: a later try may succeed, and what was known before stands.
    /// Otherwise the answer is definite: the input resolves to nothing.
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

/// The cause of a refused refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The refresh token itself, named explicitly.
    Grant,
    /// The request: a dead refresh token, as some servers report it.
    Request,
    /// Our client registration, its document or key, or our clock. The refresh token may be good.
    Ours,
}

/// Why an authorization server did not carry out a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamTokenError {
    /// A refusal (RFC 6749 section 5.2): a definite answer, with a 4xx status.
    #[error("the authorization server responded with {status} {error}")]
    OAuth {
        /// The status code.
        status: u16,
        /// The error code.
        error: String,
        /// Its description: at most 200 characters, without control characters. The text is the server's.
        description: Option<String>,
    },
    /// A successful response that cannot be used.
    #[error("the authorization server's response is invalid: {0}")]
    Malformed(&'static str),
    /// There is no definite answer: no connection, a timeout, 429, 5xx, something that is not OAuth.
    #[error("no response from the authorization server: {0}")]
    Http(#[from] HttpError),
    /// We could not sign the request. Nothing was sent.
    #[error("the request could not be signed: {0}")]
    Sign(#[from] JoseError),
}

impl UpstreamTokenError {
    /// Whether the server refused the code or refresh token itself.
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::OAuth { error, .. } if error == "invalid_grant")
    }

    /// Classifies the refusal of a refresh.
    pub fn refusal(&self) -> Option<Refusal> {
        let Self::OAuth { status, error, .. } = self else { return None };
        match error.as_str() {
            "invalid_grant" => Some(Refusal::Grant),
            _ if self.is_transient() => None,
            // Our identity there and the way we prove it: no session is to blame.
            "invalid_client" | "unauthorized_client" | "invalid_client_metadata" | "invalid_dpop_proof" => {
                Some(Refusal::Ours)
            }
            // Not every server uses the error codes of RFC 6749.
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

    /// The server's description of a definite refusal.
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

    /// Whether a single-use credential in the request may be spent although nothing was received for it.
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
