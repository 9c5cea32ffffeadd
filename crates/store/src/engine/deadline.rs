//! Deadlines of database calls, and how work that outlives its caller's wait learns of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::engine::error::StoreError;
use crate::engine::options::Pooler;

/// Marks work whose caller was told that it failed: it must not be committed any more. The work of a caller
/// who merely went away is committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The deadline of a call on our side, and the statements that pass it on to PostgreSQL.
#[derive(Debug)]
pub(crate) struct Deadline {
    total: Duration,
    /// Begins a reading transaction on PostgreSQL.
    pub(crate) begin_read: String,
    /// Begins a writing transaction on PostgreSQL.
    pub(crate) begin_write: String,
}

/// Seconds after which PostgreSQL ends an idle transaction.
const IDLE_SECONDS: u32 = 60;

impl Deadline {
    /// A deadline that the connections already carry: [`session_settings`].
    pub(crate) fn of_connection(total: Duration) -> Self {
        Self::beginning(total, "")
    }

    /// A deadline that each transaction carries itself, whatever connection it runs on.
    pub(crate) fn of_transaction(total: Duration) -> Self {
        Self::beginning(total, &settings("SET LOCAL", total))
    }

    pub(crate) fn with_pooler(total: Duration, pooler: Pooler) -> Self {
        match pooler {
            Pooler::None => Self::of_connection(total),
            Pooler::Transaction => Self::of_transaction(total),
        }
    }

    fn beginning(total: Duration, settings: &str) -> Self {
        Self {
            total,
            begin_read: format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY{settings}"),
            begin_write: format!("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE{settings}"),
        }
    }

    /// Waits for `work` until the deadline.
    pub(crate) async fn hold<T, E: From<StoreError>>(
        &self,
        abandoned: &Abandoned,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if let Ok(done) = tokio::time::timeout(self.total, work).await {
            return done;
        }
        abandoned.set();
        let waited = self.total.as_millis();
        Err(StoreError::unavailable(format!("no response from the database within {waited} ms")).into())
    }
}

/// The settings of a connection that is not shared.
pub(crate) fn session_settings(total: Duration) -> String {
    settings("SET", total)
}

/// Timeouts with which PostgreSQL gives up before the caller does, so that the connection stays usable.
fn settings(set: &str, total: Duration) -> String {
    let (statement, lock) = (total * 3 / 4, total / 2);
    format!(
        "; {set} statement_timeout = {}; {set} lock_timeout = {}; \
         {set} idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
        statement.as_millis(),
        lock.as_millis()
    )
}
