//! The request that tells whose account it is.

use super::account::Account;
use super::api_call::{ApiError, api_call};
use crate::definition::account::Identity;
use crate::definition::oauth::OauthClient;
use crate::json::Document;
use crate::relay::CallCredential;
use crate::request::{ProviderRequest, RequestError};

/// The request; `None` where the account is named elsewhere, or nowhere.
pub(super) fn identity_request(
    client: &OauthClient,
    credential: &CallCredential<'_>,
) -> Result<Option<ProviderRequest>, RequestError> {
    match &client.identity {
        Identity::Url { url, headers, .. } => api_call(client, url, headers, credential).map(Some),
        Identity::TokenAnswer { .. } | Identity::IdToken { .. } | Identity::None => Ok(None),
    }
}

/// Reads the answer.
pub(super) fn read_identity(client: &OauthClient, body: &[u8]) -> Result<Account, ApiError> {
    let Identity::Url { subject, name, .. } = &client.identity else {
        return Err(ApiError::Malformed("the account is not named at an address"));
    };
    let document = Document::json(body).ok_or(ApiError::Malformed("it is not JSON"))?;
    // What is missing may have been another id, or the rest of this one.
    if document.is_truncated() {
        return Err(ApiError::Malformed("it ends early"));
    }
    Account::read(&document, subject, name.as_ref()).ok_or(ApiError::Malformed("the account has no id"))
}
