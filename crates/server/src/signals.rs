//! Signals of the operator: SIGTERM and SIGINT stop the server, SIGHUP has it read things anew.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that are listened for, from the moment on at which this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperatorSignal {
    Stop,
    Reread,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
            hang_up: signal(SignalKind::hangup()).context("SIGHUP")?,
        })
    }

    /// The next signal. None is lost when the caller gives up waiting.
    pub(crate) async fn next(&mut self) -> OperatorSignal {
        tokio::select! {
            _ = self.terminate.recv() => OperatorSignal::Stop,
            _ = self.interrupt.recv() => OperatorSignal::Stop,
            _ = self.hang_up.recv() => OperatorSignal::Reread,
        }
    }

    /// The next signal to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != OperatorSignal::Stop {}
    }
}
