//! Why a token request fails: an enum for each grant, composed into the error that goes over the wire.

use causeway_domain::session::OtherKind;
use causeway_store::StoreError;
use causeway_types::ErrorCode;

use crate::client::authenticated::Replayed;
use crate::error::Internal;
use crate::resource::dpop::ProofError;
use crate::token::token_type::{ACCESS_TOKEN_TYPE, SESSION_TOKEN_TYPE};

/// Why a token request failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request was refused, by fault of the client or the user.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// A malformed resource, or one that is not known for the client: the text names those that are.
    #[error("{0}")]
    Target(String),
    /// A DPoP proof is missing.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A single-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl TokenError {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Target(_) => ErrorCode::InvalidTarget,
            Self::Proof(error) => error.code(),
            Self::Replayed(replayed) => replayed.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<OtherKind> for TokenError {
    fn from(error: OtherKind) -> Self {
        Self::Internal(error.into())
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Why a token request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The client did not register this grant.
    #[error("this client is not registered for this grant_type")]
    Grant,
    /// A malformed or wider scope.
    #[error("scope must not exceed the granted scope")]
    Scope,
    /// A malformed resource, or one that was not granted (RFC 8707 section 2.2).
    #[error("resource must not exceed the granted resources: absolute URIs without a fragment")]
    Target,
    /// The session behind the grant has ended.
    #[error("the session has ended: the user has to sign in again")]
    SessionEnded,
    /// Of a code.
    #[error(transparent)]
    Code(#[from] CodeRefusal),
    /// Of a refresh token.
    #[error(transparent)]
    Refresh(#[from] RefreshRefusal),
    /// Of a device code.
    #[error(transparent)]
    Device(#[from] DeviceRefusal),
    /// Of a token exchange.
    #[error(transparent)]
    Exchange(#[from] ExchangeRefusal),
    /// Of client credentials.
    #[error(transparent)]
    ClientCredentials(#[from] ClientCredentialsRefusal),
}

impl TokenRefusal {
    /// The code of RFC 6749 section 5.2, or of the grant's own specification.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Grant => ErrorCode::UnauthorizedClient,
            Self::Scope => ErrorCode::InvalidScope,
            Self::Target => ErrorCode::InvalidTarget,
            Self::SessionEnded => ErrorCode::InvalidGrant,
            Self::Code(refusal) => refusal.code(),
            Self::Refresh(refusal) => refusal.code(),
            Self::Device(refusal) => refusal.code(),
            Self::Exchange(refusal) => refusal.code(),
            Self::ClientCredentials(refusal) => refusal.code(),
        }
    }
}

/// The refusals of one grant are errors of a token request.
macro_rules! refusals {
    ($($refusal:ident),+) => {$(
        impl From<$refusal> for TokenError {
            fn from(refusal: $refusal) -> Self {
                Self::Refused(refusal.into())
            }
        }
    )+};
}

refusals!(CodeRefusal, RefreshRefusal, DeviceRefusal, ExchangeRefusal, ClientCredentialsRefusal);

/// Refusals of the authorization code grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeRefusal {
    /// `code` is missing.
    #[error("code is missing")]
    Missing,
    /// `code_verifier` is missing.
    #[error("code_verifier is missing: PKCE is required")]
    NoVerifier,
    /// A code that is unknown, another client's, or used.
    #[error("the code is unknown, was already used, or was issued to another client")]
    Unknown,
    /// A code that is too old.
    #[error("the code has expired: codes are valid for 60 seconds")]
    Expired,
    /// The verifier is malformed or not the one behind the challenge.
    #[error("code_verifier does not match the code_challenge of the authorization request")]
    Verifier,
    /// The redirect URI differs from that of the request.
    #[error("redirect_uri is not the one of the authorization request")]
    RedirectUri,
    /// A code that is bound to a key, without a proof by it.
    #[error("the code is bound to the dpop_jkt of the authorization request: send a DPoP proof by that key")]
    Key,
}

impl CodeRefusal {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Missing | Self::NoVerifier => ErrorCode::InvalidRequest,
            Self::Unknown | Self::Expired | Self::Verifier | Self::RedirectUri | Self::Key => {
                ErrorCode::InvalidGrant
            }
        }
    }
}

/// Refusals of the refresh token grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefusal {
    /// `refresh_token` is missing.
    #[error("refresh_token is missing")]
    Missing,
    /// A refresh token that is unknown, another client's, revoked, or used up.
    #[error("the refresh token is unknown, revoked, already used, or was issued to another client")]
    Unknown,
    /// A refresh token that is too old.
    #[error("the refresh token has expired: the user has to sign in again")]
    Expired,
    /// A refresh token that is bound to a key, without a proof by it.
    #[error("the refresh token is bound to a key: send a DPoP proof by the key that it was issued for")]
    Key,
}

impl RefreshRefusal {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::InvalidRequest,
            Self::Unknown | Self::Expired | Self::Key => ErrorCode::InvalidGrant,
        }
    }
}

/// Refusals of the device authorization grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRefusal {
    /// `device_code` is missing.
    #[error("device_code is missing")]
    Missing,
    /// The user has not decided yet (RFC 8628 section 3.5).
    #[error("the user has not decided yet: poll again after the interval")]
    Pending,
    /// The user has not decided yet, and the client polls too often (RFC 8628 section 3.5).
    #[error("the user has not decided yet, and you poll too often: increase the interval by 5 seconds")]
    SlowDown,
    /// The user denied the request, or the sign-in failed.
    #[error(
        "the user denied the request, or the sign-in failed: start a new device authorization to try again"
    )]
    Denied,
    /// The device code has expired.
    #[error("the device code has expired: start a new device authorization")]
    Expired,
    /// A device code that is unknown, another client's, or used.
    #[error("the device code is unknown, was already used, or was issued to another client")]
    Unknown,
    /// A device code that is bound to a key, without a proof by it.
    #[error(
        "the device code is bound to a key: send a DPoP proof by the key of the device authorization request"
    )]
    Key,
}

impl DeviceRefusal {
    /// The code of RFC 8628 section 3.5.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::InvalidRequest,
            Self::Pending => ErrorCode::AuthorizationPending,
            Self::SlowDown => ErrorCode::SlowDown,
            Self::Denied => ErrorCode::AccessDenied,
            Self::Expired => ErrorCode::ExpiredToken,
            Self::Unknown | Self::Key => ErrorCode::InvalidGrant,
        }
    }
}

/// Refusals of token exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeRefusal {
    /// A client that does not authenticate.
    #[error("this grant_type is for clients that authenticate")]
    PublicClient,
    /// The client lacks the entitlement to background access.
    #[error("this client is not allowed background_access: ask the operator of this server")]
    NoBackground,
    /// `subject_token` is missing.
    #[error("subject_token is missing: send the session_id of a background session")]
    Missing,
    /// `subject_token_type` is missing or not supported.
    #[error("subject_token_type must be {SESSION_TOKEN_TYPE}")]
    SubjectTokenType,
    /// `requested_token_type` is not supported.
    #[error("requested_token_type must be {ACCESS_TOKEN_TYPE}, or omitted")]
    RequestedTokenType,
    /// `actor_token` was sent, which is not supported.
    #[error("actor_token is not supported")]
    ActorToken,
    /// A session that is unknown, of another kind, another client's, or ended: one text for all, on purpose.
    #[error("the subject_token is not the session_id of a live background session of this client")]
    SubjectToken,
    /// `audience` names another service.
    #[error("audience must be this server: use resource for other servers")]
    Audience,
}

impl ExchangeRefusal {
    /// The code of RFC 8693 section 2.2.2, by which a subject token that cannot be accepted is an invalid
    /// request.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::PublicClient | Self::NoBackground => ErrorCode::UnauthorizedClient,
            Self::Missing
            | Self::SubjectTokenType
            | Self::RequestedTokenType
            | Self::ActorToken
            | Self::SubjectToken => ErrorCode::InvalidRequest,
            Self::Audience => ErrorCode::InvalidTarget,
        }
    }
}

/// Refusals of the client credentials grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientCredentialsRefusal {
    /// A scope in a request without a user.
    #[error("scope must be omitted: every scope of this server needs a user's consent")]
    Scope,
}

impl ClientCredentialsRefusal {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Scope => ErrorCode::InvalidScope,
        }
    }
}
