//! The end of a server: first it says that it is about to stop, then streams and queues end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Where a server is on its way from start to stop.
#[derive(Debug, Default)]
pub struct Lifecycle {
    draining: AtomicBool,
    stopping: CancellationToken,
}

impl Lifecycle {
    /// The server is about to stop: it still serves, and whoever spreads requests sends it no more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop, or stops.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The server stops: what would go on for as long as it runs ends now.
    pub fn stop(&self) {
        self.drain();
        self.stopping.cancel();
    }

    /// Whether the server stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Resolves when the server stops.
    pub(crate) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }
}
