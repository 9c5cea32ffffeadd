//! Counts and distributions that many threads add to, in a few nanoseconds and without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of a [`Histogram`]; values above the last have a bucket of their own.
pub type Bounds = [u64; 14];

/// Microseconds, from a tenth of a millisecond to half a minute.
pub static MICROSECONDS: Bounds = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// Sizes, from one to some thousands.
pub static SIZES: Bounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The current value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How values are distributed.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static Bounds,
    counts: [Counter; 15],
    sum: Counter,
}

/// A [`Histogram`] at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// For each bound, how many values are not larger; each count holds the ones before.
    pub up_to: [(u64, u64); 14],
    /// The number of values.
    pub count: u64,
    /// The sum of the values.
    pub sum: u64,
}

impl Histogram {
    /// An empty one. `bounds` grow.
    pub fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, counts: Default::default(), sum: Counter::default() }
    }

    /// Adds a value.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.add(1);
        }
        self.sum.add(value);
    }

    /// Adds a time, in microseconds.
    pub fn observe_time(&self, time: std::time::Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The current value.
    pub fn read(&self) -> Distribution {
        let mut count = 0;
        let mut up_to = self.bounds.map(|bound| (bound, 0));
        for ((_, so_far), own) in up_to.iter_mut().zip(&self.counts) {
            count += own.get();
            *so_far = count;
        }
        count += self.counts.last().map_or(0, Counter::get);
        Distribution { up_to, count, sum: self.sum.get() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_holds_it() {
        let sizes = Histogram::new(&SIZES);
        for value in [0, 1, 2, 3, 4, 100, 1_000_000] {
            sizes.observe(value);
        }
        let read = sizes.read();
        assert_eq!((read.count, read.sum), (7, 1_000_110));
        assert_eq!(read.up_to[..4], [(1, 2), (2, 3), (4, 5), (8, 5)]);
        assert_eq!((read.up_to[7], read.up_to[13]), ((128, 6), (8192, 6)));
    }

    #[test]
    fn times_are_in_microseconds() {
        let times = Histogram::new(&MICROSECONDS);
        times.observe_time(Duration::from_micros(101));
        times.observe_time(Duration::from_secs(1));
        let read = times.read();
        assert_eq!((read.count, read.sum), (2, 1_000_101));
        assert_eq!((read.up_to[0], read.up_to[1], read.up_to[11]), ((100, 0), (250, 1), (1_000_000, 2)));
    }
}
