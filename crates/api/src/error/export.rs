//! Errors of sessions that an authenticated client requests.

use actix_web::http::StatusCode;
use causeway_flow::upstream::export::ExportError;

use super::ApiError;

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            ExportError::Internal(error) => Self::internal(&error),
            ExportError::Replayed(replayed) => replayed.into(),
            ExportError::Session(error) => error.into(),
            ExportError::PublicClient | ExportError::NotAllowed => {
                Self::new(StatusCode::FORBIDDEN, code, &text)
            }
            ExportError::NotFound => Self::new(StatusCode::NOT_FOUND, code, &text),
            ExportError::Question(_) | ExportError::Htm | ExportError::Htu { .. } | ExportError::Nonce => {
                Self::new(StatusCode::BAD_REQUEST, code, &text)
            }
        }
    }
}
