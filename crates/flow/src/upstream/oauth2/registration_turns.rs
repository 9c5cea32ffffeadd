//! Whose turn it is to register at a provider: one at a time for each tenant, provider and issuer, in this process and in
//! the whole deployment. Whoever waited finds the registration that was made, or learns why none was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use causeway_types::TenantId;
use tokio::sync::OwnedMutexGuard;

use crate::upstream::connect::failure::ConnectFailure;

/// Seconds after which a process that has the turn is taken for dead. A registration is one request, with a deadline of 30.
pub(super) const LEASE_SECONDS: i64 = 60;
/// How long to wait for the turn of another process.
pub(super) const TURN_TIMEOUT: Duration = Duration::from_secs(40);
/// Time between two looks at it.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// A failure, for those who waited for the same.
type Shared = tokio::sync::Mutex<Option<ConnectFailure>>;

/// The registrations under way in this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, Weak<Shared>>>>);

/// The turn in this process; it ends when it is dropped.
pub(super) struct Turn {
    turns: Turns,
    key: String,
    shared: Arc<Shared>,
    guard: OwnedMutexGuard<Option<ConnectFailure>>,
}

impl Turns {
    /// Waits for the turn. The error is that of somebody who had it meanwhile.
    pub(super) async fn wait(
        &self,
        tenant_id: &TenantId,
        provider: &str,
        issuer: &str,
    ) -> Result<Turn, ConnectFailure> {
        let key = format!("{tenant_id} {provider} {issuer}");
        let shared = self.join(&key);
        let guard = Arc::clone(&shared).lock_owned().await;
        match &*guard {
            Some(failure) => Err(failure.clone()),
            None => Ok(Turn { turns: self.clone(), key, shared, guard }),
        }
    }

    fn join(&self, key: &str) -> Arc<Shared> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = turns.get(key).and_then(Weak::upgrade) {
            return shared;
        }
        turns.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Shared::default());
        turns.insert(key.to_owned(), Arc::downgrade(&shared));
        shared
    }
}

impl Turn {
    /// Ends it with a failure, for all who wait now; whoever comes later tries again.
    pub(super) fn fail(mut self, failure: &ConnectFailure) {
        *self.guard = Some(failure.clone());
        let mut turns = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.get(&self.key).is_some_and(|known| Weak::as_ptr(known) == Arc::as_ptr(&self.shared)) {
            turns.remove(&self.key);
        }
    }
}
