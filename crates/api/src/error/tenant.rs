//! Errors of clients that act in tenants.

use actix_web::http::StatusCode;
use causeway_flow::client::authenticated::OwnAuthError;
use causeway_flow::connection::tenant_client::TenantError;

use super::api::ApiError;

impl From<OwnAuthError> for ApiError {
    fn from(error: OwnAuthError) -> Self {
        match error {
            OwnAuthError::Request(error) => Self::request_auth(error),
            OwnAuthError::Replayed(replayed) => replayed.into(),
            OwnAuthError::Internal(error) => Self::internal(&error),
            error @ OwnAuthError::PublicClient => Self::invalid_client(&error),
        }
    }
}

impl From<TenantError> for ApiError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Internal(error) => Self::internal(&error),
            error @ TenantError::Unnamed => Self::bad_request(error.code(), &error),
            error @ TenantError::NotFound => {
                Self::new(StatusCode::NOT_FOUND, error.code(), &error.to_string())
            }
        }
    }
}
