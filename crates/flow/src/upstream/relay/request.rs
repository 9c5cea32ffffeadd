//! A call to relay.

use causeway_atproto::{XrpcBody, XrpcMethod};
use causeway_domain::resource::xrpc::Writes;
use causeway_types::Nsid;

/// Maximum bytes of a body that are buffered, so that it can be sent again.
const KEPT_BYTES: usize = 64 * 1024;
/// The same for bodies of methods that write records: they may have to be parsed. PDSes accept far less.
pub(super) const KEPT_WRITES_BYTES: usize = 2 * 1024 * 1024;
/// The header that names a service behind the PDS.
pub(super) const PROXY: &str = "atproto-proxy";

/// Maximum bytes of this method's body to buffer.
pub fn kept_bytes(nsid: &Nsid) -> usize {
    if Writes::are_in(nsid) { KEPT_WRITES_BYTES } else { KEPT_BYTES }
}

/// Whether this method's body may have to be parsed, and so is of no use as a stream.
pub fn may_be_read(nsid: &Nsid) -> bool {
    Writes::are_in(nsid)
}

/// A call to relay.
#[derive(Debug)]
pub struct RelayRequest {
    /// Whether it is a query or a procedure.
    pub method: XrpcMethod,
    /// The method.
    pub nsid: Nsid,
    /// The query, as it was sent.
    pub query: String,
    /// The headers to forward, each name once.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: XrpcBody,
}

impl RelayRequest {
    /// A header's value; `Some(None)` when it is not text.
    pub(super) fn header(&self, name: &str) -> Option<Option<&str>> {
        let (_, value) = self.headers.iter().find(|(own, _)| *own == name)?;
        Some(std::str::from_utf8(value).ok())
    }
}
