//! Sizes and deadlines of a store.

use std::time::Duration;

/// A proxy between this program and a PostgreSQL server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// None, or one that gives each client a connection of its own (PgBouncer's `pool_mode = session`).
    #[default]
    None,
    /// One that gives each transaction another connection (PgBouncer's `pool_mode = transaction`): nothing may
    /// outlive a transaction, neither prepared statements nor what `SET` changed.
    Transaction,
}

/// Sizes and deadlines of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// SQLite: connections that read at the same time.
    pub read_connections: usize,
    /// SQLite: closures that may wait for the writer; further callers wait to enter the queue.
    pub queue_limit: usize,
    /// SQLite: closures in one commit at most.
    pub batch_limit: usize,
    /// SQLite: bytes of the write-ahead log from which it is emptied as soon as no reader needs it.
    pub wal_limit: u64,
    /// PostgreSQL: connections at most, readers and writers together.
    pub postgres_connections: usize,
    /// PostgreSQL: the proxy before it.
    pub pooler: Pooler,
    /// Callers that may wait for the database at the same time; more are refused at once.
    pub waiting_limit: usize,
    /// How long a caller waits for its result, the wait for a connection included. PostgreSQL itself ends a statement
    /// after three quarters of that, and the wait for a lock after half of it; SQLite's writer waits half of it
    /// for a lock of another process.
    pub timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            read_connections: 4,
            queue_limit: 1024,
            batch_limit: 128,
            wal_limit: 64 * 1024 * 1024,
            postgres_connections: 10,
            pooler: Pooler::None,
            waiting_limit: 4096,
            timeout: Duration::from_secs(4),
        }
    }
}
