//! Token buckets, in bounded memory.

use std::collections::HashMap;

/// Maximum young buckets of one action, and as many old ones. At most some 5 MB for each action.
const CAPACITY: usize = 65_536;
/// The unit of time in buckets, in a second.
pub(super) const MICROS: i64 = 1_000_000;

/// A token bucket: a burst of up to `count`, refilled at `count` per `seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Maximum number of actions; 0 counts as 1.
    pub count: u32,
    /// The period, in seconds.
    pub seconds: u32,
}

/// A limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of this kind from this client and address: try again in {retry_after} s")]
pub struct TooMany {
    /// Seconds after which a retry makes sense.
    pub retry_after: u64,
}

/// A limit in the terms of its bucket, in microseconds.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    /// Time in which an empty bucket fills.
    window: i64,
    /// Time in which it gains one token.
    step: i64,
}

impl Rate {
    pub(super) fn of(limit: RateLimit, times: u32) -> Self {
        let window = i64::from(limit.seconds.max(1)) * MICROS;
        Self { window, step: (window / i64::from(limit.count.saturating_mul(times).max(1))).max(1) }
    }

    /// When a bucket that is empty now is full.
    const fn empty(self, now: i64) -> i64 {
        now.saturating_add(self.window)
    }

    /// When a bucket that is full at `full_at` is full after one more was taken.
    fn take(self, full_at: Option<i64>, now: i64) -> Result<i64, TooMany> {
        let full_at = full_at.unwrap_or(now).max(now);
        let after = full_at.saturating_add(self.step);
        let excess = after.saturating_sub(now).saturating_sub(self.window);
        if excess > 0 {
            return Err(TooMany { retry_after: u64::try_from((excess + MICROS - 1) / MICROS).unwrap_or(1) });
        }
        Ok(after)
    }
}

/// The buckets that an action takes from, and the rate of each.
pub(super) type Rates = [(u64, Rate); 2];

/// The time at which each bucket is full again; a bucket that is absent is full. The young ones become old
/// when there are too many, or after the time in which any of them fills; old ones that were not used in
/// that time are dropped.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    young: HashMap<u64, i64>,
    old: HashMap<u64, i64>,
    turned_at: i64,
}

impl Buckets {
    /// Takes one token from each bucket, or none at all when either is empty.
    pub(super) fn take(&mut self, rates: Rates, now: i64) -> Result<(), TooMany> {
        let after = self.after(rates, now)?;
        for (after, (key, rate)) in after.into_iter().zip(rates) {
            self.put(key, after, now, rate.window);
        }
        Ok(())
    }

    /// Whether one token could be taken from each bucket.
    pub(super) fn peek(&mut self, rates: Rates, now: i64) -> Result<(), TooMany> {
        self.after(rates, now).map(|_| ())
    }

    /// Whether one token could be taken from the first bucket.
    pub(super) fn peek_own(&mut self, [(key, rate), _]: Rates, now: i64) -> Result<(), TooMany> {
        let full_at = self.find_at(key, rate, now);
        rate.take(full_at, now).map(|_| ())
    }

    /// Takes one token from each bucket that is not empty.
    #[expect(clippy::unnecessary_wraps, reason = "as the others")]
    pub(super) fn take_what_is_there(&mut self, rates: Rates, now: i64) -> Result<(), TooMany> {
        for (key, rate) in rates {
            let full_at = self.find_at(key, rate, now);
            if let Ok(after) = rate.take(full_at, now) {
                self.put(key, after, now, rate.window);
            }
        }
        Ok(())
    }

    fn after(&mut self, rates: Rates, now: i64) -> Result<[i64; 2], TooMany> {
        // Read both before either refuses, so that both are corrected at once after the clock was set back.
        let found = rates.map(|(key, rate)| self.find_at(key, rate, now));
        let mut after = [0; 2];
        for ((after, (_, rate)), full_at) in after.iter_mut().zip(rates).zip(found) {
            *after = rate.take(full_at, now)?;
        }
        Ok(after)
    }

    /// Finds when a bucket is full. One that would be full later than an empty one was used before the clock
    /// was set back: it counts as empty now, not until the clock has caught up.
    fn find_at(&mut self, key: u64, rate: Rate, now: i64) -> Option<i64> {
        let full_at = self.find(key)?;
        if full_at <= rate.empty(now) {
            return Some(full_at);
        }
        self.put(key, rate.empty(now), now, rate.window);
        Some(rate.empty(now))
    }

    fn find(&self, key: u64) -> Option<i64> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn put(&mut self, key: u64, full_at: i64, now: i64, window: i64) {
        self.turned_at = self.turned_at.min(now);
        if self.young.len() >= CAPACITY || now.saturating_sub(self.turned_at) >= window {
            self.old = std::mem::take(&mut self.young);
            self.turned_at = now;
        }
        self.young.insert(key, full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let mut buckets = Buckets::default();
        let rate = Rate::of(RateLimit { count: 1, seconds: 60 }, 1);
        for key in 0..3 * CAPACITY as u64 {
            let _ = buckets.take([(2 * key, rate), (2 * key + 1, rate)], 0);
        }
        assert!(buckets.young.len() + buckets.old.len() <= 2 * CAPACITY);
        let _ = buckets.take([(0, rate), (1, rate)], 61 * MICROS);
        let _ = buckets.take([(0, rate), (1, rate)], 122 * MICROS);
        assert!(buckets.young.len() + buckets.old.len() <= 4, "what is full again is forgotten");
    }

    /// When both tables are full, newcomers are counted all the same, and whoever was counted stays so while as many
    /// others come as one table has room for.
    #[test]
    fn a_full_table_counts_on() {
        let mut buckets = Buckets::default();
        let rate = Rate::of(RateLimit { count: 1, seconds: 60 }, 1);
        let mut take = |n: usize| {
            let key = 2 * n as u64;
            buckets.take([(key, rate), (key + 1, rate)], 0)
        };
        let of_a_table = CAPACITY / 2;
        for n in 0..2 * of_a_table {
            assert_eq!(take(n), Ok(()));
        }
        let mut next = 2 * of_a_table;
        for newcomer in next..next + 3 {
            assert_eq!(take(newcomer), Ok(()));
            assert!(take(newcomer).is_err(), "counted at once");
        }
        next += 3;
        for _ in 0..2 {
            let counted = next;
            for n in counted..=counted + of_a_table {
                assert_eq!(take(n), Ok(()));
            }
            assert!(take(counted).is_err(), "counted still");
            next += of_a_table + 1;
        }
    }
}
