//! The runtime that connections live on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// The runtime of the process. A connection is driven by the runtime that it was opened on, and goes back to a
/// pool that all share: opened on the runtime of an HTTP worker it would end with that worker, in the middle of
/// somebody else's refresh.
#[derive(Clone, Debug)]
pub(crate) struct Home(Handle);

impl Home {
    /// The runtime that this is called on; `None` outside of one.
    pub(crate) fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }

    /// The same future, wherever it is awaited: what it starts, opens or waits for belongs to this runtime.
    pub(crate) fn of<F: Future + Unpin>(&self, future: F) -> At<'_, F> {
        At { home: self, future }
    }
}

/// A future that is polled within [`Home`].
pub(crate) struct At<'a, F> {
    home: &'a Home,
    future: F,
}

impl<F: Future + Unpin> Future for At<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = self.home.0.enter();
        Pin::new(&mut self.future).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::runtime::Builder;

    use super::*;

    /// What an HTTP worker starts outlives the worker.
    #[test]
    fn what_is_started_lives_at_home() {
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let (process, worker) = (runtime(), runtime());
        let home = process.block_on(async { Home::current().unwrap() });
        let begin = std::future::poll_fn(|_| Poll::Ready(tokio::spawn(async { Handle::current().id() })));
        let task = worker.block_on(home.of(pin!(begin)));
        let there = worker.block_on(async { Handle::current().id() });
        drop(worker);
        let ran_on = process.block_on(task).unwrap();
        assert_eq!(ran_on, process.handle().id());
        assert_ne!(ran_on, there);
    }
}
