//! Errors of rate limits, events and the operator's API.

use actix_web::http::StatusCode;
use causeway_domain::TooMany;
use causeway_flow::operations::events::ListenError;
use causeway_types::ErrorCode;

use super::api::{ApiError, BUSY_SECONDS};
use super::challenge::Challenge;

impl ApiError {
    /// There is nothing at this address.
    pub(crate) fn not_found() -> Self {
        let text =
            "there is nothing at this address: /.well-known/oauth-authorization-server lists the endpoints";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, text)
    }

    /// The operator's token is missing or wrong.
    pub(crate) fn no_operator() -> Self {
        let text = "this endpoint requires the operator's token: Authorization: Bearer TOKEN";
        let mut this = Self::new(StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken, text);
        this.challenges.push(Challenge::new("Bearer", "causeway-admin"));
        this
    }
}

/// No specification has an error code for 429 (RFC 6585 section 4): this one says that it is temporary.
impl From<TooMany> for ApiError {
    fn from(error: TooMany) -> Self {
        let code = ErrorCode::TemporarilyUnavailable;
        let mut this = Self::new(StatusCode::TOO_MANY_REQUESTS, code, &error.to_string());
        this.retry_after = Some(error.retry_after);
        this
    }
}

impl From<ListenError> for ApiError {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::Internal(error) => Self::internal(&error),
            ListenError::Replayed(replayed) => replayed.into(),
            error @ ListenError::PublicClient => Self::invalid_client(&error),
            error @ ListenError::Crowded => {
                Self::unavailable(ErrorCode::TemporarilyUnavailable, &error, BUSY_SECONDS)
            }
            error @ ListenError::NotSubscribed => {
                Self::new(StatusCode::FORBIDDEN, ErrorCode::UnauthorizedClient, &error.to_string())
            }
        }
    }
}
