//! Graceful shutdown: the server first reports that it is about to stop, then streams and queues end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// The state of a server: running, draining or stopping.
#[derive(Debug, Default)]
pub struct Lifecycle {
    draining: AtomicBool,
    stopping: CancellationToken,
}

impl Lifecycle {
    /// Starts draining: the server still serves requests, but load balancers should send it no more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is draining or stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Stops the server: work that would otherwise run for as long as it does, such as streams, ends now.
    pub fn stop(&self) {
        self.drain();
        self.stopping.cancel();
    }

    /// Whether the server is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Resolves when the server is stopping.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }
}
