//! Rate limits: token buckets in bounded memory.

use std::hash::Hash;

use causeway_types::Timestamp;

use crate::BoundedMap;

/// The unit of time in buckets, in a second.
const MICROS: i64 = 1_000_000;
/// Full buckets that are dropped when another one is stored: one request does not pay for all of them.
const DROPPED_AT_ONCE: usize = 4;

/// The size of a token bucket: a burst of up to `count`, refilled at `count` per `seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Maximum number of actions; 0 counts as 1.
    pub count: u32,
    /// The period, in seconds.
    pub seconds: u32,
}

impl RateLimit {
    /// Microseconds in which an empty bucket fills.
    fn window(self) -> i64 {
        i64::from(self.seconds.max(1)) * MICROS
    }

    /// Microseconds in which a bucket gains one token.
    fn step(self) -> i64 {
        (self.window() / i64::from(self.count.max(1))).max(1)
    }
}

/// The rate limit is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of this kind from this client and address: try again in {retry_after} s")]
pub struct TooMany {
    /// Seconds after which a retry makes sense.
    pub retry_after: u64,
}

/// Token buckets by key. When there are too many, the one that was asked longest ago is dropped, which fills it. A refusal
/// counts as asking: whoever keeps trying does not outlive the count.
///
/// An action may count against several buckets, each with its own limit. It needs a token of all of them.
#[derive(Clone, Debug)]
pub struct RateLimiter<K> {
    /// When each bucket is full again, in microseconds. One that is absent is full.
    full_at: BoundedMap<K, i64>,
}

impl<K: Eq + Hash + Clone> RateLimiter<K> {
    /// Creates a limiter that stores at most `capacity` buckets. A bucket that is not stored is full.
    pub fn new(capacity: usize) -> Self {
        Self { full_at: BoundedMap::new(capacity) }
    }

    /// Takes one token from each bucket, or none at all when one of them is empty.
    ///
    /// # Errors
    /// [`TooMany`], with the longest wait.
    pub fn acquire(&mut self, buckets: &[(K, RateLimit)], now: Timestamp) -> Result<(), TooMany> {
        self.check(buckets, now)?;
        self.acquire_available(buckets, now);
        Ok(())
    }

    /// Checks whether one token could be taken from each bucket. Takes none.
    ///
    /// # Errors
    /// [`TooMany`], with the longest wait.
    pub fn check(&mut self, buckets: &[(K, RateLimit)], now: Timestamp) -> Result<(), TooMany> {
        let now = micros(now);
        // Reads all before one refuses, so that all are corrected at once after the clock was set back.
        let free_at =
            buckets.iter().map(|(key, limit)| self.full_at(key, *limit, now) + limit.step() - limit.window());
        match free_at.max() {
            Some(at) if at > now => {
                Err(TooMany { retry_after: u64::try_from((at - now + MICROS - 1) / MICROS).unwrap_or(1) })
            }
            _ => Ok(()),
        }
    }

    /// Takes one token from each bucket that is not empty.
    pub fn acquire_available(&mut self, buckets: &[(K, RateLimit)], now: Timestamp) {
        let now = micros(now);
        for (key, limit) in buckets {
            let after = self.full_at(key, *limit, now) + limit.step();
            if after - limit.window() <= now {
                self.put(key, after, now);
            }
        }
    }

    /// Gives one token back to each bucket: what was counted did not happen.
    pub fn release(&mut self, buckets: &[(K, RateLimit)]) {
        for (key, limit) in buckets {
            if let Some(full_at) = self.full_at.get_mut(key) {
                *full_at = full_at.saturating_sub(limit.step());
            }
        }
    }

    /// Buckets that are stored.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether no bucket is stored.
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    /// When a bucket is full. One that would be full later than an empty one was used before the clock was set
    /// back: it counts as empty now, not until the clock has caught up.
    fn full_at(&mut self, key: &K, limit: RateLimit, now: i64) -> i64 {
        let Some(full_at) = self.full_at.touch(key) else { return now };
        *full_at = (*full_at).min(now + limit.window());
        (*full_at).max(now)
    }

    fn put(&mut self, key: &K, full_at: i64, now: i64) {
        for _ in 0..DROPPED_AT_ONCE {
            if self.full_at.pop_oldest_if(|full_at| *full_at <= now).is_none() {
                break;
            }
        }
        self.full_at.put(key.clone(), full_at);
    }
}

/// A time in the unit of buckets, from 1970 on; what is added to it does not overflow.
fn micros(now: Timestamp) -> i64 {
    now.as_secs().saturating_mul(MICROS).clamp(0, i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE_A_MINUTE: RateLimit = RateLimit { count: 3, seconds: 60 };
    const ONE_A_MINUTE: RateLimit = RateLimit { count: 1, seconds: 60 };

    fn too_many(retry_after: u64) -> Result<(), TooMany> {
        Err(TooMany { retry_after })
    }

    #[test]
    fn so_many_at_once_then_at_the_rate() {
        let mut limiter = RateLimiter::new(10);
        let mut take = |now| limiter.acquire(&[("a", THREE_A_MINUTE)], Timestamp(now));
        assert_eq!([take(1000), take(1000), take(1000), take(1000)], [Ok(()), Ok(()), Ok(()), too_many(20)]);
        assert_eq!([take(1019), take(1020), take(1020)], [too_many(1), Ok(()), too_many(20)]);
        assert_eq!([take(1060), take(1060), take(1060)], [Ok(()), Ok(()), too_many(20)]);
    }

    #[test]
    fn limits_of_nothing_are_limits_of_one() {
        let mut limiter = RateLimiter::new(10);
        let nothing = [("a", RateLimit { count: 0, seconds: 0 })];
        assert_eq!(limiter.acquire(&nothing, Timestamp(0)), Ok(()));
        assert_eq!(limiter.acquire(&nothing, Timestamp(0)), too_many(1));
        assert_eq!(limiter.acquire(&nothing, Timestamp(1)), Ok(()));
    }

    #[test]
    fn a_clock_that_was_set_back_shuts_nobody_out() {
        let mut limiter = RateLimiter::new(10);
        let a = [("a", THREE_A_MINUTE)];
        for _ in 0..3 {
            assert_eq!(limiter.acquire(&a, Timestamp(1_000_000)), Ok(()));
        }
        assert_eq!(limiter.check(&a, Timestamp(1000)), too_many(20), "nor is anything gained by it");
        assert_eq!(limiter.check(&a, Timestamp(1019)), too_many(1));
        assert_eq!(limiter.acquire(&a, Timestamp(1020)), Ok(()));
        assert_eq!(limiter.acquire(&a, Timestamp(1020)), too_many(20));
        for (key, end) in [("b", Timestamp(i64::MAX)), ("c", Timestamp(i64::MIN))] {
            assert_eq!(limiter.acquire(&[(key, ONE_A_MINUTE)], end), Ok(()), "{end:?}");
            assert_eq!(limiter.acquire(&[(key, ONE_A_MINUTE)], end), too_many(60), "{end:?}");
        }
    }

    #[test]
    fn several_buckets_give_all_or_nothing() {
        let mut limiter = RateLimiter::new(10);
        let (both, b) = ([("a", THREE_A_MINUTE), ("b", ONE_A_MINUTE)], [("b", ONE_A_MINUTE)]);
        assert_eq!(limiter.acquire(&both, Timestamp(0)), Ok(()));
        for _ in 0..10 {
            assert_eq!(limiter.acquire(&both, Timestamp(0)), too_many(60), "the longest wait");
        }
        let a = [("a", THREE_A_MINUTE)];
        assert_eq!([limiter.acquire(&a, Timestamp(0)), limiter.acquire(&a, Timestamp(0))], [Ok(()), Ok(())]);
        assert_eq!(limiter.check(&a, Timestamp(0)), too_many(20));
        assert_eq!(limiter.check(&b, Timestamp(60)), Ok(()));
    }

    #[test]
    fn available_tokens_are_taken_though_another_bucket_is_empty() {
        let mut limiter = RateLimiter::new(10);
        let (a, b) = (("a", ONE_A_MINUTE), ("b", ONE_A_MINUTE));
        limiter.acquire_available(&[a], Timestamp(0));
        limiter.acquire_available(&[a, b], Timestamp(0));
        assert_eq!(limiter.check(&[b], Timestamp(0)), too_many(60));
        assert_eq!(limiter.check(&[a], Timestamp(60)), Ok(()), "an empty bucket does not become emptier");
    }

    #[test]
    fn released_tokens_can_be_taken_again() {
        let mut limiter = RateLimiter::new(10);
        let both = [("a", ONE_A_MINUTE), ("b", THREE_A_MINUTE)];
        for _ in 0..100 {
            assert_eq!(limiter.acquire(&both, Timestamp(0)), Ok(()));
            limiter.release(&both);
        }
        for _ in 0..100 {
            limiter.release(&both);
        }
        assert_eq!(limiter.acquire(&both, Timestamp(0)), Ok(()));
        assert_eq!(
            limiter.acquire(&both, Timestamp(0)),
            too_many(60),
            "a bucket holds no more than its size"
        );
    }

    #[test]
    fn an_exhausted_bucket_that_is_asked_stays() {
        let mut limiter = RateLimiter::new(100);
        let exhausted = [(0, ONE_A_MINUTE)];
        assert_eq!(limiter.acquire(&exhausted, Timestamp(0)), Ok(()));
        for key in 1..1000 {
            assert_eq!(limiter.acquire(&exhausted, Timestamp(0)), too_many(60), "{key}");
            assert_eq!(limiter.acquire(&[(key, ONE_A_MINUTE)], Timestamp(0)), Ok(()));
        }
    }

    /// In a full table, newcomers are counted all the same, and stay so while fewer others come than there is room for.
    #[test]
    fn a_full_table_counts_on() {
        let mut limiter = RateLimiter::new(100);
        let mut take = |key: u32| limiter.acquire(&[(key, ONE_A_MINUTE)], Timestamp(0));
        for key in 0..200 {
            assert_eq!(take(key), Ok(()));
        }
        for newcomer in 200..203 {
            assert_eq!(take(newcomer), Ok(()));
            assert_eq!(take(newcomer), too_many(60), "counted at once");
        }
        for other in 203..302 {
            assert_eq!(take(other), Ok(()));
        }
        assert_eq!(take(202), too_many(60), "counted still");
    }

    #[test]
    fn memory_is_bounded_and_frees_itself() {
        let mut limiter = RateLimiter::new(100);
        for key in 0..300 {
            let _ = limiter.acquire(&[(key, ONE_A_MINUTE)], Timestamp(0));
        }
        assert_eq!(limiter.len(), 100);
        assert_eq!(limiter.check(&[(299, ONE_A_MINUTE)], Timestamp(0)), too_many(60));
        assert_eq!(limiter.check(&[(0, ONE_A_MINUTE)], Timestamp(0)), Ok(()), "the oldest was dropped");
        for key in 300..330 {
            let _ = limiter.acquire(&[(key, ONE_A_MINUTE)], Timestamp(60));
        }
        assert_eq!(limiter.len(), 30, "buckets that are full again are dropped");
        assert!(!limiter.is_empty() && RateLimiter::<u8>::new(1).is_empty());
    }
}
