//! Results of discovery, in this process.

use std::sync::{Mutex, PoisonError};

use causeway_domain::BoundedMap;
use causeway_outbound::TtlCache;
use causeway_providers::mcp::McpServer;
use causeway_types::Timestamp;
use url::Url;

/// Seconds for which an answer to a refused call is discovered once.
pub(super) const RECENT_SECONDS: i64 = 30;

/// The results of discovery by the address of a server: in full for a few minutes, and the issuer that was named last for as
/// long as there is room.
#[derive(Debug)]
pub(super) struct Discovered {
    recent: TtlCache<Url, McpServer>,
    issuers: Mutex<BoundedMap<Url, Option<String>>>,
}

impl Default for Discovered {
    fn default() -> Self {
        let capacity = TtlCache::<Url, McpServer>::CAPACITY;
        Self { recent: TtlCache::new(), issuers: Mutex::new(BoundedMap::new(capacity)) }
    }
}

impl Discovered {
    /// The result for a server, if it is younger than `seconds`.
    pub(super) fn get(&self, url: &Url, now: Timestamp, seconds: i64) -> Option<McpServer> {
        self.recent.get_younger(url, now, seconds)
    }

    pub(super) fn put(&self, url: &Url, found: &McpServer, now: Timestamp) {
        self.recent.put(url.clone(), found.clone(), now);
        let issuer = found.issuer().map(str::to_owned);
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner).put(url.clone(), issuer);
    }

    /// Whether the last discovery named another issuer than `bound`. Credentials go to neither of the two then.
    pub(super) fn names_another(&self, url: &Url, bound: Option<&str>) -> bool {
        let issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        issuers.get(url).is_some_and(|named| named.as_deref() != bound)
    }
}
