//! Calibration of the database without a server: durable commits through a plain connection.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_domain::{Clock as _, SystemClock};
use causeway_store::{AnyConnection, DatabaseUrl, PostgresConnection};
use causeway_types::{Rng, SystemRng};
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, Insertable, RunQueryDsl as _, SqliteConnection};

use crate::report::{Kind, Row};

diesel::table! {
    bench_commit (key) {
        key -> Text,
        payload -> Text,
        created_at -> BigInt,
    }
}

/// A row of typical size: a hash, a few values, a time.
#[derive(Insertable)]
#[diesel(table_name = bench_commit)]
struct NewRow<'a> {
    key: String,
    payload: &'a str,
    created_at: i64,
}

/// Rows per large commit.
pub(crate) const BATCH: u32 = 32;
/// Name of the row that the goals refer to.
pub(crate) const BATCHED_ROWS: &str = "durable rows, 32 a commit";
/// Name of the row for single commits.
pub(crate) const SINGLE_ROWS: &str = "durable rows, 1 a commit";

/// Rows that were committed, and how long that took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rows: u32,
    pub(crate) took: Duration,
}

impl Tally {
    /// Rows a second.
    pub(crate) fn per_second(self) -> f64 {
        f64::from(self.rows) / self.took.as_secs_f64()
    }

    /// The row of the report.
    pub(crate) fn row(self, name: &str) -> Row {
        Row {
            name: name.to_owned(),
            kind: Kind::Calibration,
            count: self.rows.into(),
            per_second: self.per_second(),
            p50_ms: None,
            p95_ms: None,
            p99_ms: None,
            max_ms: None,
            cpu_us: None,
            load_cpu_us: None,
            database_cpu_us: None,
            rss_mb: None,
            share: None,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.took += other.took;
    }
}

/// Commits rows for `span`, `rows_a_commit` at a time, in a table of its own.
///
/// # Errors
/// When the database refuses.
pub(crate) fn measure(url: &DatabaseUrl, rows_a_commit: u32, span: Duration) -> Result<Tally> {
    let mut conn = open(url)?;
    conn.batch_execute(
        "DROP TABLE IF EXISTS bench_commit;
         CREATE TABLE bench_commit (key TEXT PRIMARY KEY, payload TEXT NOT NULL, created_at BIGINT NOT NULL);",
    )?;
    let tally = commit(&mut conn, rows_a_commit, span)?;
    conn.batch_execute("DROP TABLE bench_commit")?;
    Ok(tally)
}

fn commit(conn: &mut AnyConnection, rows_a_commit: u32, span: Duration) -> Result<Tally> {
    let transaction = match conn {
        AnyConnection::Sqlite(_) => "BEGIN IMMEDIATE",
        AnyConnection::Postgres(_) => "BEGIN",
    };
    let random: &dyn Rng = &SystemRng;
    let payload = "x".repeat(200);
    let mut rows = 0;
    let began = Instant::now();
    while began.elapsed() < span {
        conn.batch_execute(transaction)?;
        for _ in 0..rows_a_commit {
            let row = NewRow {
                key: random.base64url::<32>(),
                payload: &payload,
                created_at: SystemClock.now().as_secs(),
            };
            diesel::insert_into(bench_commit::table).values(&row).execute(conn)?;
        }
        conn.batch_execute("COMMIT")?;
        rows += rows_a_commit;
    }
    Ok(Tally { rows, took: began.elapsed() })
}

/// A connection with the settings of the server's writer.
fn open(url: &DatabaseUrl) -> Result<AnyConnection> {
    match url {
        DatabaseUrl::Sqlite { path } => {
            let mut conn = SqliteConnection::establish(path.to_str().context("the path is not UTF-8")?)?;
            conn.batch_execute(
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4000;",
            )?;
            Ok(AnyConnection::Sqlite(conn))
        }
        DatabaseUrl::Postgres(url) => Ok(AnyConnection::Postgres(PostgresConnection::establish(url)?)),
    }
}
