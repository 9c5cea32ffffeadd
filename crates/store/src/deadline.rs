//! How long a caller waits for the database, and what the work is told that outlived its caller's wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::StoreError;
use crate::options::Pooler;

/// Tells work that goes on elsewhere that its caller was told it failed: it must not be committed any more. A
/// caller who merely went away says nothing, and its work is committed.
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

/// The deadline of a call from this side, and the statements that tell PostgreSQL of it.
#[derive(Debug)]
pub(crate) struct Deadline {
    total: Duration,
    /// How a transaction that reads begins on PostgreSQL.
    pub(crate) begin_read: String,
    /// How one that writes begins.
    pub(crate) begin_write: String,
}

/// Seconds after which PostgreSQL ends a transaction whose client says nothing.
const IDLE_SECONDS: u32 = 60;

impl Deadline {
    /// One that the connections carry already: [`session_settings`].
    pub(crate) fn of_connection(total: Duration) -> Self {
        Self::beginning(total, "")
    }

    /// One that each transaction carries itself, whatever connection it runs on.
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
        Err(StoreError::unavailable(format!("no answer from the database within {waited} ms")).into())
    }
}

/// The settings of a connection that is ours alone.
pub(crate) fn session_settings(total: Duration) -> String {
    settings("SET", total)
}

/// What PostgreSQL does by itself before the caller gives up: then the connection stays of use.
fn settings(set: &str, total: Duration) -> String {
    let (statement, lock) = (total * 3 / 4, total / 2);
    format!(
        "; {set} statement_timeout = {}; {set} lock_timeout = {}; \
         {set} idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
        statement.as_millis(),
        lock.as_millis()
    )
}
