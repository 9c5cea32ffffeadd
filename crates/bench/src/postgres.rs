//! Calibration of PostgreSQL without a server: prepared statements, one round trip each, on as many connections as the
//! load has.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use diesel::connection::SimpleConnection as _;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Text;
use diesel::{Connection as _, PgConnection, QueryResult, RunQueryDsl};

use crate::calibration::Tally;

/// Name of the row that reads are compared with.
pub(crate) const READS: &str = "postgres: read by key";
/// Name of the row that single writes are compared with.
pub(crate) const INSERTS: &str = "postgres: durable insert";
/// Name of the row that token requests are compared with.
pub(crate) const EXCHANGES: &str = "postgres: code exchange";

/// Rows to find.
const ROWS: u32 = 20_000;
const TABLES: &str = "DROP TABLE IF EXISTS bench_code, bench_session, bench_access, bench_refresh;
    CREATE TABLE bench_code (key TEXT PRIMARY KEY, payload TEXT NOT NULL, used BOOLEAN NOT NULL);
    CREATE TABLE bench_session (key TEXT PRIMARY KEY, payload TEXT NOT NULL, used BOOLEAN NOT NULL);
    CREATE TABLE bench_access (key TEXT PRIMARY KEY, payload TEXT NOT NULL, used BOOLEAN NOT NULL);
    CREATE TABLE bench_refresh (key TEXT PRIMARY KEY, payload TEXT NOT NULL, used BOOLEAN NOT NULL);
    INSERT INTO bench_code SELECT 'key' || n, repeat('x', 400), false FROM generate_series(0, 19999) AS n;
    INSERT INTO bench_session SELECT * FROM bench_code;
    ANALYZE bench_code, bench_session;";
const NO_TABLES: &str = "DROP TABLE bench_code, bench_session, bench_access, bench_refresh";

/// The operation that is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// A row is read by its key.
    Read,
    /// A row is inserted, durably.
    Insert,
    /// The statements of a code exchange, one after another.
    Exchange,
}

impl Work {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Insert, Self::Exchange];

    /// Name of the row in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => READS,
            Self::Insert => INSERTS,
            Self::Exchange => EXCHANGES,
        }
    }

    fn once(self, conn: &mut PgConnection, number: u32) -> QueryResult<()> {
        let old = format!("key{}", number % ROWS);
        let new = format!("{number:020}");
        let mut run = |sql, key| Prepared { sql, key }.execute(conn).map(drop);
        let read_session = "SELECT key, payload, used FROM bench_session WHERE key = ";
        match self {
            Self::Read => run(read_session, Some(&old)),
            Self::Insert => run(INSERT_ACCESS, Some(&new)),
            Self::Exchange => {
                run("BEGIN", None)?;
                run("SELECT key, payload, used FROM bench_code WHERE key = ", Some(&old))?;
                run(read_session, Some(&old))?;
                run("UPDATE bench_code SET used = true WHERE key = ", Some(&old))?;
                run(INSERT_ACCESS, Some(&new))?;
                run(INSERT_REFRESH, Some(&new))?;
                run("COMMIT", None)
            }
        }
    }
}

const INSERT_ACCESS: &str = "INSERT INTO bench_access (payload, used, key) SELECT repeat('x', 400), false, ";
const INSERT_REFRESH: &str =
    "INSERT INTO bench_refresh (payload, used, key) SELECT repeat('x', 400), false, ";

/// A statement that ends with its only value; diesel prepares it once on each connection.
struct Prepared<'k> {
    sql: &'static str,
    key: Option<&'k String>,
}

impl QueryFragment<Pg> for Prepared<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_sql(self.sql);
        match self.key {
            Some(key) => pass.push_bind_param::<Text, _>(key),
            None => Ok(()),
        }
    }
}

impl QueryId for Prepared<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<PgConnection> for Prepared<'_> {}

/// Repeats some work on all connections for `span`, after a warm-up of a fifth of it.
///
/// # Errors
/// When the database refuses.
pub(crate) fn measure(url: &str, connections: u16, work: Work, span: Duration) -> Result<Tally> {
    PgConnection::establish(url)?.batch_execute(TABLES)?;
    let (done, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let ready = Barrier::new(usize::from(connections) + 1);
    let repeat = || -> Result<()> {
        let conn = PgConnection::establish(url);
        ready.wait();
        let mut conn = conn?;
        while !is_over.load(Ordering::Relaxed) {
            work.once(&mut conn, done.fetch_add(1, Ordering::Relaxed))?;
        }
        Ok(())
    };
    let tally = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(repeat)).collect();
        ready.wait();
        thread::sleep(span / 5);
        let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
        thread::sleep(span);
        let tally = Tally { rows: done.load(Ordering::Relaxed) - before, took: began.elapsed() };
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a connection panicked"))?.context(work.name())?;
        }
        Ok::<_, anyhow::Error>(tally)
    })?;
    PgConnection::establish(url)?.batch_execute(NO_TABLES)?;
    Ok(tally)
}
