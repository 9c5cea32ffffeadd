//! Removal of members that are not for the caller from answers.

use bytes::Bytes;
use causeway_outbound::budget::Budget;
use serde_json::{Map, Value};

use super::answer::RelayAnswer;
use super::error::RelayError;

/// Maximum bytes of such an answer.
const CAP: usize = 64 * 1024;

/// Removes members from a result in JSON; errors pass unchanged.
///
/// # Errors
/// [`RelayError::Invalid`] for a result that cannot be read.
pub(super) async fn without(
    members: &[&str],
    answer: RelayAnswer,
    budget: &Budget,
) -> Result<RelayAnswer, RelayError> {
    let status = answer.status();
    if !(200..300).contains(&status) {
        return Ok(answer);
    }
    let same = answer.with_body(Bytes::new());
    let body = answer.read(CAP, budget).await?;
    let unreadable = || RelayError::Invalid(format!("status {status} without the method's result"));
    let mut result: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    result.retain(|name, _| !members.contains(&name.as_str()));
    Ok(same.with_body(Value::Object(result).to_string().into()))
}
