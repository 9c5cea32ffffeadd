//! Deadlines of database calls, and how work that outlives its caller's wait learns of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
    /// The statement that passes it on to PostgreSQL, in a transaction; `None`: the connections carry it.
    settings: Option<String>,
}

/// How long PostgreSQL lets a transaction idle.
const IDLE: Duration = Duration::from_mins(1);

impl Deadline {
    /// A deadline that the connections already carry: [`session_settings`].
    pub(crate) const fn of_connection(total: Duration) -> Self {
        Self { total, settings: None }
    }

    /// A deadline that each transaction carries itself, whatever connection it runs on.
    pub(crate) fn of_transaction(total: Duration) -> Self {
        let settings = settings(total).map(|(name, value)| format!("set_config('{name}', '{value}', true)"));
        Self { total, settings: Some(format!("SELECT {}", settings.join(", "))) }
    }

    pub(crate) fn with_pooler(total: Duration, pooler: Pooler) -> Self {
        match pooler {
            Pooler::None => Self::of_connection(total),
            Pooler::Transaction => Self::of_transaction(total),
        }
    }

    /// The statements that begin a transaction on PostgreSQL.
    pub(crate) fn begin<'a>(&'a self, begin: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::once(begin).chain(self.settings.as_deref())
    }

    /// Whether a statement may run outside of a transaction on PostgreSQL and has this deadline.
    pub(crate) const fn is_of_connection(&self) -> bool {
        self.settings.is_none()
    }

    /// When a call that starts now ends.
    pub(crate) fn ends_at(&self) -> Instant {
        Instant::now() + self.total
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
    settings(total).map(|(name, value)| format!("; SET {name} = '{value}'")).concat()
}

/// Timeouts with which PostgreSQL gives up before the caller does, so that the connection stays usable.
fn settings(total: Duration) -> [(&'static str, u128); 3] {
    [
        ("statement_timeout", (total * 3 / 4).as_millis()),
        ("lock_timeout", (total / 2).as_millis()),
        ("idle_in_transaction_session_timeout", IDLE.as_millis()),
    ]
}
