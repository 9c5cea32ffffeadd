//! Limits the write-ahead log of a SQLite database.
//!
//! SQLite copies the log into the file by itself, and restarts it when no reader uses it at that moment.
//! Under overlapping readers there is no such moment, and it grows. So a log that is too long is emptied
//! explicitly: new readers wait for nothing, the writer waits briefly for those that still need it.

use std::path::PathBuf;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;

use crate::engine::conn::{AnyConnection, DatabaseFile, busy_timeout};
use crate::engine::options::StoreOptions;

/// How long the writer waits for readers that still need the log.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(200);

/// The log of the writer's database.
pub(crate) struct WriteAheadLog {
    path: PathBuf,
    limit: u64,
    /// The length at which emptying it is tried next: a long-running reader is not waited for at each commit.
    next: u64,
    lock_timeout: Duration,
}

impl WriteAheadLog {
    pub(crate) fn new(file: &DatabaseFile, options: StoreOptions) -> Self {
        let mut path = file.path().as_os_str().to_owned();
        path.push("-wal");
        let limit = options.wal_limit.max(1);
        Self { path: path.into(), limit, next: limit, lock_timeout: options.timeout / 2 }
    }

    /// Empties the log when it is too long. Called by the writer, between two commits.
    pub(crate) fn limit(&mut self, conn: &mut AnyConnection) {
        let length = self.length();
        if length < self.next {
            return;
        }
        let (wait, back) = (busy_timeout(CHECKPOINT_TIMEOUT), busy_timeout(self.lock_timeout));
        let emptied = conn.batch_execute(&format!("{wait} PRAGMA wal_checkpoint(TRUNCATE);"));
        let _ = conn.batch_execute(&back);
        let left = self.length();
        self.next = if left < self.limit { self.limit } else { left + self.limit };
        tracing::debug!(name: "store.checkpoint", length, left, ok = emptied.is_ok());
    }

    fn length(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}
