//! The runtimes that connections live on.
//!
//! A connection is driven by the runtime it was opened on. Requests that must not be cut short, above all
//! refreshes, use connections of the process, which all callers share ([`ProcessRuntime`]): on the runtime of an HTTP
//! worker they would end with that worker, in the middle of another caller's refresh. A call that a request
//! at a worker waits for anyway uses connections of that worker ([`PerRuntime`]): switching threads for each
//! part of the request and the response takes longer than everything we do for a small call.

use std::future::Future;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};
use std::task::{Context, Poll};

use tokio::runtime::{Handle, Id};

/// The runtime of the process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessRuntime(Handle);

impl ProcessRuntime {
    /// The runtime that this is called on; `None` outside of one.
    pub(crate) fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }

    /// The id of that runtime.
    pub(crate) fn id(&self) -> Id {
        self.0.id()
    }

    /// Wraps a future so that what it starts, opens or waits for belongs to this runtime, wherever it is
    /// awaited.
    pub(crate) fn of<F: Future + Unpin>(&self, future: F) -> At<'_, F> {
        At { runtime: self, future }
    }
}

/// A future that is polled within [`ProcessRuntime`].
pub(crate) struct At<'a, F> {
    runtime: &'a ProcessRuntime,
    future: F,
}

impl<F: Future + Unpin> Future for At<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = self.runtime.0.enter();
        Pin::new(&mut self.future).poll(context)
    }
}

/// One value for each runtime that asks for it, stored as long as this lives. A process has one runtime for
/// each HTTP worker, and its own. Should tokio reuse the id of a runtime that ended, the new one finds dead
/// connections and opens others.
pub(crate) struct PerRuntime<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    made: RwLock<Vec<(Id, T)>>,
}

impl<T: Clone> PerRuntime<T> {
    /// Values by `make`.
    pub(crate) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), made: RwLock::default() }
    }

    /// The value of the runtime with this id.
    pub(crate) fn of(&self, runtime: Id) -> T {
        let find =
            |made: &[(Id, T)]| made.iter().find(|(id, _)| *id == runtime).map(|(_, value)| value.clone());
        if let Some(value) = find(&self.made.read().unwrap_or_else(PoisonError::into_inner)) {
            return value;
        }
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        find(&made).unwrap_or_else(|| {
            let value = (self.make)();
            made.push((runtime, value.clone()));
            value
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::runtime::Builder;

    use super::*;

    /// Tasks started by an HTTP worker outlive the worker.
    #[test]
    fn what_is_started_lives_at_home() {
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let (process, worker) = (runtime(), runtime());
        let runtime = process.block_on(async { ProcessRuntime::current().unwrap() });
        let begin = std::future::poll_fn(|_| Poll::Ready(tokio::spawn(async { Handle::current().id() })));
        let task = worker.block_on(runtime.of(pin!(begin)));
        let there = worker.block_on(async { Handle::current().id() });
        drop(worker);
        let ran_on = process.block_on(task).unwrap();
        assert_eq!(ran_on, process.handle().id());
        assert_ne!(ran_on, there);
    }

    #[test]
    fn each_runtime_has_its_own() {
        let count = AtomicU32::new(0);
        let values = PerRuntime::new(move || count.fetch_add(1, Ordering::Relaxed));
        let runtimes = [(); 2].map(|()| Builder::new_current_thread().build().unwrap());
        let of = |n: usize| values.of(runtimes[n].handle().id());
        assert_eq!([of(0), of(1), of(0), of(1)], [0, 1, 0, 1]);
    }
}
