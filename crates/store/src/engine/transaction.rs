//! Transactions on pooled connections: how they begin and end, and which are retried.

use std::time::{Duration, Instant};

use diesel::connection::{
    AnsiTransactionManager, SimpleConnection as _, TransactionDepthChange, TransactionManager,
    TransactionManagerStatus,
};
use diesel::{QueryResult, RunQueryDsl as _, sql_query};

use crate::engine::conn::AnyConnection;
use crate::engine::deadline::{Abandoned, Deadline};
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::pool::Pool;
use crate::engine::postgres::Access;
use crate::engine::stats::Counters;

/// Begins a transaction on PostgreSQL; one that only reads sees one snapshot.
const fn begin_of(access: Access) -> &'static str {
    match access {
        Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE",
    }
}

/// Runs one read, in a transaction of its own, on a pooled connection or a new one.
pub(crate) fn read_on<T, E: From<StoreError>>(
    pool: &Pool,
    deadline: &Deadline,
    f: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
) -> Result<T, E> {
    let until = deadline.ends_at();
    let mut conn = take(pool, until, |conn| begin(conn, Access::Read, deadline, until))?;
    let result = f(&mut conn);
    finish(&mut conn);
    pool.give_back(conn);
    result
}

/// Same as [`read_on`], on an idle SQLite connection that was taken already, if it is alive; otherwise
/// returns the closure.
pub(crate) fn read_on_idle<T, E, F>(
    pool: &Pool,
    deadline: &Deadline,
    mut idle: AnyConnection,
    f: F,
) -> Result<Result<T, E>, F>
where
    F: FnOnce(&mut AnyConnection) -> Result<T, E>,
{
    if begin(&mut idle, Access::Read, deadline, deadline.ends_at()).is_err() {
        return Err(f);
    }
    let result = f(&mut idle);
    finish(&mut idle);
    pool.give_back(idle);
    Ok(result)
}

/// Takes a connection and makes it ready. A dead one is noticed at this moment: nothing has happened yet, so
/// another one takes its place. One that is silent until then has used up its caller's time.
fn take(
    pool: &Pool,
    until: Instant,
    ready: impl Fn(&mut AnyConnection) -> QueryResult<()>,
) -> Result<AnyConnection, StoreError> {
    loop {
        let (mut conn, new) = pool.take()?;
        match ready(&mut conn) {
            Ok(()) => return Ok(conn),
            Err(error) if new || Instant::now() >= until => return Err(error.into()),
            // Dropped, whatever the error; the pool has fewer of them each time.
            Err(error) => {
                tracing::debug!(name: "store.connection_replaced", %error, "a broken connection is replaced");
            }
        }
    }
}

/// Begins a transaction, on SQLite one that reads. There the statement is prepared once: parsing `BEGIN` takes
/// as long as finding a row.
fn begin(conn: &mut AnyConnection, access: Access, deadline: &Deadline, until: Instant) -> QueryResult<()> {
    if let AnyConnection::Postgres(conn) = conn {
        return conn.begin(deadline.begin(begin_of(access)), access, until);
    }
    fixed!(sql_query("BEGIN")).execute(conn)?;
    match sqlite_status(conn) {
        Some(TransactionManagerStatus::Valid(status)) => {
            status.change_transaction_depth(TransactionDepthChange::IncreaseDepth)
        }
        _ => Err(diesel::result::Error::BrokenTransactionManager),
    }
}

/// Ends a transaction that has only read, and may as well be committed.
fn finish(conn: &mut AnyConnection) {
    if let AnyConnection::Postgres(conn) = conn {
        return conn.finish();
    }
    if fixed!(sql_query("COMMIT")).execute(conn).is_err() {
        let _ = conn.batch_execute("ROLLBACK");
    }
    if let Some(status) = sqlite_status(conn) {
        *status = TransactionManagerStatus::default();
    }
}

/// Diesel's count of nested transactions.
fn sqlite_status(conn: &mut AnyConnection) -> Option<&mut TransactionManagerStatus> {
    match conn {
        AnyConnection::Sqlite(conn) => Some(AnsiTransactionManager::transaction_manager_status_mut(conn)),
        AnyConnection::Postgres(_) => None,
    }
}

/// Maximum number of retries when another transaction was first.
const RETRIES: u32 = 8;

/// Runs one write on PostgreSQL. Work that its caller has given up is rolled back.
pub(crate) fn write_postgres<T, E, F>(
    pool: &Pool,
    counters: &Counters,
    deadline: &Deadline,
    abandoned: &Abandoned,
    mut f: F,
) -> Result<T, E>
where
    F: FnMut(&mut AnyConnection) -> Result<T, E>,
    E: From<StoreError>,
{
    let (mut attempt, until) = (0, deadline.ends_at());
    loop {
        let mut conn = take(pool, until, |conn| begin(conn, Access::Write, deadline, until))?;
        let result = f(&mut conn);
        let (result, contended) = end_write(&mut conn, result, abandoned);
        pool.give_back(conn);
        if result.is_ok() || !contended || attempt == RETRIES || abandoned.is_set() {
            return result;
        }
        attempt += 1;
        counters.note_retry();
        std::thread::sleep(Duration::from_millis(u64::from(attempt) * 3));
    }
}

/// Commits what succeeded, else rolls back. The flag says that the transaction lost against another one, so
/// that it may run again.
fn end_write<T, E: From<StoreError>>(
    conn: &mut AnyConnection,
    result: Result<T, E>,
    abandoned: &Abandoned,
) -> (Result<T, E>, bool) {
    let AnyConnection::Postgres(conn) = conn else { return (Err(StoreError::Closed.into()), false) };
    let result = match result {
        Ok(value) if !abandoned.is_set() => {
            conn.commit().map(|()| value).map_err(|error| StoreError::from(error).into())
        }
        Ok(_) => {
            conn.roll_back();
            Err(StoreError::unavailable("the caller has stopped waiting").into())
        }
        Err(error) => {
            conn.roll_back();
            Err(error)
        }
    };
    // On a connection that was lost, nobody knows what became of a COMMIT.
    let contended = conn.take_contended() && !conn.is_lost();
    (result, contended)
}
