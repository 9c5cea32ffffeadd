//! Time, passed in: a test moves it, nothing sleeps to wait for an expiry.

use std::fmt;
use std::time::Duration;

use causeway_types::{Timestamp, UnixMillis};

/// Where the time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// The time now, as exactly as the clock knows it.
    fn unix_millis(&self) -> UnixMillis {
        self.now().into()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place where the system clock is read")]
    fn since_epoch() -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(Self::since_epoch().as_secs()).unwrap_or(i64::MAX))
    }

    fn unix_millis(&self) -> UnixMillis {
        UnixMillis::from_millis(u64::try_from(Self::since_epoch().as_millis()).unwrap_or(u64::MAX))
    }
}
