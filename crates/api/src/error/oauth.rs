//! Errors of requests, of client authentication, of tokens and of the OAuth endpoints.

use actix_web::http::StatusCode;
use causeway_flow::TokenError;
use causeway_flow::authorization::device::DeviceError;
use causeway_flow::authorization::par::ParError;
use causeway_flow::client::authenticated::{Replayed, RequestAuthError};
use causeway_flow::client::authentication::ClientAuthError;
use causeway_flow::client::registration::RegistrationError;
use causeway_flow::client::registration::create::RegisterError;
use causeway_flow::resource::access::AccessError;
use causeway_flow::resource::dpop::ProofError;
use causeway_flow::token::introspect::IntrospectError;
use causeway_flow::token::revoke::RevokeError;
use causeway_types::{ErrorCode, TokenType};

use super::api::{ApiError, BUSY_SECONDS, NO_ROOM_SECONDS};
use super::challenge::Challenge;
use crate::http::credentials::CredentialsError;
use crate::http::form::InputError;

impl ApiError {
    /// The access token, presented with `scheme`, or its DPoP proof is invalid.
    pub(crate) fn access(error: &AccessError, scheme: TokenType) -> Self {
        match error {
            AccessError::Internal(error) | AccessError::Proof(ProofError::Internal(error)) => {
                Self::internal(error)
            }
            error => {
                let status = match error {
                    AccessError::NoUser | AccessError::NoClient => StatusCode::FORBIDDEN,
                    _ => StatusCode::UNAUTHORIZED,
                };
                let mut this = Self::token(error.code(), status, &error.to_string(), scheme);
                if let AccessError::Proof(ProofError::Nonce { fresh }) = error {
                    this.dpop_nonce = Some(fresh.clone());
                }
                this
            }
        }
    }

    /// Errors of endpoints that authenticate clients.
    pub(crate) fn request_auth(error: RequestAuthError) -> Self {
        match error {
            RequestAuthError::Client(ClientAuthError::Internal(error)) => Self::internal(&error),
            RequestAuthError::Client(ClientAuthError::TooMany(error)) => error.into(),
            RequestAuthError::Client(error) if error.code() == ErrorCode::TemporarilyUnavailable => {
                Self::unavailable(error.code(), &error, BUSY_SECONDS)
            }
            RequestAuthError::Client(error) => Self::invalid_client(&error),
            RequestAuthError::Proof(error) => error.into(),
        }
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        let status = match error {
            InputError::NoRoom => {
                return Self::unavailable(ErrorCode::TemporarilyUnavailable, &error, NO_ROOM_SECONDS);
            }
            InputError::TooLarge(_) | InputError::Dense => StatusCode::PAYLOAD_TOO_LARGE,
            InputError::Slow => StatusCode::REQUEST_TIMEOUT,
            InputError::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        };
        let code = match error {
            InputError::Json(_) => ErrorCode::InvalidClientMetadata,
            _ => ErrorCode::InvalidRequest,
        };
        Self::new(status, code, &error.to_string())
    }
}

impl From<CredentialsError> for ApiError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Basic | CredentialsError::Missing => Self::invalid_client(&error),
            _ => Self::bad_request(ErrorCode::InvalidRequest, &error),
        }
    }
}

impl From<ProofError> for ApiError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Internal(error) => Self::internal(&error),
            error => {
                let mut this = Self::bad_request(error.code(), &error);
                if let ProofError::Nonce { fresh } = error {
                    this.dpop_nonce = Some(fresh);
                }
                this
            }
        }
    }
}

impl From<Replayed> for ApiError {
    fn from(replayed: Replayed) -> Self {
        match replayed {
            Replayed::Assertion => Self::invalid_client(&replayed),
            Replayed::Proof => Self::bad_request(replayed.code(), &replayed),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Internal(error) => Self::internal(&error),
            TokenError::Replayed(replayed) => replayed.into(),
            TokenError::Proof(error) => error.into(),
            error @ (TokenError::Refused(_) | TokenError::Target(_)) => {
                Self::bad_request(error.code(), &error)
            }
        }
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Internal(error) => Self::internal(&error),
            RevokeError::Replayed(replayed) => replayed.into(),
        }
    }
}

impl From<ParError> for ApiError {
    fn from(error: ParError) -> Self {
        match error {
            ParError::Internal(error) => Self::internal(&error),
            ParError::Replayed(replayed) => replayed.into(),
            ParError::TooMany(error) => error.into(),
            error @ ParError::Client => Self::invalid_client(&error),
            error => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Internal(error) => Self::internal(&error),
            DeviceError::Replayed(replayed) => replayed.into(),
            error @ DeviceError::Client => Self::invalid_client(&error),
            error => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Internal(error) => Self::internal(&error),
            error @ RegisterError::Metadata(_) => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<RegistrationError> for ApiError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Internal(error) => Self::internal(&error),
            RegistrationError::Register(error) => error.into(),
            RegistrationError::TooMany(error) => error.into(),
            error @ RegistrationError::Off => {
                Self::new(StatusCode::FORBIDDEN, error.code(), &error.to_string())
            }
            // These tokens are bearer tokens, whatever becomes of the others.
            error @ (RegistrationError::InitialToken | RegistrationError::Token) => {
                let mut this = Self::new(StatusCode::UNAUTHORIZED, error.code(), &error.to_string());
                let challenge = Challenge::of(TokenType::Bearer).because(error.code(), &this.description);
                this.challenges.push(challenge);
                this
            }
            error @ (RegistrationError::Differs | RegistrationError::Document) => {
                Self::bad_request(error.code(), &error)
            }
        }
    }
}

impl From<IntrospectError> for ApiError {
    fn from(error: IntrospectError) -> Self {
        match error {
            IntrospectError::Internal(error) => Self::internal(&error),
            IntrospectError::Replayed(replayed) => replayed.into(),
            error @ IntrospectError::PublicClient => Self::invalid_client(&error),
        }
    }
}
