//! Counters of a store.

use std::sync::atomic::{AtomicU64, Ordering};

use causeway_domain::measure::{Distribution, Histogram, SIZES};

/// Activity of a store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Closures that were given to [`Store::write`] and accepted.
    pub writes: u64,
    /// Closures that were given to [`Store::read`].
    pub reads: u64,
    /// SQLite: commits. `writes / batches` is the mean size of a batch.
    pub batches: u64,
    /// SQLite: closures in the largest commit.
    pub largest_batch: u64,
    /// SQLite: batches that were lost as a whole.
    pub lost_batches: u64,
    /// SQLite: closures that wait for the writer now.
    pub queue_depth: u64,
    /// SQLite: batches that were run again because a closure failed; PostgreSQL: transactions that were run
    /// again because another one was first.
    pub retries: u64,
    /// Callers that got an error because the database did not answer in time.
    pub timeouts: u64,
}

#[derive(Debug)]
pub(crate) struct Counters {
    writes: AtomicU64,
    reads: AtomicU64,
    batches: AtomicU64,
    largest_batch: AtomicU64,
    lost_batches: AtomicU64,
    retries: AtomicU64,
    timeouts: AtomicU64,
    batch_sizes: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            writes: AtomicU64::default(),
            reads: AtomicU64::default(),
            batches: AtomicU64::default(),
            largest_batch: AtomicU64::default(),
            lost_batches: AtomicU64::default(),
            retries: AtomicU64::default(),
            timeouts: AtomicU64::default(),
            batch_sizes: Histogram::new(&SIZES),
        }
    }
}

impl Counters {
    pub(crate) fn note_batch(&self, closures: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.largest_batch.fetch_max(closures as u64, Ordering::Relaxed);
        self.batch_sizes.observe(closures as u64);
    }

    pub(crate) fn note_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_lost(&self) {
        self.lost_batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_timeout(&self) {
        self.timeouts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn batch_sizes(&self) -> Distribution {
        self.batch_sizes.read()
    }

    pub(crate) fn read(&self, queue_depth: u64) -> StoreStats {
        StoreStats {
            writes: self.writes.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            largest_batch: self.largest_batch.load(Ordering::Relaxed),
            lost_batches: self.lost_batches.load(Ordering::Relaxed),
            queue_depth,
            retries: self.retries.load(Ordering::Relaxed),
            timeouts: self.timeouts.load(Ordering::Relaxed),
        }
    }
}
