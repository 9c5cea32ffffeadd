//! A clock that tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use causeway_domain::{Clock, SystemClock};
use causeway_types::Timestamp;

/// A clock that stands still until it is advanced. Clones share the time.
#[derive(Clone, Debug)]
pub struct MockClock(Arc<AtomicI64>);

impl MockClock {
    /// A clock set to the current time.
    pub fn now_or_never() -> Self {
        Self(Arc::new(AtomicI64::new(SystemClock.now().as_secs())))
    }

    /// Advances the clock.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for MockClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
