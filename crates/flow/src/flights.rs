//! The upstream refreshes that are under way in this process, and what those who wait for one share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use causeway_domain::UpstreamSessionId;
use causeway_domain::session::SessionHead;

use crate::ctx::Ctx;
use crate::session::{SessionError, reauth_required};

/// What a flight that failed leaves for those who waited for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed {
    Reauth,
    Unavailable { retry_after: u64 },
}

impl Failed {
    pub(crate) fn of(error: &SessionError) -> Option<Self> {
        match error {
            SessionError::ReauthRequired { .. } => Some(Self::Reauth),
            SessionError::Unavailable { retry_after } => {
                Some(Self::Unavailable { retry_after: *retry_after })
            }
            SessionError::Busy { .. } | SessionError::Ended | SessionError::Internal(_) => None,
        }
    }

    /// What it is to somebody who waited.
    pub(crate) fn into_error(self, ctx: &Ctx, head: &SessionHead) -> SessionError {
        match self {
            Self::Reauth => reauth_required(ctx, head),
            Self::Unavailable { retry_after } => SessionError::Unavailable { retry_after },
        }
    }
}

pub(crate) type Flight = tokio::sync::Mutex<Option<Failed>>;

/// The refreshes under way in this process. A flight is gone with the last who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<UpstreamSessionId, Weak<Flight>>>);

impl Flights {
    /// The flight of a session: a new one, or the one that is under way.
    pub(crate) fn join(&self, id: &UpstreamSessionId) -> Arc<Flight> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(id).and_then(Weak::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::new(Flight::default());
        flights.insert(id.clone(), Arc::downgrade(&flight));
        flight
    }
}
