//! The store: closures on a connection, each one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use causeway_domain::measure::Distribution;
use diesel::connection::SimpleConnection as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::Span;

use crate::engine::batched::{Batched, Shares, run_apart};
use crate::engine::conn::{self, AnyConnection, DatabaseFile, PostgresSettings, SqliteRole};
use crate::engine::deadline::{Abandoned, Deadline};
use crate::engine::error::{OpenError, StoreError};
use crate::engine::migrate;
use crate::engine::options::StoreOptions;
use crate::engine::pool::Pool;
use crate::engine::postgres::PostgresConnection;
use crate::engine::postgres::finder::Finders;
use crate::engine::postgres::rehearsal::Trace;
use crate::engine::stats::{Counters, StoreStats};
use crate::engine::transaction::{read_on, read_on_idle, write_postgres};
use crate::engine::url::DatabaseUrl;
use crate::engine::writer::{self, Queue};

/// How long a readiness probe waits for the database.
const READY_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long background work, which no request waits for, waits for the database.
const PATIENT_TIMEOUT: Duration = Duration::from_mins(1);

enum Writer {
    Sqlite { queue: RwLock<Option<Queue>>, thread: Mutex<Option<JoinHandle<()>>> },
    Postgres(Option<Batched>),
}

struct Inner {
    pool: Arc<Pool>,
    writer: Writer,
    /// The file of a SQLite database.
    file: Option<DatabaseFile>,
    counters: Arc<Counters>,
    /// Limits the callers that wait.
    waiting: Arc<Semaphore>,
}

/// An open database. Clones share it.
///
/// Every call has a deadline ([`StoreOptions::timeout`]). When the database does not answer until then, the
/// caller gets a retryable error, and its work is not committed any more, unless the commit itself was under
/// way. A hanging call occupies its connection: at most as many threads hang as there are connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    deadline: Arc<Deadline>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a database without migrating it ([`crate::engine::migrate`] does that). A SQLite file that does
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
                let conn = conn::open_sqlite(path, SqliteRole::Writer { lock_timeout: options.timeout / 2 })?;
                let file = DatabaseFile::at(path)?;
                let (queue, thread) = writer::spawn(conn, file.clone(), options, Arc::clone(&counters))
                    .map_err(|error| OpenError::Thread(error.to_string()))?;
                let (path, known) = (path.clone(), file.clone());
                let connect = move || {
                    known.check()?;
                    conn::open_sqlite(&path, SqliteRole::Reader).map(AnyConnection::Sqlite)
                };
                let writer =
                    Writer::Sqlite { queue: RwLock::new(Some(queue)), thread: Mutex::new(Some(thread)) };
                (Pool::new(options.read_connections, Box::new(connect)), writer, Some(file))
            }
            DatabaseUrl::Postgres(url) => {
                let url = DatabaseUrl::with_timeouts(url);
                let settings = PostgresSettings { pooler: options.pooler, timeout: options.timeout };
                let shares = Shares::of(options);
                let batched =
                    shares.map(|shares| Batched::start(shares, &url, settings, options)).transpose()?;
                let connections = options.postgres_connections - shares.map_or(0, Shares::total);
                let connect = move || conn::open_postgres(&url, settings).map(AnyConnection::Postgres);
                (Pool::new(connections, Box::new(connect)), Writer::Postgres(batched), None)
            }
        };
        let (first, _) = pool.take()?;
        pool.give_back(first);
        let waiting = Arc::new(Semaphore::new(options.waiting_limit.max(1)));
        Ok(Self {
            inner: Arc::new(Inner { pool: Arc::new(pool), writer, file, counters, waiting }),
            deadline: Arc::new(Deadline::with_pooler(options.timeout, options.pooler)),
        })
    }

    /// The same database for work that no request waits for: a call may take a minute.
    #[must_use]
    pub fn maintenance(&self) -> Self {
        self.with_timeout(PATIENT_TIMEOUT)
    }

    fn with_timeout(&self, timeout: Duration) -> Self {
        Self { inner: Arc::clone(&self.inner), deadline: Arc::new(Deadline::of_transaction(timeout)) }
    }

    /// Runs a reading closure: one snapshot, and nothing can be written.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from running.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.counters.note_read();
        self.hold(&Abandoned::default(), Box::pin(self.read_pooled(f))).await
    }

    async fn read_pooled<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let deadline = Arc::clone(&self.deadline);
        self.on_pooled(move |pool, _| read_on(pool, &deadline, f)).await
    }

    /// Reads a few rows by their keys: same as [`Store::read`], at lower cost. The closure may run several times,
    /// and nothing but its result may come of it.
    ///
    /// On PostgreSQL no thread waits for the answers, and the statements of callers that wait at the same time
    /// travel together. Each statement sees a snapshot of its own: a closure with several must not mind when
    /// rows change between them.
    ///
    /// On SQLite such a read takes some 20 us, and handing it to another thread and back takes 30. So it runs
    /// on the caller's thread when a connection is idle. Nothing that scans belongs here: on an async worker
    /// it would make everybody else wait. Nor does it connect or wait for a lock there.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from running.
    pub async fn find<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        if let Writer::Postgres(_) = &self.inner.writer {
            return match self.batched() {
                Some(Batched { finders, .. }) => self.ask(finders, f).await,
                None => self.read(f).await,
            };
        }
        let Some((permit, idle)) = self.inner.pool.take_idle() else { return self.read(f).await };
        let found =
            catch_unwind(AssertUnwindSafe(|| read_on_idle(&self.inner.pool, &self.deadline, idle, f)));
        drop(permit);
        match found {
            Ok(Ok(result)) => {
                self.inner.counters.note_read();
                result
            }
            Ok(Err(f)) => self.read(f).await,
            Err(_) => Err(StoreError::Panicked.into()),
        }
    }

    /// Runs a writing closure: one transaction; an error of the closure rolls it back.
    ///
    /// The closure is short and synchronous, touches no network or file and never calls the store. It may run
    /// more than once (SQLite, when another closure of its commit failed; PostgreSQL, when another
    /// transaction was first), so its only effect must be on the connection. It passes on the error of each
    /// statement: an error may mean that the transaction has ended. Once enqueued it runs and commits even
    /// when the returned future is dropped. The call returns after the commit.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from being committed.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let abandoned = Abandoned::default();
        match &self.inner.writer {
            Writer::Sqlite { queue, .. } => {
                let _turn = self.turn()?;
                let queue = queue.read().unwrap_or_else(PoisonError::into_inner).clone();
                let queue = queue.ok_or(StoreError::Closed)?;
                let (reply, answer) = oneshot::channel();
                let job = writer::job(f, reply, abandoned.clone());
                let written = async {
                    queue.send(job).await.map_err(|_| StoreError::Closed)?;
                    drop(queue);
                    self.inner.counters.note_write();
                    answer.await.unwrap_or_else(|_| {
                        Err(StoreError::unavailable("the writer thread has ended").into())
                    })
                };
                self.hold(&abandoned, written).await
            }
            Writer::Postgres(_) => self.hold(&abandoned, Box::pin(self.write_pooled(&abandoned, f))).await,
        }
    }

    /// Runs a write of PostgreSQL in a transaction of its own.
    async fn write_pooled<T, E, F>(&self, abandoned: &Abandoned, f: F) -> Result<T, E>
    where
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.counters.note_write();
        let (deadline, told) = (Arc::clone(&self.deadline), abandoned.clone());
        self.on_pooled(move |pool, counters| write_postgres(pool, counters, &deadline, &told, f)).await
    }

    /// Same as [`Store::write`], for a closure that as a rule only adds rows. On PostgreSQL the rows of callers that
    /// wait at the same time are committed together, and no thread waits for them; a closure that reads after all
    /// has a transaction of its own. It may run several times, and nothing but its result may come of it. When the
    /// returned future is dropped, the rows may or may not be added.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept its changes from being committed.
    pub async fn add<T, E, F>(&self, mut f: F) -> Result<T, E>
    where
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Some(Batched { committers, .. }) = self.batched() else { return self.write(f).await };
        let abandoned = Abandoned::default();
        let added = Box::pin(async {
            if let Some((Ok(value), Trace { deferred: Some(statements), .. })) =
                run_apart(PostgresConnection::writing(), &mut f)
                && !statements.is_empty()
                && committers.commit(statements, abandoned.clone(), self.turn()?).await?
            {
                self.inner.counters.note_write();
                return Ok(value);
            }
            self.write_pooled(&abandoned, f).await
        });
        self.hold(&abandoned, added).await
    }

    /// The tasks and threads that take statements without a transaction around them; `None` unless the connections themselves carry
    /// the deadline.
    fn batched(&self) -> Option<&Batched> {
        match &self.inner.writer {
            Writer::Postgres(batched) if self.deadline.is_of_connection() => batched.as_ref(),
            _ => None,
        }
    }

    /// Whether other processes may serve from the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.writer, Writer::Postgres(_))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// The [`StoreError`] that it answers with instead.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(|conn| conn.batch_execute("SELECT 1").map_err(StoreError::from)).await
    }

    /// Whether the database answers, can be written to, and has a schema that this program can work with.
    /// Answers within two seconds.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when the schema is another one; the [`StoreError`] that the database answers
    /// with.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.inner.file.as_ref().map_or(Ok(()), DatabaseFile::check)?;
        if let Writer::Sqlite { thread, .. } = &self.inner.writer {
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner);
            if thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(StoreError::Closed);
            }
        }
        let soon = self.with_timeout(READY_TIMEOUT / 2);
        let state = soon.read(migrate::state_of).await?;
        if !state.is_usable() {
            return Err(StoreError::Schema(state));
        }
        soon.write(|_| Ok(())).await
    }

    /// Finishes accepted work and closes the connections. Clones then return [`StoreError::Closed`].
    pub async fn close(self) {
        if let Writer::Sqlite { queue, thread } = &self.inner.writer {
            drop(queue.write().unwrap_or_else(PoisonError::into_inner).take());
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        if let Writer::Postgres(Some(batched)) = &self.inner.writer {
            batched.close().await;
        }
        self.inner.pool.close();
    }

    /// Activity of this store so far.
    pub fn stats(&self) -> StoreStats {
        let queue_depth = match &self.inner.writer {
            Writer::Sqlite { queue, .. } => queue
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map_or(0, |queue| (queue.max_capacity() - queue.capacity()) as u64),
            Writer::Postgres(_) => 0,
        };
        self.inner.counters.read(queue_depth)
    }

    /// SQLite: distribution of the number of closures in a commit.
    pub fn batch_sizes(&self) -> Distribution {
        self.inner.counters.batch_sizes()
    }

    /// Runs a closure as often as it takes until the answers to all of its statements are known.
    async fn ask<T, E, F>(&self, finders: &Finders, mut f: F) -> Result<T, E>
    where
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.counters.note_read();
        // In a box, since the closure would otherwise be in each of the futures around this one.
        let asking = Box::pin(async {
            let mut answers = Vec::new();
            loop {
                let conn = PostgresConnection::reading(answers.clone());
                let (result, trace) = run_apart(conn, &mut f).ok_or(StoreError::Panicked)?;
                let Some(statement) = trace.question else { return result };
                match finders.ask(statement, self.turn()?).await? {
                    // Others do not wait for that lock.
                    Err(error) if error.is_lock_timeout() => return self.read_pooled(f).await,
                    answer => answers.push(answer),
                }
            }
        });
        self.hold(&Abandoned::default(), asking).await
    }

    /// Takes one of the places for waiting callers.
    fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = Arc::clone(&self.inner.waiting).try_acquire_owned();
        turn.map_err(|_| StoreError::Busy("too many callers are waiting for the database".to_owned()))
    }

    async fn hold<T, E: From<StoreError>>(
        &self,
        abandoned: &Abandoned,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = self.deadline.hold(abandoned, work).await;
        if abandoned.is_set() {
            self.inner.counters.note_timeout();
        }
        done
    }

    /// Runs `f` on a blocking thread once a connection is free. It runs to its end even when the
    /// returned future is dropped after that.
    async fn on_pooled<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&Pool, &Counters) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let _turn = self.turn()?;
        let permit = self.inner.pool.permit().await?;
        let pool = Arc::clone(&self.inner.pool);
        let counters = Arc::clone(&self.inner.counters);
        // Log lines from there belong to the caller's span.
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
