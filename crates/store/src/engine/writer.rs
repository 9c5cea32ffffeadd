//! The only writer of a SQLite database: waiting closures are committed together.
//!
//! The closures that wait when the writer starts a batch, and those that arrive while it runs, run one after
//! the other in one `BEGIN IMMEDIATE`; one `COMMIT` makes all of them durable, and only then is any caller
//! answered, because a closure may have seen the changes of the closure before it.
//!
//! A savepoint makes SQLite copy every page that a closure touches, which takes as long as the closure's own
//! work, and nearly all closures succeed. So a batch runs without savepoints. When one of its closures fails,
//! the whole batch is rolled back and runs again, each closure in a savepoint now: an error or a panic rolls
//! back its own changes alone. When the next batch fails as well, more and more batches have savepoints from
//! the start ([`SavepointBackoff`]), so that deliberate failures do not make everybody's work three times as long.
//!
//! SQLite itself may end the transaction (disk full, I/O error, no memory): then the savepoint no longer exists either, and every
//! caller of the batch gets a retryable error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use diesel::connection::{
    AnsiTransactionManager, InstrumentationEvent, SimpleConnection, TransactionManager,
    TransactionManagerStatus,
};
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection, sql_query};
use tokio::sync::{mpsc, oneshot};

use crate::engine::conn::{AnyConnection, DatabaseFile};
use crate::engine::deadline::Abandoned;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::options::StoreOptions;
use crate::engine::stats::Counters;
use crate::engine::wal::WriteAheadLog;

/// A closure in the writer's queue, with the channel for its result.
pub(crate) trait Job: Send {
    /// Runs the closure and stores its result; returns whether its changes stay. Work that its caller has
    /// given up is not run.
    fn run(&mut self, conn: &mut AnyConnection) -> bool;
    /// Answers the caller: with the result, or with the batch's error.
    fn answer(self: Box<Self>, batch: Result<(), StoreError>);
}

struct Closure<T, E, F> {
    run: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    abandoned: Abandoned,
}

impl<T, E, F> Job for Closure<T, E, F>
where
    F: FnMut(&mut AnyConnection) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, conn: &mut AnyConnection) -> bool {
        if self.abandoned.is_set() {
            return true;
        }
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
        // A caller who went away needs no answer.
        let _ = self.reply.send(result);
    }
}

/// The sending side of the writer.
pub(crate) type Queue = mpsc::Sender<Box<dyn Job>>;

/// Packs a closure for the writer.
pub(crate) fn job<T, E, F>(run: F, reply: oneshot::Sender<Result<T, E>>, abandoned: Abandoned) -> Box<dyn Job>
where
    F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    Box::new(Closure { run, result: None, reply, abandoned })
}

/// Starts the writer's thread. It ends when every [`Queue`] is dropped and all accepted work is done.
pub(crate) fn spawn(
    conn: SqliteConnection,
    file: DatabaseFile,
    options: StoreOptions,
    counters: Arc<Counters>,
) -> std::io::Result<(Queue, JoinHandle<()>)> {
    let (queue, mut waiting) = mpsc::channel::<Box<dyn Job>>(options.queue_limit.max(1));
    let batch_limit = options.batch_limit.max(1);
    let mut log = WriteAheadLog::new(&file, options);
    let mut writer = Writer::new(conn, file, batch_limit, Arc::clone(&counters));
    let thread = std::thread::Builder::new().name("causeway-writer".to_owned()).spawn(move || {
        let mut batch = Vec::with_capacity(batch_limit);
        while let Some(first) = waiting.blocking_recv() {
            batch.push(first);
            let outcome = writer.commit_together(&mut batch, || waiting.try_recv().ok());
            let closures = batch.len();
            counters.note_batch(closures);
            if outcome.is_err() {
                counters.note_lost();
            }
            for job in batch.drain(..) {
                // A panic while dropping a closure's captures must not end the writer.
                if catch_unwind(AssertUnwindSafe(|| job.answer(outcome.clone()))).is_err() {
                    say(|| {
                        tracing::error!(name: "store.answer_panicked", "a closure panicked while it was dropped");
                    });
                }
            }
            log.limit(&mut writer.conn);
            if let Err(error) = outcome {
                say(|| tracing::error!(name: "store.batch_lost", %error, closures));
            }
        }
    })?;
    Ok((queue, thread))
}

/// Writes to the log. A log that cannot be written, or a panic in it, must not end the writer.
fn say(words: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(words));
}

/// Maximum number of batches with savepoints before the next one is tried without.
const LONGEST_BACKOFF: u32 = 64;

/// Decides for how many batches the writer uses savepoints. An occasional failure costs its own batch and no
/// more; each one that follows at once doubles the number.
#[derive(Debug, Default)]
struct SavepointBackoff {
    /// Batches that are still to use savepoints.
    left: u32,
    /// Length of the latest series of such batches.
    last: u32,
}

impl SavepointBackoff {
    /// Whether the next batch uses savepoints; counts it if so.
    fn takes_one(&mut self) -> bool {
        let is_on = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_on
    }

    /// Called when a batch without savepoints failed.
    fn rise(&mut self) {
        self.last = (self.last * 2).clamp(1, LONGEST_BACKOFF);
        self.left = self.last;
    }

    /// Called when a batch without savepoints succeeded.
    fn fall(&mut self) {
        self.last = 0;
    }
}

/// Outcome of a batch that ran without savepoints.
enum Plain {
    /// All succeeded: it may be committed.
    Well,
    /// Its only closure failed: there is nothing else to commit.
    Alone,
    /// One of several closures failed, or a statement of one that succeeded. Nothing of it may be committed.
    Failed,
}

struct Writer {
    conn: AnyConnection,
    file: DatabaseFile,
    batch_limit: usize,
    /// Whether a statement that changes rows failed, whatever its closure made of the error. Diesel does not
    /// report those that return rows: closures pass on their errors.
    failed: Arc<AtomicBool>,
    backoff: SavepointBackoff,
    counters: Arc<Counters>,
}

impl Writer {
    fn new(
        mut conn: SqliteConnection,
        file: DatabaseFile,
        batch_limit: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let failed = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&failed);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::FinishQuery { error: Some(_), .. } = event {
                noted.store(true, Ordering::Relaxed);
            }
        });
        Self {
            conn: AnyConnection::Sqlite(conn),
            file,
            batch_limit,
            failed,
            backoff: SavepointBackoff::default(),
            counters,
        }
    }

    /// Runs the batch and the closures that arrive while it runs, up to the limit: those that arrive before
    /// the commit share it.
    fn commit_together(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        mut late: impl FnMut() -> Option<Box<dyn Job>>,
    ) -> Result<(), StoreError> {
        self.file.check()?;
        if !self.backoff.takes_one() {
            begin(&mut self.conn)?;
            match self.run_plainly(batch, &mut late) {
                Plain::Well => {
                    self.backoff.fall();
                    return self.end("COMMIT");
                }
                Plain::Alone => return self.end("ROLLBACK"),
                Plain::Failed => abandon(&mut self.conn),
            }
            self.backoff.rise();
            self.backoff.takes_one();
            self.counters.note_retry();
        }
        begin(&mut self.conn)?;
        if let Err(error) = self.run_in_savepoints(batch, &mut late) {
            abandon(&mut self.conn);
            return Err(lost(error));
        }
        self.end("COMMIT")
    }

    fn run_plainly(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        late: &mut impl FnMut() -> Option<Box<dyn Job>>,
    ) -> Plain {
        self.failed.store(false, Ordering::Relaxed);
        let mut done = 0;
        while let Some(job) = batch.get_mut(done) {
            let stays = job.run(&mut self.conn);
            if !stays && batch.len() == 1 {
                return Plain::Alone;
            }
            // A failed statement may have ended the transaction, though the closure succeeds without it.
            if !stays || self.failed.load(Ordering::Relaxed) {
                return Plain::Failed;
            }
            done += 1;
            fill(batch, self.batch_limit, late);
        }
        Plain::Well
    }

    /// Runs each closure in a savepoint. An error means that the transaction has ended.
    fn run_in_savepoints(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        late: &mut impl FnMut() -> Option<Box<dyn Job>>,
    ) -> diesel::QueryResult<()> {
        let mut done = 0;
        while let Some(job) = batch.get_mut(done) {
            run_in_savepoint(&mut self.conn, job.as_mut())?;
            done += 1;
            fill(batch, self.batch_limit, late);
        }
        Ok(())
    }

    /// Ends the transaction. An error means that it had ended already, or has now.
    fn end(&mut self, with: &str) -> Result<(), StoreError> {
        if let Err(error) = self.conn.batch_execute(with) {
            abandon(&mut self.conn);
            return Err(lost(error));
        }
        forget_transaction(&mut self.conn);
        Ok(())
    }
}

/// Adds the closures that have arrived meanwhile.
fn fill(batch: &mut Vec<Box<dyn Job>>, limit: usize, late: &mut impl FnMut() -> Option<Box<dyn Job>>) {
    while batch.len() < limit {
        let Some(job) = late() else { break };
        batch.push(job);
    }
}

/// Runs one closure in a savepoint. An error means that the transaction has ended.
fn run_in_savepoint(conn: &mut AnyConnection, job: &mut dyn Job) -> diesel::QueryResult<()> {
    fixed!(sql_query("SAVEPOINT closure")).execute(conn)?;
    if job.run(conn) {
        fixed!(sql_query("RELEASE closure")).execute(conn)?;
        Ok(())
    } else {
        // When SQLite has ended the transaction there is no such savepoint, and this fails.
        conn.batch_execute("ROLLBACK TO closure; RELEASE closure")
    }
}

/// Begins through diesel's transaction manager, so that a closure's own transactions are savepoints.
fn begin(conn: &mut AnyConnection) -> Result<(), StoreError> {
    match conn {
        AnyConnection::Sqlite(conn) => {
            Ok(AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")?)
        }
        AnyConnection::Postgres(_) => Err(StoreError::Closed),
    }
}

/// Rolls back any transaction that is still open.
fn abandon(conn: &mut AnyConnection) {
    let _ = conn.batch_execute("ROLLBACK");
    forget_transaction(conn);
}

/// Resets diesel's count, whatever closures that failed or panicked have done to it.
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

#[cfg(test)]
mod tests {
    use super::{LONGEST_BACKOFF, SavepointBackoff};

    #[test]
    fn a_failure_once_in_a_while_costs_its_own_batch_and_no_more() {
        let mut backoff = SavepointBackoff::default();
        for _ in 0..3 {
            backoff.rise();
            assert!(backoff.takes_one(), "the batch that runs again");
            assert!(!backoff.takes_one());
            backoff.fall();
        }
    }

    #[test]
    fn failure_upon_failure_is_met_with_more_and_more_caution() {
        let mut backoff = SavepointBackoff::default();
        let mut batches = || {
            backoff.rise();
            std::iter::from_fn(|| backoff.takes_one().then_some(())).count()
        };
        let found: Vec<_> = (0..9).map(|_| batches()).collect();
        assert_eq!(found, [1, 2, 4, 8, 16, 32, 64, 64, LONGEST_BACKOFF as usize]);
    }
}
