//! A call to relay.

use std::fmt;

use bytes::Bytes;
use causeway_domain::resource::xrpc::Writes;
use causeway_domain::session::OtherKind;
use causeway_outbound::{Method, UploadError};
use causeway_types::Nsid;
use futures_util::stream::BoxStream;

/// Maximum bytes of a body that are buffered, so that it can be sent again.
const KEPT_BYTES: usize = 64 * 1024;
/// The same for bodies of methods that write records: they may have to be parsed. PDSes accept far less.
pub(super) const KEPT_WRITES_BYTES: usize = 2 * 1024 * 1024;
/// The header that names a service behind the PDS.
pub(crate) const PROXY: &str = "atproto-proxy";

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
    /// The HTTP method.
    pub method: Method,
    /// The target of the call.
    pub target: RelayTarget,
    /// The query, as it was sent.
    pub query: String,
    /// The headers to forward, each name once. None of them is about the connection, the sender or the body's length.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: RelayBody,
}

/// The target of a call, in the terms of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayTarget {
    /// A method of a PDS.
    Xrpc(Nsid),
    /// A path of another provider's API.
    Path(String),
}

/// A request's body.
pub enum RelayBody {
    /// None.
    Empty,
    /// All of it: it can be sent again.
    Whole(Bytes),
    /// As it comes: it can be sent once. Afterwards it is [`RelayBody::Spent`].
    Stream {
        /// Its length in bytes, when it is known beforehand.
        length: Option<u64>,
        /// Its parts.
        chunks: BoxStream<'static, Result<Bytes, UploadError>>,
    },
    /// A stream that has been sent.
    Spent,
}

impl fmt::Debug for RelayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Whole(_) => "Whole",
            Self::Stream { .. } => "Stream",
            Self::Spent => "Spent",
        })
    }
}

impl RelayRequest {
    /// A query of a method of a PDS, without parameters.
    pub fn query(nsid: Nsid) -> Self {
        Self {
            method: Method::GET,
            target: RelayTarget::Xrpc(nsid),
            query: String::new(),
            headers: Vec::new(),
            body: RelayBody::Empty,
        }
    }

    /// The method of a PDS that is called.
    ///
    /// # Errors
    /// [`OtherKind`]: it is a call to another provider.
    pub const fn nsid(&self) -> Result<&Nsid, OtherKind> {
        match &self.target {
            RelayTarget::Xrpc(nsid) => Ok(nsid),
            RelayTarget::Path(_) => Err(OtherKind),
        }
    }

    /// A header's value; `Some(None)` when it is not text.
    pub(crate) fn header(&self, name: &str) -> Option<Option<&str>> {
        let (_, value) = self.headers.iter().find(|(own, _)| *own == name)?;
        Some(std::str::from_utf8(value).ok())
    }
}
