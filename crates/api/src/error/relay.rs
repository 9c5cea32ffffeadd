//! The errors of the relay.

use actix_web::http::StatusCode;
use causeway_flow::upstream::relay::{RelayError, UploadError};
use causeway_types::{ErrorCode, TokenType};

use super::api::{ApiError, NO_ROOM_SECONDS};

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let status = match error {
            UploadError::Broken => StatusCode::BAD_REQUEST,
            UploadError::Stalled => StatusCode::REQUEST_TIMEOUT,
            UploadError::NoRoom => return Self::no_room(&error),
        };
        Self::new(status, ErrorCode::InvalidRequest, &error.to_string())
    }
}

impl ApiError {
    /// The memory budget of the process is exhausted.
    fn no_room(error: &impl std::fmt::Display) -> Self {
        Self::unavailable(ErrorCode::TemporarilyUnavailable, error, NO_ROOM_SECONDS)
    }

    /// The failure of a relayed call, or its refusal; `scheme` is how the access token was presented.
    pub(crate) fn relay(error: RelayError, scheme: TokenType) -> Self {
        let code = error.code();
        let text = error.to_string();
        match error {
            RelayError::Session(error) => error.into(),
            RelayError::Internal(error) => Self::internal(&error),
            RelayError::Upload(error) => error.into(),
            error @ RelayError::Busy => Self::no_room(&error),
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
            RelayError::Target(_) | RelayError::NoAccount => Self::new(StatusCode::BAD_REQUEST, code, &text),
            RelayError::AccountReauth => {
                Self::token(code, StatusCode::UNAUTHORIZED, &text, TokenType::Bearer)
            }
            RelayError::ActionRequired => Self::new(StatusCode::FORBIDDEN, code, &text),
            RelayError::Wait { whole_app: false, retry_after } => {
                let this = Self::new(StatusCode::TOO_MANY_REQUESTS, code, &text);
                Self { retry_after: Some(retry_after), ..this }
            }
            RelayError::TooLong | RelayError::BodyTooLong => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, &text)
            }
            RelayError::Timeout => Self::new(StatusCode::GATEWAY_TIMEOUT, code, &text),
            RelayError::Unreachable { retry_after } | RelayError::Wait { whole_app: true, retry_after } => {
                Self::unavailable(code, &text, retry_after)
            }
            RelayError::Interrupted
            | RelayError::Invalid(_)
            | RelayError::Refused(_)
            | RelayError::AnswerTooLarge => Self::new(StatusCode::BAD_GATEWAY, code, &text),
            RelayError::Resend(_) => Self::unavailable(code, &text, 1),
        }
    }
}
