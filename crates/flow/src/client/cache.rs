//! Clients that were looked up a moment ago. Nothing else is ever cached: a token, a session or a
//! revocation is looked up each time.
//!
//! Other processes change and delete clients in the same database. So an entry lives half a second, and
//! a change is seen everywhere within one; no notification can get lost.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use causeway_domain::BoundedMap;
use causeway_domain::client::Client;
use causeway_types::ClientId;
use tokio::time::Instant;

/// How long a cached client is used.
const LIFETIME: Duration = Duration::from_millis(500);
/// The most clients in the cache: the one that was looked up longest ago is evicted.
const CAPACITY: usize = 4096;

#[derive(Debug)]
pub(crate) struct ClientCache(RwLock<BoundedMap<ClientId, (Arc<Client>, Instant)>>);

impl Default for ClientCache {
    fn default() -> Self {
        Self(RwLock::new(BoundedMap::new(CAPACITY)))
    }
}

impl ClientCache {
    /// The client, if it was looked up within the last half second.
    pub(crate) fn get(&self, client_id: &ClientId) -> Option<Arc<Client>> {
        let clients = self.0.read().unwrap_or_else(PoisonError::into_inner);
        clients
            .get(client_id)
            .filter(|(_, since)| since.elapsed() < LIFETIME)
            .map(|(client, _)| Arc::clone(client))
    }

    /// Caches a client as of the time when its look-up began.
    pub(crate) fn put(&self, client: &Arc<Client>, since: Instant) {
        let mut clients = self.0.write().unwrap_or_else(PoisonError::into_inner);
        clients.put(client.client_id.clone(), (Arc::clone(client), since));
    }
}
