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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp(7)
        }
    }

    #[test]
    fn seconds_and_milliseconds_since_1970() {
        assert_eq!(Stopped.unix_millis(), UnixMillis::from_millis(7_000));
        let (before, millis, after) = (SystemClock.now(), SystemClock.unix_millis(), SystemClock.now());
        let seconds = i64::try_from(millis.as_millis() / 1000).unwrap();
        assert!(before.as_secs() <= seconds && seconds <= after.as_secs(), "{before:?} {millis:?} {after:?}");
        assert!(seconds > 1_700_000_000, "it was written in 2026");
    }
}
