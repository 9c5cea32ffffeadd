//! Errors of upstream sessions: behind an access token, and requested by an authenticated client.

use actix_web::http::StatusCode;
use causeway_flow::upstream::export::ExportError;
use causeway_flow::upstream::session::SessionError;
use causeway_types::TokenType;

use super::api::ApiError;

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

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match &error {
            SessionError::Internal(error) => Self::internal(error),
            SessionError::ReauthRequired { sign_in_url } => {
                let (code, text) = (error.code(), &error.to_string());
                let this = Self::token(code, StatusCode::UNAUTHORIZED, text, TokenType::Bearer);
                Self { sign_in_url: sign_in_url.clone(), ..this }
            }
            SessionError::Ended => {
                Self::token(error.code(), StatusCode::UNAUTHORIZED, &error.to_string(), TokenType::Bearer)
            }
            SessionError::RefreshRejected => {
                Self::new(StatusCode::BAD_GATEWAY, error.code(), &error.to_string())
            }
            SessionError::NotConfigured(not_configured) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), &not_configured.to_string())
            }
            SessionError::Unavailable { retry_after } | SessionError::Busy { retry_after } => {
                Self::unavailable(error.code(), &error, *retry_after)
            }
        }
    }
}
