//! The upstream refreshes that are under way in this process, and the outcome that their waiters share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use causeway_domain::session::SessionHead;
use causeway_types::UpstreamSessionId;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::session::{NotConfigured, SessionError, reauth_required};

/// The outcome of a failed flight, for those who waited for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed {
    Reauth,
    Unavailable { retry_after: u64 },
    Busy { retry_after: u64 },
    Rejected,
    Ended,
    NotConfigured,
    Internal,
}

impl Failed {
    /// Takes any error: each waiter would otherwise wait as long again, one after another.
    pub(crate) const fn of(error: &SessionError) -> Self {
        match error {
            SessionError::ReauthRequired { .. } => Self::Reauth,
            SessionError::Unavailable { retry_after } => Self::Unavailable { retry_after: *retry_after },
            SessionError::Busy { retry_after } => Self::Busy { retry_after: *retry_after },
            SessionError::RefreshRejected => Self::Rejected,
            SessionError::Ended => Self::Ended,
            SessionError::NotConfigured(_) => Self::NotConfigured,
            SessionError::Internal(_) => Self::Internal,
        }
    }

    /// The error for a caller that waited.
    pub(crate) fn into_error(self, ctx: &Ctx, head: &SessionHead) -> SessionError {
        match self {
            Self::Reauth => reauth_required(ctx, head),
            Self::Unavailable { retry_after } => SessionError::Unavailable { retry_after },
            Self::Busy { retry_after } => SessionError::Busy { retry_after },
            Self::Rejected => SessionError::RefreshRejected,
            Self::Ended => SessionError::Ended,
            Self::NotConfigured => NotConfigured(head.provider().to_owned()).into(),
            Self::Internal => Internal::Shared.into(),
        }
    }
}

type Flight = tokio::sync::Mutex<Option<Failed>>;

/// The refreshes under way in this process. A flight is removed when its refresh has ended: a later caller
/// begins another one.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight(Mutex<HashMap<UpstreamSessionId, Weak<Flight>>>);

impl SingleFlight {
    /// Runs `work` as the only flight of a session. A caller that arrives meanwhile waits: when the flight
    /// fails, it gets `failed` of the shared failure; when it succeeds, the caller runs its own work, which
    /// finds everything done.
    pub(crate) async fn run<T>(
        &self,
        id: &UpstreamSessionId,
        work: impl Future<Output = Result<T, SessionError>>,
        failed: impl FnOnce(Failed) -> SessionError,
    ) -> Result<T, SessionError> {
        let flight = self.join(id);
        let mut shared = if let Ok(first) = flight.try_lock() {
            first
        } else {
            let waited = flight.lock().await;
            if let Some(left) = *waited {
                return Err(failed(left));
            }
            waited
        };
        let outcome = work.await;
        *shared = outcome.as_ref().err().map(Failed::of);
        self.end(id, &flight);
        outcome
    }

    /// The flight of a session: the one that is under way, or a new one.
    fn join(&self, id: &UpstreamSessionId) -> Arc<Flight> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(id).and_then(Weak::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::new(Flight::default());
        flights.insert(id.clone(), Arc::downgrade(&flight));
        flight
    }

    /// Removes a flight, so that no caller joins it any more.
    fn end(&self, id: &UpstreamSessionId, flight: &Arc<Flight>) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(id).is_some_and(|known| Weak::as_ptr(known) == Arc::as_ptr(flight)) {
            flights.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::oneshot;

    use super::*;

    fn passed_on(failed: Failed) -> SessionError {
        match failed {
            Failed::Busy { retry_after } => SessionError::Busy { retry_after },
            _ => SessionError::Ended,
        }
    }

    /// Ten callers wait for one that fails: none of them tries the same again, one after another.
    #[tokio::test]
    async fn those_who_wait_share_the_outcome() {
        let (single_flight, id, works) =
            (SingleFlight::default(), UpstreamSessionId::new("us"), AtomicUsize::new(0));
        let busy = |begun: Option<oneshot::Receiver<()>>| {
            let works = &works;
            async move {
                works.fetch_add(1, Ordering::Relaxed);
                if let Some(begun) = begun {
                    let _ = begun.await;
                }
                Err::<(), _>(SessionError::Busy { retry_after: 5 })
            }
        };
        let (all_here, begun) = oneshot::channel();
        let first = single_flight.run(&id, busy(Some(begun)), passed_on);
        let others = join_all((0..10).map(|_| single_flight.run(&id, busy(None), passed_on)));
        let release = async {
            tokio::task::yield_now().await;
            let _ = all_here.send(());
        };
        let (first, others, ()) = tokio::join!(first, others, release);
        let all = others.into_iter().chain([first]);
        assert!(all.into_iter().all(|outcome| matches!(outcome, Err(SessionError::Busy { retry_after: 5 }))));
        assert_eq!(works.load(Ordering::Relaxed), 1);
        assert!(single_flight.run(&id, busy(None), passed_on).await.is_err());
        assert_eq!(works.load(Ordering::Relaxed), 2, "who comes later tries again");
    }
}
