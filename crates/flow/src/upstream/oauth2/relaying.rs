//! Checks of bodies and headers, which calls of every kind with a definition share.

use causeway_outbound::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, IF_RANGE, LINK, LOCATION, RANGE,
};
use causeway_providers::Relay;
use causeway_providers::relay::{self, RelayTargets, TargetError, strip_header};

use crate::upstream::relay::error::RelayError;
use crate::upstream::relay::request::{CheckedTarget, RelayBody, RelayRequest};

/// Request headers that could make an answer come encoded or in part.
pub(crate) const MAKE_UNREADABLE: [HeaderName; 4] = [ACCEPT_ENCODING, IF_NONE_MATCH, IF_RANGE, RANGE];
/// Headers of answers with addresses.
const WITH_ADDRESSES: [HeaderName; 3] = [CONTENT_LOCATION, LINK, LOCATION];

impl CheckedTarget {
    pub(crate) fn targets<'a>(&'a self, relay: &'a Relay) -> RelayTargets<'a> {
        RelayTargets {
            relay,
            endpoints: &self.endpoints,
            fields: &self.fields,
            account: self.account.as_deref(),
            client_id: Some(&self.client_id),
        }
    }
}

/// Checks the parameters of a body, where the definition has some that callers may not send.
pub(crate) fn check_body(relay: &Relay, request: &RelayRequest) -> Result<(), RelayError> {
    let content_type = match request.header(CONTENT_TYPE.as_str()) {
        Some(text) => Some(text.ok_or(TargetError::Body("has a Content-Type that is no text"))?),
        None => None,
    };
    if matches!(request.body, RelayBody::Empty) || !relay::reads_body(relay, content_type) {
        return Ok(());
    }
    let RelayBody::Whole(body) = &request.body else { return Err(RelayError::BodyTooLong) };
    if !body.is_empty() && request.header(CONTENT_ENCODING.as_str()).is_some() {
        return Err(TargetError::Body("has a Content-Encoding, with which it cannot be checked").into());
    }
    Ok(relay::check_body(relay, content_type, body)?)
}

/// Whether answers may have credentials in them.
pub(crate) fn has_credentials(relay: &Relay) -> bool {
    !(relay.strip.is_empty() && relay.strip_members.is_empty() && relay.strip_urls.is_empty())
}

/// Whether the bodies of some answers tell whether the credential is refused.
pub(crate) fn may_be_examined(relay: &Relay) -> bool {
    let waits = relay.wait.iter().map(|wait| &wait.rule);
    relay.refused.iter().chain(&relay.action_required).chain(waits).any(|rule| !rule.tests.is_empty())
}

/// A header's value without credentials; `None`: nobody knows what it contains.
fn stripped(relay: &Relay, value: &HeaderValue) -> Option<HeaderValue> {
    match strip_header(relay, value.to_str().ok()?) {
        Some(without) => HeaderValue::from_str(&without).ok(),
        None => Some(value.clone()),
    }
}

/// Removes credentials from the headers of an answer that may have some.
pub(crate) fn strip_headers_of(relay: &Relay, headers: &mut HeaderMap) {
    let of_definition = relay
        .response_headers
        .iter()
        .filter_map(|name| HeaderName::from_bytes(name.as_str().as_bytes()).ok());
    for name in of_definition.chain(WITH_ADDRESSES) {
        let values: Vec<_> =
            headers.get_all(&name).iter().filter_map(|value| stripped(relay, value)).collect();
        headers.remove(&name);
        for value in values {
            headers.append(&name, value);
        }
    }
}
