//! Transactions on pooled connections: how they begin and end, and which are retried.

use std::time::Duration;

use diesel::connection::{
    AnsiTransactionManager, SimpleConnection, TransactionDepthChange, TransactionManager,
    TransactionManagerStatus,
};
use diesel::{QueryResult, RunQueryDsl as _, sql_query};

use crate::engine::conn::AnyConnection;
use crate::engine::deadline::{Abandoned, Deadline};
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::pool::{Pool, Pooled};
use crate::engine::stats::Counters;

/// Runs one read, in a transaction of its own, on a pooled connection or a new one.
pub(crate) fn read_on<T, E: From<StoreError>>(
    pool: &Pool,
    deadline: &Deadline,
    f: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
) -> Result<T, E> {
    let pooled = begin(pool, &deadline.begin_read)?;
    finish_read(pool, pooled, f)
}

/// Same as [`read_on`], on an idle connection that was taken already, if it is alive; otherwise returns the
/// closure.
pub(crate) fn read_on_idle<T, E, F>(pool: &Pool, mut idle: Pooled, f: F) -> Result<Result<T, E>, F>
where
    F: FnOnce(&mut AnyConnection) -> Result<T, E>,
{
    match begin_on(&mut idle.conn, "BEGIN") {
        Ok(()) => Ok(finish_read(pool, idle, f)),
        Err(_) => Err(f),
    }
}

fn finish_read<T, E>(
    pool: &Pool,
    mut pooled: Pooled,
    f: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
) -> Result<T, E> {
    let result = f(&mut pooled.conn);
    let _ = end(&mut pooled, "COMMIT");
    pool.give_back(pooled);
    result
}

/// Begins a transaction. A dead connection is noticed at this moment: nothing has happened yet, so another
/// one takes its place.
fn begin(pool: &Pool, on_postgres: &str) -> Result<Pooled, StoreError> {
    loop {
        let (mut pooled, new) = pool.take()?;
        match begin_on(&mut pooled.conn, on_postgres) {
            Ok(()) => return Ok(pooled),
            Err(error) if new => return Err(error.into()),
            // Dropped, whatever the error; the pool has fewer of them each time.
            Err(error) => {
                tracing::debug!(name: "store.connection_replaced", %error, "a broken connection is replaced");
            }
        }
    }
}

/// Begins a transaction on a pooled connection, which on SQLite only reads. There the statement is prepared
/// once: parsing `BEGIN` takes as long as finding a row.
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

/// Diesel's count of nested transactions.
fn transaction_status(conn: &mut AnyConnection) -> &mut TransactionManagerStatus {
    match conn {
        AnyConnection::Sqlite(conn) => AnsiTransactionManager::transaction_manager_status_mut(conn),
        AnyConnection::Postgres(conn) => AnsiTransactionManager::transaction_manager_status_mut(conn),
    }
}

/// Ends the transaction, on PostgreSQL with `on_postgres`, and resets diesel's count whatever the closure did
/// to it.
fn end(pooled: &mut Pooled, on_postgres: &str) -> Result<(), StoreError> {
    let ended = match &mut pooled.conn {
        // A transaction that only reads may as well be committed.
        conn @ AnyConnection::Sqlite(_) => fixed!(sql_query("COMMIT")).execute(conn).map(drop),
        AnyConnection::Postgres(conn) => conn.batch_execute(on_postgres),
    };
    if ended.is_err() && !pooled.health.is_closed() {
        let _ = pooled.conn.batch_execute("ROLLBACK");
    }
    *transaction_status(&mut pooled.conn) = TransactionManagerStatus::default();
    ended.map_err(StoreError::from)
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
    let mut attempt = 0;
    loop {
        let mut pooled = begin(pool, &deadline.begin_write)?;
        let result = match f(&mut pooled.conn) {
            Ok(value) if !abandoned.is_set() => end(&mut pooled, "COMMIT").map(|()| value).map_err(E::from),
            Ok(_) => {
                let _ = end(&mut pooled, "ROLLBACK");
                Err(StoreError::unavailable("the caller has stopped waiting").into())
            }
            Err(error) => {
                let _ = end(&mut pooled, "ROLLBACK");
                Err(error)
            }
        };
        let contended = pooled.health.take_contended();
        pool.give_back(pooled);
        if result.is_ok() || !contended || attempt == RETRIES || abandoned.is_set() {
            return result;
        }
        attempt += 1;
        counters.note_retry();
        std::thread::sleep(Duration::from_millis(u64::from(attempt) * 3));
    }
}
