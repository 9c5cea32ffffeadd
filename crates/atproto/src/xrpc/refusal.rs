//! Whether an error answer is about our credentials or from the method itself.

use causeway_domain::JsonObject;
use causeway_outbound::header::HeaderMap;
use causeway_outbound::{challenge, is_json};
use causeway_types::Nsid;
use serde::Deserialize;

use crate::authorization::nonce::USE_DPOP_NONCE;

/// The error code for an access token that the server does not accept.
const INVALID_TOKEN: &str = "invalid_token";
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

/// A PDS's refusal of our credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XrpcRefusal {
    /// It wants a proof with another nonce (RFC 9449 section 9).
    UseNonce,
    /// It does not take the access token (RFC 6750 section 3.1, `invalid_token`).
    InvalidToken,
    /// It finds something else wrong with the proof. Often its clock differs from ours.
    InvalidProof(String),
}

/// The refusal in an answer with status 400 or 401; `None` when the answer is about something else. A PDS
/// passes on the status and body of a service that it called (`is_proxied`), but never its challenge: an error in such
/// a body says nothing about our token.
pub fn xrpc_refusal(
    nsid: &Nsid,
    is_proxied: bool,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<XrpcRefusal> {
    let error = refused_with(nsid, is_proxied, status, headers, body)?;
    Some(match error.as_str() {
        USE_DPOP_NONCE => XrpcRefusal::UseNonce,
        INVALID_TOKEN => XrpcRefusal::InvalidToken,
        _ => XrpcRefusal::InvalidProof(error.chars().filter(|c| !c.is_control()).take(64).collect()),
    })
}

fn refused_with(
    nsid: &Nsid,
    is_proxied: bool,
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
    if is_proxied || !is_json(headers) {
        return None;
    }
    let JsonObject(Body { error }) = serde_json::from_slice(body).ok()?;
    if XRPC_INVALID_TOKEN.contains(&&*error) {
        let is_its_own = TAKE_A_TOKEN.iter().any(|method| nsid.is(method));
        return (!is_its_own).then(|| INVALID_TOKEN.to_owned());
    }
    // A method may have errors of its own by such a name, with status 400.
    (is_ours(&error) && (status == 401 || error == USE_DPOP_NONCE)).then_some(error)
}
