//! Errors of connect sessions: as JSON for the client, and as pages for its user.

use actix_web::http::StatusCode;
use causeway_flow::connection::begin::BeginError;
use causeway_flow::connection::complete::CompleteError;
use causeway_flow::connection::confirm::ConfirmError;
use causeway_flow::connection::connect_session::ConnectSessionError;
use causeway_flow::upstream::connect::ConnectFailure;

use super::api::ApiError;
use super::page::PageError;
use crate::pages::{NotConnected, Problem};

impl From<ConnectSessionError> for ApiError {
    fn from(error: ConnectSessionError) -> Self {
        use ConnectSessionError as E;
        let (code, text) = (error.code(), error.to_string());
        match error {
            E::Internal(error) => Self::internal(&error),
            E::NotEntitled(_) | E::NoBackground => Self::new(StatusCode::FORBIDDEN, code, &text),
            E::NoConnection | E::NoTenant | E::NotFound => Self::new(StatusCode::NOT_FOUND, code, &text),
            E::UserId | E::Providers | E::Offer { .. } | E::ReturnUri | E::NoReturnUri | E::Value(_) => {
                Self::new(StatusCode::BAD_REQUEST, code, &text)
            }
        }
    }
}

impl From<ConfirmError> for ApiError {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::Internal(error) => Self::internal(&error),
            ConfirmError::NotEntitled => Self::new(StatusCode::FORBIDDEN, error.code(), &error.to_string()),
            error @ (ConfirmError::UserId | ConfirmError::Code | ConfirmError::NoRefreshToken { .. }) => {
                Self::bad_request(error.code(), &error)
            }
        }
    }
}

impl From<BeginError> for PageError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Internal(error) => error.into(),
            BeginError::Provider(failure) => {
                Self { code: BeginError::Provider(failure.clone()).code(), ..Self::not_connected(&failure) }
            }
            BeginError::Gone => Self::new(StatusCode::BAD_REQUEST, error.code(), Problem::ConnectOver),
            BeginError::NotSignedIn(_) => {
                Self::new(StatusCode::FORBIDDEN, error.code(), Problem::ConnectOver)
            }
            BeginError::NotChosen => Self::new(StatusCode::BAD_REQUEST, error.code(), Problem::Undecided),
        }
    }
}

impl From<CompleteError> for PageError {
    fn from(error: CompleteError) -> Self {
        match error {
            CompleteError::Internal(error) => error.into(),
            error @ CompleteError::State => {
                Self::new(StatusCode::BAD_REQUEST, error.code(), Problem::ConnectOver)
            }
        }
    }
}

impl PageError {
    /// No account was connected.
    pub(crate) const fn not_connected(failure: &ConnectFailure) -> Self {
        use ConnectFailure as F;
        let (status, why) = match failure {
            F::Declined => (StatusCode::BAD_REQUEST, NotConnected::Denied),
            F::ScopeMissing => (StatusCode::BAD_REQUEST, NotConnected::ScopeMissing),
            F::AccountMismatch | F::OtherAccount => (StatusCode::BAD_REQUEST, NotConnected::OtherAccount),
            F::Unavailable => (StatusCode::BAD_GATEWAY, NotConnected::Unavailable),
            F::Misconfigured | F::Discovery | F::Registration | F::ClientIdRequired => {
                (StatusCode::BAD_GATEWAY, NotConnected::Misconfigured)
            }
            F::NoRefreshToken | F::AskAgain(_) => (StatusCode::BAD_REQUEST, NotConnected::NoRefreshToken),
            F::Issuer
            | F::Refused
            | F::ForeignAccount
            | F::LongDid
            | F::Malformed
            | F::Overtaken
            | F::Required(_) => (StatusCode::BAD_REQUEST, NotConnected::Refused),
        };
        Self::new(status, failure.code(), Problem::NotConnected(why))
    }
}
