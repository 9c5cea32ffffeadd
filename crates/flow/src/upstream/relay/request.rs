//! A call to relay.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_domain::resource::xrpc::Writes;
use causeway_domain::session::OtherKind;
use causeway_outbound::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use causeway_outbound::{Method, UploadError};
use causeway_providers::{CredentialKind, FieldValues};
use causeway_types::{Nsid, Secret};
use futures_util::stream::BoxStream;
use url::Url;

/// Maximum bytes of a body that are buffered, so that it can be sent again.
pub const KEPT_BYTES: usize = 64 * 1024;
/// The same for bodies that have to be parsed: of methods that write records, of which PDSes accept far less, and of calls
/// whose parameters are checked.
pub const KEPT_WRITES_BYTES: usize = 2 * 1024 * 1024;
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
    pub headers: Vec<(HeaderName, Vec<u8>)>,
    /// The body.
    pub body: RelayBody,
    /// The calls that are sent again once the credentials are renewed.
    pub repeats: Repeats,
    /// How long the answer is waited for.
    pub waits: Waits,
}

/// How long an answer and its parts are waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waits {
    /// For the idle timeout of all requests.
    #[default]
    Usual,
    /// For as long as work on the other side takes, and for events without an end: the caller leaves when it has waited
    /// long enough.
    ForEvents,
}

impl Waits {
    /// How long work on the other side may take before its answer begins.
    const WORK_TIMEOUT: Duration = Duration::from_mins(10);
    /// How long a stream of events may be silent.
    const EVENT_TIMEOUT: Duration = Duration::from_hours(24);

    /// The timeout of the beginning of an answer, if it is not the usual one.
    pub(super) const fn answer_timeout(self) -> Option<Duration> {
        match self {
            Self::Usual => None,
            Self::ForEvents => Some(Self::WORK_TIMEOUT),
        }
    }

    /// The timeout of its parts; `usual` is that of all requests.
    pub(super) const fn idle_timeout(self, is_events: bool, usual: Duration) -> Duration {
        match self {
            Self::ForEvents if is_events => Self::EVENT_TIMEOUT,
            Self::Usual | Self::ForEvents => usual,
        }
    }
}

/// The calls that are sent again once the credentials are renewed, if their whole body was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// Those with a safe method (RFC 9110 section 9.2.1): the provider may have carried out another one.
    Safe,
    /// All: the provider refuses credentials before it acts, or the caller does not mind.
    Any,
}

/// The target of a call, in the terms of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayTarget {
    /// A method of a PDS.
    Xrpc(Nsid),
    /// A path of another provider's API, as the caller sent it.
    Path {
        /// The path, from its first slash on.
        path: String,
        /// The origin that the caller named; `None`: the provider's first one.
        origin: Option<String>,
    },
    /// The MCP server of a connection.
    Mcp,
    /// An address of another provider's API that was checked.
    Checked(Arc<CheckedTarget>),
}

/// An address that was checked, which is what is sent, with the values that the credentials are placed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTarget {
    /// The address, without the credentials.
    pub url: Url,
    /// The connection's endpoints, which are never called.
    pub endpoints: Vec<Url>,
    /// Values of the connection.
    pub fields: FieldValues,
    /// The managed account, by the provider's own identifier.
    pub account: Option<String>,
    /// The owner of the credentials.
    pub credential: CredentialKind,
    /// Our `client_id`.
    pub client_id: String,
    /// Our secret, where calls have to be proven with it.
    pub client_secret: Option<Secret>,
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
            repeats: Repeats::Any,
            waits: Waits::Usual,
        }
    }

    /// A message to the MCP server of a connection, which acts on none whose credentials it refuses.
    pub fn mcp(message: Bytes) -> Self {
        let json = |name| (name, b"application/json".to_vec());
        let accept = (ACCEPT, b"application/json, text/event-stream".to_vec());
        Self {
            method: Method::POST,
            target: RelayTarget::Mcp,
            query: String::new(),
            headers: vec![json(CONTENT_TYPE), accept],
            body: RelayBody::Whole(message),
            repeats: Repeats::Any,
            waits: Waits::Usual,
        }
    }

    /// The method of a PDS that is called.
    ///
    /// # Errors
    /// [`OtherKind`]: it is a call to another provider.
    pub const fn nsid(&self) -> Result<&Nsid, OtherKind> {
        match &self.target {
            RelayTarget::Xrpc(nsid) => Ok(nsid),
            RelayTarget::Path { .. } | RelayTarget::Mcp | RelayTarget::Checked(_) => Err(OtherKind),
        }
    }

    /// The address of another provider that is called, once it was checked.
    ///
    /// # Errors
    /// [`OtherKind`]: it is a call to a PDS, or was not checked.
    pub const fn checked(&self) -> Result<&Arc<CheckedTarget>, OtherKind> {
        match &self.target {
            RelayTarget::Checked(checked) => Ok(checked),
            RelayTarget::Xrpc(_) | RelayTarget::Path { .. } | RelayTarget::Mcp => Err(OtherKind),
        }
    }

    /// Whether it may be sent again once the credentials are renewed.
    pub(super) fn may_be_repeated(&self) -> bool {
        let is_kept = !matches!(self.body, RelayBody::Spent);
        is_kept && (self.repeats == Repeats::Any || self.method.is_safe())
    }

    /// A header's value; `Some(None)` when it is not text.
    pub(crate) fn header(&self, name: &str) -> Option<Option<&str>> {
        let (_, value) = self.headers.iter().find(|(own, _)| *own == name)?;
        Some(std::str::from_utf8(value).ok())
    }
}
