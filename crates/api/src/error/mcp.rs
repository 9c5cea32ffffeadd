//! Errors of the MCP endpoints.

use actix_web::http::StatusCode;
use causeway_flow::mcp::call::McpError;

use super::api::ApiError;

impl From<McpError> for ApiError {
    fn from(error: McpError) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            McpError::Unknown => Self::new(StatusCode::NOT_FOUND, code, &text),
            McpError::Unreadable => Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, &text),
            McpError::Call(error) => error.into(),
            McpError::Internal(error) => Self::internal(&error),
        }
    }
}
