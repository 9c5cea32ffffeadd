//! Errors of clients that act in tenants, and of tenants, users and connections.

use actix_web::http::StatusCode;
use causeway_flow::client::authenticated::OwnAuthError;
use causeway_flow::connection::find::FindError;
use causeway_flow::connection::list::ListError;
use causeway_flow::connection::show::ConnectionError;
use causeway_flow::connection::tenant_client::TenantError;
use causeway_flow::connection::tenants::ManageError;
use causeway_flow::connection::users::UserError;
use causeway_flow::operations::operator::NewTenantError;
use causeway_types::ErrorCode;

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

impl From<ManageError> for ApiError {
    fn from(error: ManageError) -> Self {
        let status = match error {
            ManageError::Internal(error) => return Self::internal(&error),
            ManageError::NotEntitled | ManageError::NotMaker => StatusCode::FORBIDDEN,
            ManageError::NotFound => StatusCode::NOT_FOUND,
            ManageError::Name | ManageError::Namespace => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), &error.to_string())
    }
}

impl From<NewTenantError> for ApiError {
    fn from(error: NewTenantError) -> Self {
        match error {
            NewTenantError::Internal(error) => Self::internal(&error),
            error @ (NewTenantError::UnknownClient(_) | NewTenantError::Taken) => {
                Self::bad_request(ErrorCode::InvalidRequest, &error)
            }
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let status = match error {
            UserError::Internal(error) => return Self::internal(&error),
            UserError::NotFound => StatusCode::NOT_FOUND,
            UserError::OfOthers => StatusCode::FORBIDDEN,
            UserError::Name(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), &error.to_string())
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Internal(error) => Self::internal(&error),
            error @ (ListError::User(_) | ListError::State) => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Internal(error) => Self::internal(&error),
            error @ FindError::NotFound => Self::new(StatusCode::NOT_FOUND, error.code(), &error.to_string()),
            error @ (FindError::User(_) | FindError::Parameter(_)) => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<ConnectionError> for ApiError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Internal(error) => Self::internal(&error),
            error @ ConnectionError::NotFound => {
                Self::new(StatusCode::NOT_FOUND, error.code(), &error.to_string())
            }
        }
    }
}
