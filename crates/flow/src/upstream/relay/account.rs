//! Filtering of account data from answers that a PDS gives to every session, whatever our token's scope is.

use bytes::Bytes;
use causeway_atproto::{XrpcAnswer, XrpcError};
use causeway_outbound::budget::Budget;
use causeway_types::scope::{AccountAction, AccountAttr, OwnScope, ScopeValue};
use causeway_types::{Nsid, Scope};
use serde_json::{Map, Value};

use super::error::RelayError;
use super::request::RelayRequest;

/// The method whose answer identifies the user, with their email address if the *session* may see it.
const GET_SESSION: &str = "com.atproto.server.getSession";
/// The members of that answer that are about the email address.
const EMAIL: [&str; 3] = ["email", "emailConfirmed", "emailAuthFactor"];
/// Request headers that could make an answer come encoded, or without a body.
const MAKE_UNREADABLE: [&str; 3] = ["accept-encoding", "if-modified-since", "if-none-match"];
/// Maximum bytes of such an answer.
const CAP: usize = 64 * 1024;

/// Whether the answer has to be narrowed to what the token's scope covers.
pub(super) fn hides_email(token: &Scope, nsid: &Nsid) -> bool {
    let covers = token.permits_account(AccountAttr::Email, AccountAction::Read)
        || token.has(&ScopeValue::Own(OwnScope::Email));
    nsid.is(GET_SESSION) && !covers
}

/// Removes the headers that could make the answer unreadable.
pub(super) fn ask_readably(request: &mut RelayRequest) {
    request.headers.retain(|(name, _)| !MAKE_UNREADABLE.contains(name));
}

/// Removes the members about the email address from an answer; errors pass unchanged.
///
/// # Errors
/// [`RelayError::Invalid`] for a result that cannot be read.
pub(super) async fn without_email(answer: XrpcAnswer, budget: &Budget) -> Result<XrpcAnswer, RelayError> {
    let status = answer.status();
    if !(200..300).contains(&status) {
        return Ok(answer);
    }
    let same = answer.with_body(Bytes::new());
    let body = answer.read(CAP, budget).await.map_err(XrpcError::from)?;
    let unreadable = || RelayError::Invalid(format!("status {status} without the method's result"));
    let mut result: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    result.retain(|name, _| !EMAIL.contains(&name.as_str()));
    Ok(same.with_body(Value::Object(result).to_string().into()))
}
