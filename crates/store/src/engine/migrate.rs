//! The schema's versions. These calls block; they are for start-up and the command line.

use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{OptionalExtension as _, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::engine::conn::{self, AnyConnection, PostgresSettings, SqliteRole};
use crate::engine::error::StoreError;
use crate::engine::options::Pooler;
use crate::engine::postgres::PostgresConnection;
pub use crate::engine::schema_state::SchemaState;
use crate::engine::url::DatabaseUrl;

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// The advisory lock that a migrating process holds: "causeway" as bytes.
const ADVISORY_LOCK: i64 = 0x6361_7573_6577_6179;
/// How long a migration waits for another one, or for users of a table that it changes.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// One migration and whether it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name: a timestamp and a word.
    pub name: String,
    /// Whether it is applied.
    pub applied: bool,
}

/// Why migrating failed. Earlier migrations stay applied; the failed one itself was rolled back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A migration failed.
    #[error("migration {name} failed: {reason}")]
    Failed {
        /// Its name.
        name: String,
        /// The database's error message.
        reason: String,
    },
    /// The newest migration of the database is not one of ours.
    #[error("the database has the migration {0}, which this version does not know: use the newer program")]
    Unknown(String),
}

/// Compares a database with the migrations that this program knows. Changes nothing and creates no file.
///
/// # Errors
/// [`MigrateError`] when the database does not answer.
pub fn state(url: &DatabaseUrl) -> Result<SchemaState, MigrateError> {
    Ok(with_reader(url, state_of)?.unwrap_or(SchemaState::Empty))
}

/// Same as [`state`], for an open database.
pub(crate) fn state_of(c: &mut AnyConnection) -> Result<SchemaState, StoreError> {
    let (applied, known) = (applied_of(c)?, names()?);
    let floor = if applied.is_empty() { None } else { floor_of(c)? };
    Ok(compare(&applied, &known, floor.as_deref()))
}

/// `floor` is the newest migration that a program must know to work with the schema, whatever came after it.
fn compare(applied: &[String], known: &[String], floor: Option<&str>) -> SchemaState {
    let knows = |version: &str| known.iter().any(|name| version_of(name) == version);
    let unknown: Vec<String> = applied.iter().filter(|version| !knows(version)).cloned().collect();
    let pending =
        known.iter().filter(|name| !applied.iter().any(|version| version == version_of(name))).count();
    match (unknown.is_empty(), pending) {
        (false, 0) if floor.is_some_and(knows) => SchemaState::Compatible { unknown },
        (false, _) => SchemaState::Ahead { unknown },
        _ if applied.is_empty() => SchemaState::Empty,
        (true, 0) => SchemaState::Current,
        (true, pending) => SchemaState::Behind { pending },
    }
}

/// Every migration that this program knows, oldest first.
///
/// # Errors
/// [`MigrateError`] when the database does not answer.
pub fn status(url: &DatabaseUrl) -> Result<Vec<MigrationStatus>, MigrateError> {
    let applied = with_reader(url, applied_of)?.unwrap_or_default();
    let status = |name: String| {
        let applied = applied.iter().any(|version| version == version_of(&name));
        MigrationStatus { name, applied }
    };
    Ok(names()?.into_iter().map(status).collect())
}

/// Applies the missing migrations and returns their names, oldest first. One process at a time.
///
/// # Errors
/// [`MigrateError`] when the database does not answer, is newer than this program, or a migration fails.
pub fn up(url: &DatabaseUrl) -> Result<Vec<String>, MigrateError> {
    let commits = match state(url)? {
        SchemaState::Ahead { unknown } => return Err(MigrateError::Unknown(unknown.join(", "))),
        SchemaState::Current | SchemaState::Compatible { .. } => return Ok(Vec::new()),
        SchemaState::Empty => Commits::Once,
        SchemaState::Behind { .. } => Commits::EachStep,
    };
    repeat(url, usize::MAX, commits, |conn| match conn {
        AnyConnection::Sqlite(conn) => apply_next::<Sqlite, _>(conn, SQLITE),
        AnyConnection::Postgres(conn) => apply_next::<Pg, _>(conn, POSTGRES),
    })
}

/// Reverts the newest `steps` migrations and returns their names, newest first.
///
/// # Errors
/// [`MigrateError`] when the database does not answer, or a migration is unknown or fails.
pub fn down(url: &DatabaseUrl, steps: usize) -> Result<Vec<String>, MigrateError> {
    repeat(url, steps, Commits::EachStep, |conn| match conn {
        AnyConnection::Sqlite(conn) => revert_last::<Sqlite, _>(conn, &SQLITE),
        AnyConnection::Postgres(conn) => revert_last::<Pg, _>(conn, &POSTGRES),
    })
}

fn apply_next<DB, C>(conn: &mut C, source: EmbeddedMigrations) -> Result<Option<String>, MigrateError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let pending = conn.pending_migrations(source).map_err(query_failed)?;
    let Some(migration) = pending.first() else { return Ok(None) };
    let name = migration.name().to_string();
    conn.run_migration(migration)
        .map_err(|error| MigrateError::Failed { name: name.clone(), reason: error.to_string() })?;
    Ok(Some(name))
}

fn revert_last<DB, C>(conn: &mut C, source: &EmbeddedMigrations) -> Result<Option<String>, MigrateError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known = MigrationSource::<DB>::migrations(source).map_err(query_failed)?;
    let applied = conn.applied_migrations().map_err(query_failed)?;
    let Some(version) = applied.into_iter().next() else { return Ok(None) };
    let migration = known
        .iter()
        .find(|migration| migration.name().version() == version)
        .ok_or_else(|| MigrateError::Unknown(version.to_string()))?;
    let name = migration.name().to_string();
    conn.revert_migration(migration)
        .map_err(|error| MigrateError::Failed { name: name.clone(), reason: error.to_string() })?;
    Ok(Some(name))
}

/// When steps are committed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commits {
    /// Each by itself, so that locks on tables that are in use are short.
    EachStep,
    /// All together: nobody uses an empty database, and each commit waits for the disk.
    Once,
}

/// Takes steps until there is none left, at most `most`, in transactions that one process holds at a time.
fn repeat(
    url: &DatabaseUrl,
    most: usize,
    commits: Commits,
    mut step: impl FnMut(&mut AnyConnection) -> Result<Option<String>, MigrateError>,
) -> Result<Vec<String>, MigrateError> {
    let mut conn = match url {
        DatabaseUrl::Sqlite { path } => {
            AnyConnection::Sqlite(conn::open_sqlite(path, SqliteRole::Writer { lock_timeout: LOCK_TIMEOUT })?)
        }
        DatabaseUrl::Postgres(url) => AnyConnection::Postgres(open_postgres(url)?),
    };
    let mut done = Vec::new();
    let mut is_complete = false;
    while !is_complete && done.len() < most {
        // On an error the connection is dropped, and the transaction with it.
        begin_alone(&mut conn).map_err(StoreError::from)?;
        loop {
            let taken = step(&mut conn)?;
            is_complete = taken.is_none();
            done.extend(taken);
            if is_complete || done.len() == most || commits == Commits::EachStep {
                break;
            }
        }
        commit(&mut conn).map_err(StoreError::from)?;
    }
    Ok(done)
}

/// Begins a transaction that one process holds at a time. The lock ends with it, so that a pooler may stand
/// between.
fn begin_alone(c: &mut AnyConnection) -> QueryResult<()> {
    match c {
        AnyConnection::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        AnyConnection::Postgres(conn) => {
            let lock_timeout = LOCK_TIMEOUT.as_millis();
            let begin = format!(
                "BEGIN; SET LOCAL lock_timeout = {lock_timeout}; SET LOCAL statement_timeout = 0; \
                 SET LOCAL client_min_messages = warning; SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"
            );
            AnsiTransactionManager::begin_transaction_sql(conn, &begin)
        }
    }
}

fn commit(c: &mut AnyConnection) -> QueryResult<()> {
    match c {
        AnyConnection::Sqlite(conn) => AnsiTransactionManager::commit_transaction(conn),
        AnyConnection::Postgres(conn) => AnsiTransactionManager::commit_transaction(conn),
    }
}

/// Connects as if behind a pooler, whether there is one or not.
fn open_postgres(url: &str) -> Result<PostgresConnection, StoreError> {
    let settings = PostgresSettings { pooler: Pooler::Transaction, timeout: LOCK_TIMEOUT };
    conn::open_postgres(&DatabaseUrl::with_timeouts(url), settings)
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Reads in one transaction, without creating a database: `None` when there is none.
fn with_reader<T>(
    url: &DatabaseUrl,
    f: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match url {
        DatabaseUrl::Sqlite { path } if !path.exists() => Ok(None),
        DatabaseUrl::Sqlite { path } => {
            let conn = conn::open_sqlite(path, SqliteRole::Inspector)?;
            f(&mut AnyConnection::Sqlite(conn)).map(Some)
        }
        DatabaseUrl::Postgres(url) => {
            let mut conn = open_postgres(url)?;
            AnsiTransactionManager::begin_transaction_sql(&mut conn, "BEGIN READ ONLY")?;
            let mut conn = AnyConnection::Postgres(conn);
            let read = f(&mut conn)?;
            commit(&mut conn)?;
            Ok(Some(read))
        }
    }
}

/// The newest migration that a program must know to work with this schema, for a database that records it.
fn floor_of(c: &mut AnyConnection) -> Result<Option<String>, StoreError> {
    if !has_table(c, "schema_floor")? {
        return Ok(None);
    }
    let floor: Option<Version> = sql_query("SELECT version FROM schema_floor").get_result(c).optional()?;
    Ok(floor.map(|row| row.version))
}

/// The versions that a database has, without creating the table that lists them.
fn applied_of(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    if !has_table(c, "__diesel_schema_migrations")? {
        return Ok(Vec::new());
    }
    let versions: Vec<Version> =
        sql_query("SELECT version FROM __diesel_schema_migrations ORDER BY version").load(c)?;
    Ok(versions.into_iter().map(|row| row.version).collect())
}

fn has_table(c: &mut AnyConnection, name: &'static str) -> Result<bool, StoreError> {
    let query = match c {
        AnyConnection::Sqlite(_) => "SELECT count(*) AS count FROM sqlite_master WHERE name = $1",
        AnyConnection::Postgres(_) => "SELECT count(to_regclass($1)) AS count",
    };
    let tables: Count = sql_query(query).bind::<Text, _>(name).get_result(c)?;
    Ok(tables.count > 0)
}

/// The names of the migrations that we know, oldest first: the same for either database.
pub(crate) fn names() -> Result<Vec<String>, StoreError> {
    let migrations: Vec<Box<dyn Migration<Sqlite>>> =
        SQLITE.migrations().map_err(|error| StoreError::Query(error.to_string()))?;
    let mut names: Vec<String> = migrations.iter().map(|migration| migration.name().to_string()).collect();
    names.sort_unstable();
    Ok(names)
}

fn version_of(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

fn query_failed(error: impl std::fmt::Display) -> MigrateError {
    StoreError::Query(error.to_string()).into()
}
