//! Why a connection is not used.

use causeway_types::ErrorCode;

use crate::error::Internal;
use crate::upstream::relay::RelayError;
use crate::upstream::session::{NotConfigured, SessionError};

/// Why a client may not use a connection, or its use failed.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// Unknown, not confirmed, ended, of another tenant, or of clients that this one is not among: one text for all on
    /// purpose.
    #[error("there is no such connection, or this client has no access to it")]
    NotFound,
    /// The operator has not granted the client this provider.
    #[error("this client may not use the provider {provider}: ask the operator of this server")]
    NotEntitled {
        /// The provider.
        provider: String,
    },
    /// The client is not entitled to the credentials themselves.
    #[error("this client is not allowed session export: ask the operator of this server")]
    ExportNotAllowed,
    /// The named managed account is not among those of the connection.
    #[error("Causeway-Account names no managed account of this connection")]
    NoSuchAccount,
    /// The definition of the provider relays no calls.
    #[error("calls of this provider are not relayed")]
    NotRelayed,
    /// The call, or the session behind it.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl UseError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound | Self::NoSuchAccount | Self::NotRelayed => ErrorCode::NotFound,
            Self::NotEntitled { .. } | Self::ExportNotAllowed => ErrorCode::AccessDenied,
            Self::Relay(error) => error.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<SessionError> for UseError {
    fn from(error: SessionError) -> Self {
        match error {
            // It has ended since it was found.
            SessionError::Ended => Self::NotFound,
            SessionError::Internal(error) => Self::Internal(error),
            error => Self::Relay(error.into()),
        }
    }
}

impl From<NotConfigured> for UseError {
    fn from(error: NotConfigured) -> Self {
        Self::Relay(error.into())
    }
}
