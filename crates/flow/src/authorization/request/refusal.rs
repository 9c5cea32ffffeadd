//! Errors of authorization requests.

use causeway_store::StoreError;
use causeway_types::ErrorCode;
use causeway_types::authorization::PromptError;

use crate::authorization::claims::ClaimsError;
use crate::authorization::response::ClientAnswer;
use crate::client::document::StoreDocumentError;
use crate::client::document_fetch::DocumentTrouble;
use crate::error::Internal;
use causeway_domain::TooMany;

/// Errors in the client or the redirect URI: shown to the user, never redirected.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeRequest {
    /// No `client_id`.
    #[error("client_id is missing")]
    NoClientId,
    /// A `client_id` that is not registered.
    #[error("no client is registered under this client_id: {0}")]
    UnknownClient(String),
    /// The client document is invalid or unavailable.
    #[error(transparent)]
    Document(#[from] DocumentTrouble),
    /// No `redirect_uri`.
    #[error("redirect_uri is missing: send one that the client registered")]
    NoRedirectUri,
    /// A `redirect_uri` that the client did not register.
    #[error("redirect_uri is not registered for this client: {0}")]
    RedirectUri(String),
    /// A `request_uri` that is unknown, expired, consumed, or another client's.
    #[error("request_uri is unknown, has expired, or was already used: push the request again")]
    RequestUri,
    /// Any other error, when no redirect URI is usable because it may be inside the unreadable request.
    #[error(transparent)]
    Refused(Refusal),
}

impl UnsafeRequest {
    /// The code that the page shows, and the answer of the PAR endpoint.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownClient(_) => ErrorCode::InvalidClient,
            Self::Document(trouble) => trouble.code(),
            Self::RequestUri => ErrorCode::InvalidRequestUri,
            Self::Refused(refusal) => refusal.code(),
            Self::NoClientId | Self::NoRedirectUri | Self::RedirectUri(_) => ErrorCode::InvalidRequest,
        }
    }
}

/// Errors in the rest of the request, sent to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `response_type`.
    #[error("response_type is missing: use code")]
    NoResponseType,
    /// A `response_type` other than `code`.
    #[error("response_type is not supported: use code")]
    ResponseType,
    /// An unknown `response_mode`.
    #[error("response_mode is not supported: use query, fragment or form_post")]
    ResponseMode,
    /// An unknown `prompt`, or `none` beside another.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// An `id_token_hint` that we did not sign.
    #[error("id_token_hint is not an id_token of this issuer")]
    IdTokenHint,
    /// A `claims` parameter that cannot be read.
    #[error("{0}")]
    Claims(String),
    /// An essential `acr`, which this server cannot vouch for (OpenID Connect Core section 5.5.1.1).
    #[error(
        "claims requests an essential acr, but this server does not know how a user authenticated: omit acr"
    )]
    Acr,
    /// A `max_age` that is not a number of seconds.
    #[error("max_age must be a whole number of seconds")]
    MaxAge,
    /// The client did not register the authorization code grant.
    #[error("this client is not registered for the authorization_code grant")]
    Grant,
    /// PKCE is missing (RFC 7636 section 4.4.1).
    #[error("code_challenge is missing: PKCE with the method S256 is required")]
    NoCodeChallenge,
    /// Neither PKCE nor its permitted substitute (OAuth 2.1 section 7.5.1).
    #[error("code_challenge is missing: without PKCE this client must send a nonce and the scope openid")]
    NoNonce,
    /// A challenge method other than `S256`.
    #[error("code_challenge_method must be S256: plain is not supported")]
    CodeChallengeMethod,
    /// A challenge that is not a SHA-256 hash.
    #[error("code_challenge must be the 43 characters of base64url(SHA-256(code_verifier))")]
    CodeChallenge,
    /// A `dpop_jkt` that is not a thumbprint (RFC 9449 section 10).
    #[error("dpop_jkt must be the 43 characters of a SHA-256 JWK thumbprint in base64url")]
    DpopJkt,
    /// A scope that is malformed or not available.
    #[error("scope: {0}")]
    Scope(String),
    /// A resource that is malformed or not available (RFC 8707 section 2).
    #[error("{0}")]
    Target(String),
    /// The client registered that its requests are signed, or pushed.
    #[error("this client registered that its requests are {0}")]
    Unprotected(&'static str),
    /// A request object (RFC 9101) that is not accepted.
    #[error("{0}")]
    InvalidRequestObject(String),
    /// A `request_uri` of the client's own (OpenID Connect Core section 6.2).
    #[error("request_uri must be one of this server's: push the request, or send it in request")]
    RequestUriNotSupported,
    /// A parameter that is longer than it may be.
    #[error("{0} is longer than {1} characters")]
    TooLong(&'static str, usize),
}

impl Refusal {
    /// Whether the request itself could not be read, so that its redirect URI may be inside it.
    pub(super) const fn hides_request(&self) -> bool {
        matches!(self, Self::InvalidRequestObject(_) | Self::RequestUriNotSupported)
    }

    /// The code of RFC 6749 section 4.1.2.1.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::ResponseType => ErrorCode::UnsupportedResponseType,
            Self::Acr => ErrorCode::UnmetAuthenticationRequirements,
            Self::Grant => ErrorCode::UnauthorizedClient,
            Self::Scope(_) => ErrorCode::InvalidScope,
            Self::Target(_) => ErrorCode::InvalidTarget,
            Self::InvalidRequestObject(_) => ErrorCode::InvalidRequestObject,
            Self::RequestUriNotSupported => ErrorCode::RequestUriNotSupported,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

impl From<ClaimsError> for Refusal {
    fn from(error: ClaimsError) -> Self {
        match error {
            ClaimsError::Acr => Self::Acr,
            ClaimsError::Form | ClaimsError::Sub => Self::Claims(error.to_string()),
        }
    }
}

/// Why an authorization request did not begin.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Shown to the user.
    #[error(transparent)]
    Unsafe(#[from] UnsafeRequest),
    /// Sent to the client.
    #[error("{refusal}")]
    Refused {
        /// The error.
        refusal: Refusal,
        /// The error answer to the client.
        answer: ClientAnswer,
        /// Whether the user has to be asked before the redirect.
        ask: bool,
    },
    /// Too many requests were begun: this one is not stored.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreDocumentError> for AuthorizeError {
    fn from(error: StoreDocumentError) -> Self {
        match error {
            StoreDocumentError::TooMany(error) => error.into(),
            StoreDocumentError::Internal(error) => error.into(),
        }
    }
}

impl From<StoreError> for AuthorizeError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}
