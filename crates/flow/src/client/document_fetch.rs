//! Fetching of client documents.
//!
//! Anybody can send a `client_id` and so make this server fetch a URL. So documents are fetched only by the
//! guarded HTTP client: each by one task at a time and not again right after a failure, unknown ones at a
//! limited rate per host, and a limited number at once per requesting address.

use std::sync::{Arc, Mutex, PoisonError};

use causeway_domain::client::{Client, ClientDocumentError, ClientMetadata, read_document};
use causeway_domain::{BoundedMap, Network, RateLimit, RateLimiter};
use causeway_outbound::HttpError;
use causeway_types::{ClientId, ErrorCode, Timestamp};
use tokio::time::timeout;
use url::Url;

use crate::ctx::Ctx;
use crate::operations::trace;

/// The most bytes that are read of a document.
const DOCUMENT_CAP: usize = 32 * 1024;
/// Seconds that a document is cached, at least and at most, and when its server does not say.
const KEPT_SECONDS: (i64, i64) = (60, 86_400);
const KEPT_SECONDS_UNSAID: i64 = 600;
/// Unknown documents that may be fetched from one host: for all requesters, and for one address.
const NEW_PER_HOST: RateLimit = RateLimit { count: 100, seconds: 60 };
const NEW_PER_HOST_AND_ADDRESS: RateLimit = RateLimit { count: 20, seconds: 60 };
/// The most documents in memory: the oldest is evicted.
const CAPACITY: usize = 4096;

/// Why an unregistered client is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentTrouble {
    /// The `client_id` or the document is invalid.
    #[error(transparent)]
    Invalid(#[from] ClientDocumentError),
    /// Its server answers with something other than a document.
    #[error("the client document cannot be read: its server {0}")]
    Answer(String),
    /// Its server does not answer, or is one that we never connect to: only the log says which.
    #[error("the client document cannot be fetched: its server cannot be reached from here")]
    Unreachable,
    /// Too many are being fetched.
    #[error("too many client documents are being fetched at the moment: try again in a minute")]
    Busy,
}

impl DocumentTrouble {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::TemporarilyUnavailable,
            _ => ErrorCode::InvalidClient,
        }
    }

    /// Whether the failure says nothing about the document, so that the last good one may serve for a while.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Busy)
    }
}

/// The lock of one document's fetch, and the time and cause of its last failure.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Held by the task that fetches.
    pub(super) flight: tokio::sync::Mutex<Option<(Timestamp, DocumentTrouble)>>,
}

/// The documents that this process is fetching or has tried to fetch.
#[derive(Debug)]
pub(crate) struct ClientDocuments {
    slots: Mutex<BoundedMap<ClientId, Arc<Slot>>>,
    hosts: Mutex<RateLimiter<Asked>>,
}

/// The most buckets of hosts, in some 10 MB: an address that names other hosts to have one forgotten would need tens of
/// thousands of them in a minute.
const HOSTS: usize = 65_536;

/// A host, and the requester of its documents: one address, or `None` for all.
type Asked = (String, Option<Network>);

impl Default for ClientDocuments {
    fn default() -> Self {
        let hosts = Mutex::new(RateLimiter::new(HOSTS));
        Self { slots: Mutex::new(BoundedMap::new(CAPACITY)), hosts }
    }
}

impl ClientDocuments {
    pub(super) fn slot(&self, client_id: &ClientId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(client_id) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        slots.put(client_id.clone(), Arc::clone(&slot));
        slot
    }

    /// Whether one more unknown document may be fetched from this host now, for a request from this address.
    fn admit(&self, url: &Url, address: Option<Network>, now: Timestamp) -> bool {
        let host = url.host_str().unwrap_or_default();
        let mut limits = vec![((host.to_owned(), None), NEW_PER_HOST)];
        if address.is_some() {
            limits.push(((host.to_owned(), address), NEW_PER_HOST_AND_ADDRESS));
        }
        // An address over its own limit does not count against the shared one.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).acquire(&limits, now).is_ok()
    }
}

/// Fetches a document; returns its metadata and the end of its freshness.
pub(super) async fn fetch(
    ctx: &Ctx,
    client_id: &ClientId,
    url: &Url,
    known: Option<&Client>,
) -> Result<(ClientMetadata, Timestamp), DocumentTrouble> {
    let address = trace::origin().1;
    if known.is_none() && !ctx.client_documents().admit(url, address.map(Network::from), ctx.now()) {
        tracing::debug!(host = url.host_str(), "too many unknown client documents on one host");
        return Err(DocumentTrouble::Busy);
    }
    let turn = ctx.fetch_turns().wait(url).await.ok_or(DocumentTrouble::Busy)?;
    let fetched = timeout(turn.max_wait, ctx.outbound().get_document(url, DOCUMENT_CAP));
    let document = match fetched.await.unwrap_or(Err(HttpError::Timeout)) {
        Ok(document) => document,
        Err(error) => {
            tracing::info!(%client_id, %error, "a client document could not be fetched");
            return Err(trouble_of(&error));
        }
    };
    let kept = document.max_age.map_or(KEPT_SECONDS_UNSAID, |age| age.try_into().unwrap_or(i64::MAX));
    let fresh_until = ctx.now().plus(kept.clamp(KEPT_SECONDS.0, KEPT_SECONDS.1));
    Ok((read_document(client_id.as_str(), document.json)?, fresh_until))
}

/// Reduces a failure to what a client may learn. Whether anything is behind an address that we never connect
/// to, and what, is not revealed.
fn trouble_of(error: &HttpError) -> DocumentTrouble {
    match error {
        HttpError::Status { status: 429 | 500..=599, .. } => DocumentTrouble::Unreachable,
        HttpError::Status { status, .. } => {
            DocumentTrouble::Answer(format!("responded with status {status}, not 200"))
        }
        HttpError::Redirected => {
            DocumentTrouble::Answer("responded with a redirect, which is not followed".to_owned())
        }
        HttpError::NotJson => DocumentTrouble::Answer("did not respond with application/json".to_owned()),
        HttpError::TooLarge => DocumentTrouble::Answer(format!("sent more than {} KiB", DOCUMENT_CAP / 1024)),
        _ => DocumentTrouble::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        Url::parse(&format!("https://{host}/c")).unwrap()
    }

    #[test]
    fn one_host_is_not_asked_without_end() {
        let documents = ClientDocuments::default();
        let admit = |host: &str, address: u32, now: i64| {
            documents.admit(&url(host), Some(Network::V4(address)), Timestamp(now))
        };
        assert!((0..NEW_PER_HOST_AND_ADDRESS.count).all(|_| admit("a.example", 1, 0)));
        assert!((0..1000).all(|_| !admit("a.example", 1, 2)));
        assert!(admit("b.example", 1, 2) && admit("a.example", 2, 2), "others are not held up");
        assert!(admit("a.example", 1, 3) && !admit("a.example", 1, 3), "one every three seconds");
        let admitted = (0..1000).filter(|address| admit("c.example", *address, 0)).count();
        assert_eq!(admitted, 100, "nor by many together");
    }

    /// A full table evicts its oldest entries, and keeps counting.
    #[test]
    fn memory_is_bounded() {
        let documents = ClientDocuments::default();
        for n in 0..CAPACITY + 10 {
            documents.slot(&ClientId::new(format!("https://a.example/{n}")));
        }
        // Two buckets each: of the host, and of the address there.
        for n in 0..HOSTS / 2 + 10 {
            documents.admit(&url(&format!("h{n}.example")), Some(Network::V4(1)), Timestamp(0));
        }
        assert!(documents.slots.lock().unwrap().len() <= CAPACITY);
        assert!(documents.hosts.lock().unwrap().len() <= HOSTS);
        let admit = || documents.admit(&url("new.example"), Some(Network::V4(1)), Timestamp(0));
        assert!((0..NEW_PER_HOST_AND_ADDRESS.count).all(|_| admit()));
        assert!(!admit());
    }

    /// Distinguishable errors must not show a stranger what our network looks like.
    #[test]
    fn failures_say_nothing_of_our_network() {
        for error in [
            HttpError::Blocked("the address is not on the public internet"),
            HttpError::Unreachable("dns error: no such name".to_owned()),
            HttpError::Timeout,
            HttpError::Interrupted,
        ] {
            assert_eq!(trouble_of(&error), DocumentTrouble::Unreachable);
        }
        assert!(!trouble_of(&HttpError::Redirected).is_passing());
        assert!(!trouble_of(&HttpError::Status { status: 404, retry_after: None }).is_passing());
        assert!(trouble_of(&HttpError::Status { status: 503, retry_after: None }).is_passing());
    }
}
