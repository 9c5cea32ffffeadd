//! The pauses after refreshes that failed.

use std::time::Duration;

use causeway_types::Timestamp;

use crate::backoff::Backoff;

/// The pauses that we choose after refreshes that failed.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_mins(5));
/// The longest pause that a server may request (`Retry-After`), in seconds.
const LONGEST_WISH_SECONDS: i64 = 3600;
/// How far the clocks of servers on one database may be apart, in seconds.
const CLOCKS_DIFFER_SECONDS: i64 = 300;
/// Seconds of continuously refused refreshes, for whatever reason, after which a session ends: a week.
pub const REFUSED_SECONDS: i64 = 604_800;

/// The minimum number of seconds until a refresh that no request waits for is tried again.
const KEEP_RETRY_SECONDS: i64 = 60;

/// When the refresh of an unused session is tried again after a failure: when the pause ends, later by up to a
/// quarter at random.
pub fn keep_alive_again_at(now: Timestamp, pause: u64, jitter: u8) -> Timestamp {
    let pause = i64::try_from(pause).unwrap_or(i64::MAX).clamp(KEEP_RETRY_SECONDS, LONGEST_WISH_SECONDS);
    now.plus(pause + pause * i64::from(jitter) / 1024)
}

/// The pause after refreshes that failed. All processes share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cooldown {
    /// Failures in a row.
    pub failures: i64,
    /// When the next try may be made.
    pub not_before: Option<Timestamp>,
}

impl Cooldown {
    /// Seconds to wait from `now` on; `None`: a refresh may be tried. No pause is longer than an hour: one
    /// that seems to be, by more than clocks differ, began before the clock was set back, and has ended.
    pub fn seconds_left(&self, now: Timestamp) -> Option<u64> {
        let left = self.not_before?.since(now);
        if (1..=LONGEST_WISH_SECONDS + CLOCKS_DIFFER_SECONDS).contains(&left) {
            u64::try_from(left).ok()
        } else {
            None
        }
    }

    /// The pause after one more failure: 2 s, doubled each time up to 5 minutes, longer by up to a half at
    /// random (`jitter`), so that many sessions do not retry at the same moment; never shorter than the server
    /// asked for, up to an hour.
    #[must_use]
    pub fn after_failure(self, now: Timestamp, retry_after: Option<u64>, jitter: u8) -> Self {
        let failures = self.failures.saturating_add(1);
        let pause = BACKOFF.seconds(failures);
        let pause = pause + pause * i64::from(jitter) / 512;
        let wish = retry_after.map_or(0, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        let not_before = Some(now.plus(pause.max(wish.min(LONGEST_WISH_SECONDS))));
        Self { failures, not_before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tried_again_when_the_pause_ends() {
        let again =
            |pause, jitter| keep_alive_again_at(Timestamp(1000), pause, jitter).since(Timestamp(1000));
        assert_eq!((again(2, 0), again(400, 0), again(u64::MAX, 0)), (60, 400, 3600));
        assert_eq!(again(400, 255), 400 + 400 * 255 / 1024);
    }

    #[test]
    fn pauses_double_and_heed_the_server() {
        let now = Timestamp(1000);
        let pause = |failures: i64, retry_after, jitter| {
            let next = Cooldown { failures, not_before: None }.after_failure(now, retry_after, jitter);
            assert_eq!(next.failures, failures + 1);
            next.seconds_left(now)
        };
        assert_eq!((pause(0, None, 0), pause(1, None, 0), pause(3, None, 0)), (Some(2), Some(4), Some(16)));
        assert_eq!((pause(3, None, 255), pause(99, None, 0)), (Some(23), Some(300)));
        assert_eq!((pause(0, Some(40), 0), pause(4, Some(1), 0)), (Some(40), Some(32)));
        assert_eq!(pause(0, Some(u64::MAX), 0), Some(3600));
        let over = Cooldown { failures: 1, not_before: Some(now) };
        assert_eq!(over.seconds_left(now), None);
        let until =
            |at: i64| Cooldown { failures: 1, not_before: Some(Timestamp(1000 + at)) }.seconds_left(now);
        assert_eq!((until(3600), until(3900)), (Some(3600), Some(3900)), "by the clock of another server");
        assert_eq!((until(3901), until(86_400)), (None, None), "a clock set back");
    }
}
