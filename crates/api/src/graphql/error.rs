//! Errors in the form of GraphQL: a message, and the same codes as everywhere in `extensions.code`.

use async_graphql::{Error, ErrorExtensionValues};
use causeway_flow::upstream::relay::RelayError;
use causeway_flow::upstream::relay::repository::RepositoryError;
use causeway_types::{ErrorCode, TokenType};

use crate::error::ApiError;

/// An invalid argument.
pub(super) fn invalid(message: &str) -> Error {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", ErrorCode::InvalidRequest.as_str());
    Error { message: message.to_owned(), source: None, extensions: Some(extensions) }
}

/// A call that failed.
pub(super) fn repository(error: RepositoryError) -> Error {
    let mut extensions = ErrorExtensionValues::default();
    let text = error.to_string();
    let message = match error {
        RepositoryError::TooLarge => {
            extensions.set("code", ErrorCode::AnswerTooLarge.as_str());
            text
        }
        RepositoryError::Method { status, error, message, retry_after } => {
            extensions.set("code", error);
            extensions.set("status", status);
            if let Some(seconds) = retry_after {
                extensions.set("retry_after", seconds);
            }
            message
        }
        RepositoryError::Relay(error) => {
            if let RelayError::TokenScope { scope } | RelayError::SessionScope { scope } = &error {
                extensions.set("scope", scope.as_str());
            }
            // The table of HTTP errors decides what a client may know.
            let error = ApiError::relay(error, TokenType::Bearer);
            extensions.set("code", error.code().as_str());
            if let Some(seconds) = error.retry_after() {
                extensions.set("retry_after", seconds);
            }
            if let Some(url) = error.sign_in_url() {
                extensions.set("sign_in_url", url);
            }
            error.description().to_owned()
        }
    };
    Error { message, source: None, extensions: Some(extensions) }
}
