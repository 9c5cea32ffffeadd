//! The one writer of a SQLite database: what waits together is committed together.
//!
//! The closures that wait when the writer looks, and those that come while these run, run one after the
//! other, each in a savepoint of one `BEGIN IMMEDIATE`; one `COMMIT` makes all of them durable, and only then is any caller answered,
//! because what a closure saw may be the work of the closure before it. An error or a panic rolls
//! back its own savepoint. SQLite itself may end the transaction (disk full, I/O error, no memory):
//! then the savepoint is gone too, and every caller of the batch gets a retryable error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use diesel::connection::{
    AnsiTransactionManager, SimpleConnection, TransactionManager, TransactionManagerStatus,
};
use diesel::{RunQueryDsl as _, SqliteConnection, sql_query};
use tokio::sync::{mpsc, oneshot};

use crate::conn::{AnyConnection, DatabaseFile};
use crate::error::StoreError;
use crate::fixed::fixed;
use crate::store::Counters;

/// A closure on its way to the writer, with whom to answer.
pub(crate) trait Job: Send {
    /// Runs the closure and keeps its result; whether its changes stay.
    fn run(&mut self, conn: &mut AnyConnection) -> bool;
    /// Answers the caller: with the result, or with what became of the batch.
    fn answer(self: Box<Self>, batch: Result<(), StoreError>);
}

struct Closure<T, E, F> {
    run: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Closure<T, E, F>
where
    F: FnMut(&mut AnyConnection) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, conn: &mut AnyConnection) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| (self.run)(conn)))
            .unwrap_or_else(|_| Err(StoreError::Panicked.into()));
        let stays = result.is_ok();
        self.result = Some(result);
        stays
    }

    fn answer(self: Box<Self>, batch: Result<(), StoreError>) {
        let result = match (batch, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::TransactionLost("not run".to_owned()).into()),
            (Err(error), _) => Err(error.into()),
        };
        // A caller who went away does not mind.
        let _ = self.reply.send(result);
    }
}

/// The sending side of the writer.
pub(crate) type Queue = mpsc::Sender<Box<dyn Job>>;

/// Packs a closure for the writer.
pub(crate) fn job<T, E, F>(run: F, reply: oneshot::Sender<Result<T, E>>) -> Box<dyn Job>
where
    F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    Box::new(Closure { run, result: None, reply })
}

/// Starts the writer's thread. It ends when every [`Queue`] is gone and everything accepted is done.
pub(crate) fn spawn(
    conn: SqliteConnection,
    file: DatabaseFile,
    queue_limit: usize,
    batch_limit: usize,
    counters: Arc<Counters>,
) -> std::io::Result<(Queue, JoinHandle<()>)> {
    let (queue, mut waiting) = mpsc::channel::<Box<dyn Job>>(queue_limit.max(1));
    let batch_limit = batch_limit.max(1);
    let mut conn = AnyConnection::Sqlite(conn);
    let thread = std::thread::Builder::new().name("causeway-writer".to_owned()).spawn(move || {
        let mut batch = Vec::with_capacity(batch_limit);
        while let Some(first) = waiting.blocking_recv() {
            batch.push(first);
            let late = || waiting.try_recv().ok();
            let outcome = commit_together(&mut conn, &file, &mut batch, batch_limit, late);
            let closures = batch.len();
            counters.note_batch(closures);
            for job in batch.drain(..) {
                // Dropping what a closure held must not take the writer along.
                if catch_unwind(AssertUnwindSafe(|| job.answer(outcome.clone()))).is_err() {
                    say(|| {
                        tracing::error!(name: "store.answer_panicked", "a closure panicked when it was dropped");
                    });
                }
            }
            if let Err(error) = outcome {
                counters.note_lost();
                say(|| tracing::error!(name: "store.batch_lost", %error, closures));
            }
        }
    })?;
    Ok((queue, thread))
}

/// Says something in the log. A log that cannot be written, or a panic in it, must not take the writer along.
fn say(words: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(words));
}

/// Runs the batch and whatever arrives while it runs, up to `limit` closures: who comes before the
/// commit shares it.
fn commit_together(
    conn: &mut AnyConnection,
    file: &DatabaseFile,
    batch: &mut Vec<Box<dyn Job>>,
    limit: usize,
    mut late: impl FnMut() -> Option<Box<dyn Job>>,
) -> Result<(), StoreError> {
    file.check()?;
    begin(conn)?;
    let mut done = 0;
    while let Some(job) = batch.get_mut(done) {
        if let Err(error) = run_in_savepoint(conn, job.as_mut()) {
            abandon(conn);
            return Err(lost(error));
        }
        done += 1;
        while batch.len() < limit {
            let Some(job) = late() else { break };
            batch.push(job);
        }
    }
    let committed = conn.batch_execute("COMMIT");
    if let Err(error) = committed {
        abandon(conn);
        return Err(lost(error));
    }
    forget_transaction(conn);
    Ok(())
}

/// An error from here means that the transaction is gone.
fn run_in_savepoint(conn: &mut AnyConnection, job: &mut dyn Job) -> diesel::QueryResult<()> {
    fixed!(sql_query("SAVEPOINT closure")).execute(conn)?;
    if job.run(conn) {
        fixed!(sql_query("RELEASE closure")).execute(conn)?;
        Ok(())
    } else {
        // When SQLite has ended the transaction there is no such savepoint, and this says so.
        conn.batch_execute("ROLLBACK TO closure; RELEASE closure")
    }
}

/// By diesel's transaction manager, so that a closure's own transactions are savepoints.
fn begin(conn: &mut AnyConnection) -> Result<(), StoreError> {
    match conn {
        AnyConnection::Sqlite(conn) => {
            Ok(AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")?)
        }
        AnyConnection::Postgres(_) => Err(StoreError::Closed),
    }
}

/// Leaves whatever transaction is still open.
fn abandon(conn: &mut AnyConnection) {
    let _ = conn.batch_execute("ROLLBACK");
    forget_transaction(conn);
}

/// Diesel's count starts over, whatever closures that failed or panicked have done to it.
fn forget_transaction(conn: &mut AnyConnection) {
    if let AnyConnection::Sqlite(conn) = conn {
        *AnsiTransactionManager::transaction_manager_status_mut(conn) = TransactionManagerStatus::default();
    }
}

fn lost(error: diesel::result::Error) -> StoreError {
    match StoreError::from(error) {
        error if error.is_retryable() => error,
        error => StoreError::TransactionLost(error.to_string()),
    }
}
