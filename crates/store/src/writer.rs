//! The one writer of a SQLite database: what waits together is committed together.
//!
//! The closures that wait when the writer looks, and those that come while these run, run one after the
//! other in one `BEGIN IMMEDIATE`; one `COMMIT` makes all of them durable, and only then is any caller answered,
//! because what a closure saw may be the work of the closure before it.
//!
//! A savepoint has SQLite copy every page that a closure touches, which takes as long as what the closure does, and
//! nearly all succeed. So a batch runs without savepoints. When one of its closures fails, all that the batch did is
//! rolled back and it runs again, each closure in a savepoint now: an error or a panic rolls back its own alone. When
//! the next one fails as well, more and more batches have savepoints from the start ([`Caution`]): who fails on purpose
//! does not make everybody's work three times as long.
//!
//! SQLite itself may end the transaction (disk full, I/O error, no memory): then the savepoint is gone too, and every
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

use crate::conn::{AnyConnection, DatabaseFile};
use crate::deadline::Abandoned;
use crate::error::StoreError;
use crate::fixed::fixed;
use crate::options::StoreOptions;
use crate::stats::Counters;
use crate::wal::WriteAheadLog;

/// A closure on its way to the writer, with whom to answer.
pub(crate) trait Job: Send {
    /// Runs the closure and keeps its result; whether its changes stay. What its caller has given up is not run.
    fn run(&mut self, conn: &mut AnyConnection) -> bool;
    /// Answers the caller: with the result, or with what became of the batch.
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
        // A caller who went away does not mind.
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

/// Starts the writer's thread. It ends when every [`Queue`] is gone and everything accepted is done.
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
                // Dropping what a closure held must not take the writer along.
                if catch_unwind(AssertUnwindSafe(|| job.answer(outcome.clone()))).is_err() {
                    say(|| {
                        tracing::error!(name: "store.answer_panicked", "a closure panicked when it was dropped");
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

/// Says something in the log. A log that cannot be written, or a panic in it, must not take the writer along.
fn say(words: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(words));
}

/// The most batches that have savepoints from the start before it is tried again without.
const LONGEST_CAUTION: u32 = 64;

/// For how many batches the writer takes savepoints. A failure once in a while costs its own batch and no more; each
/// one that follows at once doubles the number.
#[derive(Debug, Default)]
struct Caution {
    /// Batches that are still to have savepoints.
    left: u32,
    /// Batches that had to, the last time.
    last: u32,
}

impl Caution {
    /// Whether the next batch has savepoints, and counts it if so.
    fn takes_one(&mut self) -> bool {
        let is_on = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_on
    }

    /// A batch without savepoints failed.
    fn rise(&mut self) {
        self.last = (self.last * 2).clamp(1, LONGEST_CAUTION);
        self.left = self.last;
    }

    /// A batch without savepoints went well.
    fn fall(&mut self) {
        self.last = 0;
    }
}

/// What became of a batch that ran without savepoints.
enum Plain {
    /// All went well: it may be committed.
    Well,
    /// Its only closure failed: there is nothing else to keep.
    Alone,
    /// One of several failed, or a statement of one that succeeded. Nothing of it may be committed.
    Failed,
}

struct Writer {
    conn: AnyConnection,
    file: DatabaseFile,
    batch_limit: usize,
    /// Whether a statement that changes rows failed, whatever its closure made of the error. Diesel does not tell
    /// of those that give rows back: closures hand on their errors.
    failed: Arc<AtomicBool>,
    caution: Caution,
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
            caution: Caution::default(),
            counters,
        }
    }

    /// Runs the batch and whatever arrives while it runs, up to the limit: who comes before the commit shares it.
    fn commit_together(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        mut late: impl FnMut() -> Option<Box<dyn Job>>,
    ) -> Result<(), StoreError> {
        self.file.check()?;
        if !self.caution.takes_one() {
            begin(&mut self.conn)?;
            match self.run_plainly(batch, &mut late) {
                Plain::Well => {
                    self.caution.fall();
                    return self.end("COMMIT");
                }
                Plain::Alone => return self.end("ROLLBACK"),
                Plain::Failed => abandon(&mut self.conn),
            }
            self.caution.rise();
            self.caution.takes_one();
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
            // What failed may have ended the transaction, though the closure succeeds without it.
            if !stays || self.failed.load(Ordering::Relaxed) {
                return Plain::Failed;
            }
            done += 1;
            fill(batch, self.batch_limit, late);
        }
        Plain::Well
    }

    /// An error from here means that the transaction is gone.
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

    /// Ends the transaction. An error means that it was gone already, or is now.
    fn end(&mut self, with: &str) -> Result<(), StoreError> {
        if let Err(error) = self.conn.batch_execute(with) {
            abandon(&mut self.conn);
            return Err(lost(error));
        }
        forget_transaction(&mut self.conn);
        Ok(())
    }
}

/// Takes in who has come meanwhile.
fn fill(batch: &mut Vec<Box<dyn Job>>, limit: usize, late: &mut impl FnMut() -> Option<Box<dyn Job>>) {
    while batch.len() < limit {
        let Some(job) = late() else { break };
        batch.push(job);
    }
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

#[cfg(test)]
mod tests {
    use super::{Caution, LONGEST_CAUTION};

    #[test]
    fn a_failure_once_in_a_while_costs_its_own_batch_and_no_more() {
        let mut caution = Caution::default();
        for _ in 0..3 {
            caution.rise();
            assert!(caution.takes_one(), "the batch that runs again");
            assert!(!caution.takes_one());
            caution.fall();
        }
    }

    #[test]
    fn failure_upon_failure_is_met_with_more_and_more_caution() {
        let mut caution = Caution::default();
        let mut batches = || {
            caution.rise();
            std::iter::from_fn(|| caution.takes_one().then_some(())).count()
        };
        let found: Vec<_> = (0..9).map(|_| batches()).collect();
        assert_eq!(found, [1, 2, 4, 8, 16, 32, 64, 64, LONGEST_CAUTION as usize]);
    }
}
