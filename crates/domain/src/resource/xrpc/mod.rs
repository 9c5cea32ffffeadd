//! Calls to a PDS (atproto specification "HTTP API (XRPC)"), as far as it matters whether an app may make
//! them.

mod need;
mod permits;
mod writes;

use causeway_types::Nsid;
use causeway_types::scope::Service;

pub use self::need::{Need, NeedError};
pub use self::permits::{missing, permits};
pub use self::writes::{Writes, WritesError};

/// One call.
#[derive(Clone, Debug)]
pub struct XrpcCall<'a> {
    /// The method.
    pub nsid: &'a Nsid,
    /// The query, without the question mark.
    pub query: &'a str,
    /// The service that the PDS is asked to pass the call on to (`atproto-proxy`).
    pub proxy: Option<&'a Service>,
    /// The body's media type.
    pub content_type: Option<&'a str>,
    /// The repository writes in the body, once it has been read.
    pub writes: Option<&'a Writes>,
}

/// Methods that a PDS serves itself wherever `atproto-proxy` points to. They are in lower case: a PDS finds
/// its methods by name without regard to case.
fn is_local(lower: &str) -> bool {
    const FAMILIES: [&str; 5] = [
        "com.atproto.repo.",
        "com.atproto.sync.",
        "com.atproto.server.",
        "com.atproto.identity.",
        "com.atproto.admin.",
    ];
    FAMILIES.iter().any(|family| lower.starts_with(family))
}

impl XrpcCall<'_> {
    /// Whether the PDS may proxy the call to a service: never a method that it serves itself, so that a call
    /// cannot bypass the permission that was checked.
    pub fn may_be_proxied(&self) -> bool {
        !is_local(&self.nsid.to_lower())
    }
}
