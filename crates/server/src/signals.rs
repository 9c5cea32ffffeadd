//! Signals from the operator: SIGTERM and SIGINT stop the server, SIGHUP reloads the log level, the key ring and providers.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handlers for the signals, which catch them from construction on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// Action that a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperatorSignal {
    Stop,
    Reread,
}

impl Signals {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
            hang_up: signal(SignalKind::hangup()).context("SIGHUP")?,
        })
    }

    /// Waits for the next signal. Cancel safe: no signal is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> OperatorSignal {
        tokio::select! {
            _ = self.terminate.recv() => OperatorSignal::Stop,
            _ = self.interrupt.recv() => OperatorSignal::Stop,
            _ = self.hang_up.recv() => OperatorSignal::Reread,
        }
    }

    /// Waits for the next signal to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != OperatorSignal::Stop {}
    }
}
