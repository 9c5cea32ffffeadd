//! Errors of the use of connections.

use actix_web::http::StatusCode;
use causeway_flow::connection::deauthorize::DeauthorizeError;
use causeway_flow::connection::error::UseError;
use causeway_types::TokenType;

use super::api::ApiError;

impl From<UseError> for ApiError {
    fn from(error: UseError) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            UseError::Internal(error) => Self::internal(&error),
            UseError::Relay(error) => Self::relay(error, TokenType::Bearer),
            UseError::NotFound | UseError::NoSuchAccount | UseError::NotRelayed => {
                Self::new(StatusCode::NOT_FOUND, code, &text)
            }
            UseError::NotEntitled { .. } | UseError::ExportNotAllowed => {
                Self::new(StatusCode::FORBIDDEN, code, &text)
            }
        }
    }
}

impl From<DeauthorizeError> for ApiError {
    fn from(error: DeauthorizeError) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            DeauthorizeError::Internal(error) => Self::internal(&error),
            DeauthorizeError::Signed(_) => Self::new(StatusCode::BAD_REQUEST, code, &text),
            DeauthorizeError::NotFound | DeauthorizeError::Code => {
                Self::new(StatusCode::NOT_FOUND, code, &text)
            }
        }
    }
}
