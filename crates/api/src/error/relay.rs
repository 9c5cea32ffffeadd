//! The errors of the relay.

use actix_web::http::StatusCode;
use causeway_domain::ErrorCode;
use causeway_flow::TokenType;
use causeway_flow::relay::{RelayError, UploadError};

use super::ApiError;

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let status = match error {
            UploadError::Broken => StatusCode::BAD_REQUEST,
            UploadError::Stalled => StatusCode::REQUEST_TIMEOUT,
        };
        Self::new(status, ErrorCode::InvalidRequest, &error.to_string())
    }
}

impl ApiError {
    /// A call that was made, or refused, for a token that was presented in this way.
    pub(crate) fn relay(error: RelayError, scheme: TokenType) -> Self {
        let code = error.code();
        let text = error.to_string();
        match error {
            RelayError::Session(error) => error.into(),
            RelayError::Internal(error) => Self::internal(&error),
            RelayError::Upload(error) => error.into(),
            RelayError::TokenScope { scope } | RelayError::SessionScope { scope } => {
                let mut this = Self::token(code, StatusCode::FORBIDDEN, &text, scheme);
                if let Some(challenge) = this.challenges.first_mut() {
                    challenge.name_scope(&scope);
                }
                this
            }
            RelayError::Never => Self::token(code, StatusCode::FORBIDDEN, &text, scheme),
            RelayError::Query(_) | RelayError::Writes(_) | RelayError::NotPlain | RelayError::Proxy => {
                Self::new(StatusCode::BAD_REQUEST, code, &text)
            }
            RelayError::TooLong => Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, &text),
            RelayError::Timeout => Self::new(StatusCode::GATEWAY_TIMEOUT, code, &text),
            RelayError::Unreachable { retry_after } => {
                let this = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, &text);
                Self { retry_after: Some(retry_after), ..this }
            }
            RelayError::Interrupted | RelayError::Invalid(_) | RelayError::Refused(_) => {
                Self::new(StatusCode::BAD_GATEWAY, code, &text)
            }
            RelayError::Resend(_) => {
                let this = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, &text);
                Self { retry_after: Some(1), ..this }
            }
        }
    }
}
