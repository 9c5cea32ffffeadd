//! Whether an error answer is about our credentials or from the method itself.

use causeway_domain::JsonObject;
use causeway_outbound::header::HeaderMap;
use causeway_outbound::{challenge, is_json};
use serde::Deserialize;

use super::request::XrpcRequest;
use crate::authorization::nonce::USE_DPOP_NONCE;

/// Names another service that the PDS is to call (AT Protocol XRPC, "Service Proxying").
const PROXY: &str = "atproto-proxy";
/// The error code for an access token that the server does not accept.
pub(super) const INVALID_TOKEN: &str = "invalid_token";
/// The XRPC error names for the same.
const XRPC_INVALID_TOKEN: [&str; 2] = ["ExpiredToken", "InvalidToken"];
/// Methods that take a token of their own, from an email: these error names are about that one.
const TAKE_A_TOKEN: [&str; 5] = [
    "com.atproto.server.confirmEmail",
    "com.atproto.server.updateEmail",
    "com.atproto.server.resetPassword",
    "com.atproto.server.deleteAccount",
    "com.atproto.identity.signPlcOperation",
];

/// The error code of a refusal of our credentials; `None` when the response is about something else. A PDS
/// passes on the status and body of a service that it called, but never its challenge: an error in such a
/// body says nothing about our token.
pub(super) fn refusal(
    request: &XrpcRequest<'_>,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: String,
    }
    let is_ours = |error: &str| [USE_DPOP_NONCE, INVALID_TOKEN, "invalid_dpop_proof"].contains(&error);
    if status == 401
        && let Some(challenged) = challenge::errors(headers).into_iter().find(|error| is_ours(error))
    {
        return Some(challenged);
    }
    if request.headers.iter().any(|(name, _)| *name == PROXY) || !is_json(headers) {
        return None;
    }
    let JsonObject(Body { error }) = serde_json::from_slice(body).ok()?;
    if XRPC_INVALID_TOKEN.contains(&&*error) {
        let is_its_own = TAKE_A_TOKEN.iter().any(|method| request.nsid.is(method));
        return (!is_its_own).then(|| INVALID_TOKEN.to_owned());
    }
    // A method may have errors of its own by such a name, with status 400.
    (is_ours(&error) && (status == 401 || error == USE_DPOP_NONCE)).then_some(error)
}
