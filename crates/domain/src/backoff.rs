//! Exponential backoff.

use std::time::Duration;

/// Exponential backoff: a pause that doubles with each failure in a row, up to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after this many failures in a row.
    pub fn pause(self, failures: i64) -> Duration {
        let doublings = failures.clamp(1, 32) - 1;
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// The same in whole seconds.
    pub fn seconds(self, failures: i64) -> i64 {
        i64::try_from(self.pause(failures).as_secs()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds = Backoff::new(Duration::from_secs(15), Duration::from_hours(1));
        let found = [i64::MIN, 0, 1, 2, 3, 8, 9, 33, i64::MAX].map(|failures| seconds.seconds(failures));
        assert_eq!(found, [15, 15, 15, 30, 60, 1920, 3600, 3600, 3600]);
        let millis = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        assert_eq!([1, 2, 6, 7].map(|failures| millis.pause(failures).as_millis()), [100, 200, 3200, 5000]);
        let unbounded = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!((unbounded.pause(32), unbounded.seconds(99)), (Duration::MAX, i64::MAX));
    }
}
