//! The store: closures on a connection, each one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use causeway_domain::measure::{Distribution, Histogram, SIZES};
use diesel::connection::{
    AnsiTransactionManager, SimpleConnection, TransactionDepthChange, TransactionManager,
    TransactionManagerStatus,
};
use diesel::{QueryResult, RunQueryDsl as _, sql_query};
use tokio::sync::oneshot;
use tracing::Span;

use crate::conn::{self, AnyConnection, DatabaseFile, SqliteRole};
use crate::error::{OpenError, StoreError};
use crate::fixed::fixed;
use crate::migrate::{self, SchemaState};
use crate::pool::{Pool, Pooled};
use crate::url::DatabaseUrl;
use crate::writer::{self, Queue};

/// How large the parts of a store are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// SQLite: connections that read at the same time.
    pub read_connections: usize,
    /// SQLite: closures that may wait for the writer; more callers wait to get in line.
    pub queue_limit: usize,
    /// SQLite: closures in one commit at most.
    pub batch_limit: usize,
    /// PostgreSQL: connections at most, readers and writers together.
    pub postgres_connections: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { read_connections: 4, queue_limit: 1024, batch_limit: 128, postgres_connections: 10 }
    }
}

/// What a store has done so far.
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
    /// SQLite: batches that were run again because a closure failed; PostgreSQL: transactions that were run again
    /// because another one was first.
    pub retries: u64,
}

#[derive(Debug)]
pub(crate) struct Counters {
    writes: AtomicU64,
    reads: AtomicU64,
    batches: AtomicU64,
    largest_batch: AtomicU64,
    lost_batches: AtomicU64,
    retries: AtomicU64,
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
}

enum Writer {
    Sqlite { queue: RwLock<Option<Queue>>, thread: Mutex<Option<JoinHandle<()>>> },
    Postgres,
}

struct Inner {
    pool: Arc<Pool>,
    writer: Writer,
    /// The file of a SQLite database.
    file: Option<DatabaseFile>,
    counters: Arc<Counters>,
}

/// A database that is open. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a database without migrating it ([`crate::migrate`] does that). A SQLite file that does
    /// not exist is made, readable by its owner alone.
    ///
    /// # Errors
    /// [`OpenError`] when the database does not answer.
    pub async fn open(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, OpenError> {
        let url = url.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&url, options)).await;
        opened.map_err(|error| OpenError::Thread(error.to_string()))?
    }

    fn open_blocking(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, OpenError> {
        let counters = Arc::new(Counters::default());
        let (pool, writer, file) = match url {
            DatabaseUrl::Sqlite { path } => {
                let conn = conn::open_sqlite(path, SqliteRole::Writer)?;
                let file = DatabaseFile::at(path)?;
                let (queue, thread) = writer::spawn(
                    conn,
                    file.clone(),
                    options.queue_limit,
                    options.batch_limit,
                    Arc::clone(&counters),
                )
                .map_err(|error| OpenError::Thread(error.to_string()))?;
                let (path, known) = (path.clone(), file.clone());
                let connect = move || {
                    known.check()?;
                    let conn = AnyConnection::Sqlite(conn::open_sqlite(&path, SqliteRole::Reader)?);
                    Ok(Pooled { conn, health: Arc::default() })
                };
                let writer =
                    Writer::Sqlite { queue: RwLock::new(Some(queue)), thread: Mutex::new(Some(thread)) };
                (Pool::new(options.read_connections, Box::new(connect)), writer, Some(file))
            }
            DatabaseUrl::Postgres(url) => {
                let url = DatabaseUrl::with_timeouts(url);
                let connect = move || {
                    let (conn, health) = conn::open_postgres(&url)?;
                    Ok(Pooled { conn: AnyConnection::Postgres(conn), health })
                };
                (Pool::new(options.postgres_connections, Box::new(connect)), Writer::Postgres, None)
            }
        };
        let (first, _) = pool.take()?;
        pool.give_back(first);
        Ok(Self { inner: Arc::new(Inner { pool: Arc::new(pool), writer, file, counters }) })
    }

    /// Reads: one snapshot, and nothing can be written.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from running.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.counters.reads.fetch_add(1, Ordering::Relaxed);
        self.on_pooled(move |pool, _| read_on(pool, f)).await
    }

    /// Reads a few rows by their keys: the same as [`Store::read`], at less cost.
    ///
    /// On SQLite such a read takes some 20 us, and to hand it to another thread and back takes 30. So it happens
    /// on the caller's thread when a connection is idle. Nothing that scans belongs here: on an async worker it
    /// would keep everybody else waiting.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from running.
    pub async fn find<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        if matches!(self.inner.writer, Writer::Postgres) {
            return self.read(f).await;
        }
        let Some(permit) = self.inner.pool.permit_now() else { return self.read(f).await };
        self.inner.counters.reads.fetch_add(1, Ordering::Relaxed);
        let found = catch_unwind(AssertUnwindSafe(|| read_on(&self.inner.pool, f)));
        drop(permit);
        found.unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// Writes: one transaction; an error of the closure rolls it back.
    ///
    /// The closure is short and synchronous, touches no network or file and never calls the store.
    /// It may run more than once (SQLite, when another closure of its commit failed; PostgreSQL, when another
    /// transaction was first), so it must not leave anything behind but what it does to the connection. It hands on
    /// the error of each statement: an error may mean that the transaction is over. Once it waits in line it runs and
    /// commits even when the returned future is dropped. The answer comes after the commit.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from being committed.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &self.inner.writer {
            Writer::Sqlite { queue, .. } => {
                let queue = queue.read().unwrap_or_else(PoisonError::into_inner).clone();
                let queue = queue.ok_or(StoreError::Closed)?;
                let (reply, answer) = oneshot::channel();
                queue.send(writer::job(f, reply)).await.map_err(|_| StoreError::Closed)?;
                drop(queue);
                self.inner.counters.writes.fetch_add(1, Ordering::Relaxed);
                answer.await.unwrap_or_else(|_| Err(StoreError::unavailable("the writer is gone").into()))
            }
            Writer::Postgres => {
                self.inner.counters.writes.fetch_add(1, Ordering::Relaxed);
                self.on_pooled(move |pool, counters| write_postgres(pool, counters, f)).await
            }
        }
    }

    /// Whether other processes may serve from the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.writer, Writer::Postgres)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// The [`StoreError`] that it answers with instead.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(|conn| conn.batch_execute("SELECT 1").map_err(StoreError::from)).await
    }

    /// Whether the database answers, can be written to, and its schema is exactly the one that this program knows.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when it is another one; the [`StoreError`] that the database answers with.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.inner.file.as_ref().map_or(Ok(()), DatabaseFile::check)?;
        if let Writer::Sqlite { thread, .. } = &self.inner.writer {
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner);
            if thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(StoreError::Closed);
            }
        }
        self.read(|conn| match migrate::state_of(conn)? {
            SchemaState::Current => Ok(()),
            other => Err(StoreError::Schema(other)),
        })
        .await
    }

    /// Finishes what was accepted and closes the connections. Clones answer [`StoreError::Closed`] then.
    pub async fn close(self) {
        if let Writer::Sqlite { queue, thread } = &self.inner.writer {
            drop(queue.write().unwrap_or_else(PoisonError::into_inner).take());
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        self.inner.pool.close();
    }

    /// What this store has done so far.
    pub fn stats(&self) -> StoreStats {
        let counters = &self.inner.counters;
        let queue_depth = match &self.inner.writer {
            Writer::Sqlite { queue, .. } => queue
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map_or(0, |queue| (queue.max_capacity() - queue.capacity()) as u64),
            Writer::Postgres => 0,
        };
        StoreStats {
            writes: counters.writes.load(Ordering::Relaxed),
            reads: counters.reads.load(Ordering::Relaxed),
            batches: counters.batches.load(Ordering::Relaxed),
            largest_batch: counters.largest_batch.load(Ordering::Relaxed),
            lost_batches: counters.lost_batches.load(Ordering::Relaxed),
            queue_depth,
            retries: counters.retries.load(Ordering::Relaxed),
        }
    }

    /// SQLite: how many closures there were in a commit.
    pub fn batch_sizes(&self) -> Distribution {
        self.inner.counters.batch_sizes.read()
    }

    /// Runs `f` on a blocking thread once a connection is free. It runs to its end even when the
    /// returned future is dropped after that.
    async fn on_pooled<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&Pool, &Counters) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let permit = self.inner.pool.permit().await?;
        let pool = Arc::clone(&self.inner.pool);
        let counters = Arc::clone(&self.inner.counters);
        // What is said there belongs to whoever asked.
        let span = Span::current();
        let running = tokio::task::spawn_blocking(move || {
            let result = span.in_scope(|| f(&pool, &counters));
            drop(permit);
            result
        });
        running.await.unwrap_or_else(|error| {
            Err(if error.is_panic() { StoreError::Panicked } else { StoreError::Closed }.into())
        })
    }
}

/// One read, in a transaction of its own.
fn read_on<T, E: From<StoreError>>(
    pool: &Pool,
    f: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
) -> Result<T, E> {
    let mut pooled = begin(pool, BEGIN_READ)?;
    let result = f(&mut pooled.conn);
    let _ = end(&mut pooled, "COMMIT");
    pool.give_back(pooled);
    result
}

/// How a transaction begins on PostgreSQL.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// Begins a transaction. That is the moment at which a connection turns out to be dead: nothing has
/// happened yet, so another one takes its place.
fn begin(pool: &Pool, on_postgres: &str) -> Result<Pooled, StoreError> {
    loop {
        let (mut pooled, new) = pool.take()?;
        match begin_on(&mut pooled.conn, on_postgres) {
            Ok(()) => return Ok(pooled),
            Err(error) if new => return Err(error.into()),
            // Dropped, whatever ails it; the pool has fewer of them each time.
            Err(error) => {
                tracing::debug!(name: "store.connection_replaced", %error, "a dead connection is replaced");
            }
        }
    }
}

/// Begins a transaction on a connection of the pool, which on SQLite only reads. There it is prepared once: to parse
/// `BEGIN` takes as long as to find a row.
fn begin_on(conn: &mut AnyConnection, on_postgres: &str) -> QueryResult<()> {
    if let AnyConnection::Postgres(conn) = conn {
        return AnsiTransactionManager::begin_transaction_sql(conn, on_postgres);
    }
    fixed!(sql_query("BEGIN")).execute(conn)?;
    match transaction_status(conn) {
        TransactionManagerStatus::Valid(status) => {
            status.change_transaction_depth(TransactionDepthChange::IncreaseDepth)
        }
        TransactionManagerStatus::InError => Err(diesel::result::Error::BrokenTransactionManager),
    }
}

/// Diesel's count of transactions within each other.
fn transaction_status(conn: &mut AnyConnection) -> &mut TransactionManagerStatus {
    match conn {
        AnyConnection::Sqlite(conn) => AnsiTransactionManager::transaction_manager_status_mut(conn),
        AnyConnection::Postgres(conn) => AnsiTransactionManager::transaction_manager_status_mut(conn),
    }
}

/// Ends the transaction, on PostgreSQL with `on_postgres`, and settles diesel's count whatever the closure did to it.
fn end(pooled: &mut Pooled, on_postgres: &str) -> Result<(), StoreError> {
    let ended = match &mut pooled.conn {
        // What only read may as well be committed.
        conn @ AnyConnection::Sqlite(_) => fixed!(sql_query("COMMIT")).execute(conn).map(drop),
        AnyConnection::Postgres(conn) => conn.batch_execute(on_postgres),
    };
    if ended.is_err() && !pooled.health.is_closed() {
        let _ = pooled.conn.batch_execute("ROLLBACK");
    }
    *transaction_status(&mut pooled.conn) = TransactionManagerStatus::default();
    ended.map_err(StoreError::from)
}

/// Times that a transaction is run again when another one was first.
const RETRIES: u32 = 8;

fn write_postgres<T, E, F>(pool: &Pool, counters: &Counters, mut f: F) -> Result<T, E>
where
    F: FnMut(&mut AnyConnection) -> Result<T, E>,
    E: From<StoreError>,
{
    let mut attempt = 0;
    loop {
        let mut pooled = begin(pool, BEGIN_WRITE)?;
        let result = match f(&mut pooled.conn) {
            Ok(value) => end(&mut pooled, "COMMIT").map(|()| value).map_err(E::from),
            Err(error) => {
                let _ = end(&mut pooled, "ROLLBACK");
                Err(error)
            }
        };
        let contended = pooled.health.take_contended();
        pool.give_back(pooled);
        if result.is_ok() || !contended || attempt == RETRIES {
            return result;
        }
        attempt += 1;
        counters.note_retry();
        std::thread::sleep(Duration::from_millis(u64::from(attempt) * 3));
    }
}
