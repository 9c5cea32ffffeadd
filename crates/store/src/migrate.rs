//! The schema's versions. These calls block; they are for start-up and the command line.

use std::fmt;

use diesel::connection::{AnsiTransactionManager, SimpleConnection};
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::conn::{self, AnyConnection, SqliteRole};
use crate::error::StoreError;
use crate::url::DatabaseUrl;

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// The advisory lock of whoever migrates: "causeway" as bytes.
const ADVISORY_LOCK: i64 = 0x6361_7573_6577_6179;

/// How a database's schema compares with what this program knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Nothing was ever migrated.
    Empty,
    /// Some migrations are missing: `migrate up` applies them.
    Behind {
        /// How many.
        pending: usize,
    },
    /// All of ours, and no other.
    Current,
    /// Migrated by a newer program: this one must not touch it.
    Ahead {
        /// The versions that we don't know.
        unknown: Vec<String>,
    },
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the database was never migrated: run `causeway migrate up`"),
            Self::Behind { pending } => {
                write!(f, "the database lacks {pending} migrations: run `causeway migrate up`")
            }
            Self::Current => f.write_str("the schema is current"),
            Self::Ahead { unknown } => write!(
                f,
                "the database has migrations that this version does not know ({}): use the newer program",
                unknown.join(", ")
            ),
        }
    }
}

/// One migration and whether it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name: a timestamp and a word.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Why migrating failed. What was done before stays done; the failed migration itself left nothing.
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
        /// What the database says.
        reason: String,
    },
    /// The newest migration of the database is not one of ours.
    #[error("the database has the migration {0}, which this version does not know: use the newer program")]
    Unknown(String),
}

/// Compares a database with what this program knows. Changes nothing and makes no file.
///
/// # Errors
/// [`MigrateError`] when the database does not answer.
pub fn state(url: &DatabaseUrl) -> Result<SchemaState, MigrateError> {
    Ok(compare(&read_applied(url)?, &names()?))
}

/// The same for a database that is open.
pub(crate) fn state_of(c: &mut AnyConnection) -> Result<SchemaState, StoreError> {
    Ok(compare(&applied_of(c)?, &names()?))
}

fn compare(applied: &[String], known: &[String]) -> SchemaState {
    let unknown: Vec<String> = applied
        .iter()
        .filter(|version| !known.iter().any(|name| version_of(name) == **version))
        .cloned()
        .collect();
    match known.len().saturating_sub(applied.len()) {
        _ if !unknown.is_empty() => SchemaState::Ahead { unknown },
        _ if applied.is_empty() => SchemaState::Empty,
        0 => SchemaState::Current,
        pending => SchemaState::Behind { pending },
    }
}

/// Every migration that this program knows, oldest first.
///
/// # Errors
/// [`MigrateError`] when the database does not answer.
pub fn status(url: &DatabaseUrl) -> Result<Vec<MigrationStatus>, MigrateError> {
    let applied = read_applied(url)?;
    let status = |name: String| {
        let applied = applied.iter().any(|version| version == version_of(&name));
        MigrationStatus { name, applied }
    };
    Ok(names()?.into_iter().map(status).collect())
}

/// Applies what is missing and returns the names, oldest first. One process at a time.
///
/// # Errors
/// [`MigrateError`] when the database does not answer, is newer than this program, or a migration fails.
pub fn up(url: &DatabaseUrl) -> Result<Vec<String>, MigrateError> {
    if let SchemaState::Ahead { unknown } = state(url)? {
        return Err(MigrateError::Unknown(unknown.join(", ")));
    }
    with_lock(url, |conn| {
        let apply = match conn {
            AnyConnection::Sqlite(conn) => apply::<Sqlite, _>(conn, SQLITE),
            AnyConnection::Postgres(conn) => apply::<Pg, _>(conn, POSTGRES),
        }?;
        Ok(apply)
    })
}

/// Takes the newest `steps` migrations back and returns their names, newest first.
///
/// # Errors
/// [`MigrateError`] when the database does not answer, or a migration is unknown or fails.
pub fn down(url: &DatabaseUrl, steps: usize) -> Result<Vec<String>, MigrateError> {
    with_lock(url, |conn| match conn {
        AnyConnection::Sqlite(conn) => revert::<Sqlite, _>(conn, &SQLITE, steps),
        AnyConnection::Postgres(conn) => revert::<Pg, _>(conn, &POSTGRES, steps),
    })
}

fn apply<DB, C>(conn: &mut C, source: EmbeddedMigrations) -> Result<Vec<String>, MigrateError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let pending = conn.pending_migrations(source).map_err(query_failed)?;
    let mut done = Vec::new();
    for migration in &pending {
        let name = migration.name().to_string();
        conn.run_migration(migration)
            .map_err(|error| MigrateError::Failed { name: name.clone(), reason: error.to_string() })?;
        done.push(name);
    }
    Ok(done)
}

fn revert<DB, C>(conn: &mut C, source: &EmbeddedMigrations, steps: usize) -> Result<Vec<String>, MigrateError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known = MigrationSource::<DB>::migrations(source).map_err(query_failed)?;
    let applied = conn.applied_migrations().map_err(query_failed)?;
    let mut done = Vec::new();
    for version in applied.into_iter().take(steps) {
        let migration = known
            .iter()
            .find(|migration| migration.name().version() == version)
            .ok_or_else(|| MigrateError::Unknown(version.to_string()))?;
        let name = migration.name().to_string();
        conn.revert_migration(migration)
            .map_err(|error| MigrateError::Failed { name: name.clone(), reason: error.to_string() })?;
        done.push(name);
    }
    Ok(done)
}

/// Runs `f` while no other process migrates: on PostgreSQL under an advisory lock, on SQLite inside
/// one transaction.
fn with_lock<T>(
    url: &DatabaseUrl,
    f: impl FnOnce(&mut AnyConnection) -> Result<T, MigrateError>,
) -> Result<T, MigrateError> {
    match url {
        DatabaseUrl::Sqlite { path } => {
            let mut conn = conn::open_sqlite(path, SqliteRole::Writer)?;
            AnsiTransactionManager::begin_transaction_sql(&mut conn, "BEGIN IMMEDIATE")
                .map_err(StoreError::from)?;
            let mut conn = AnyConnection::Sqlite(conn);
            // On an error the connection is dropped, and the transaction with it.
            let done = f(&mut conn)?;
            conn.batch_execute("COMMIT").map_err(StoreError::from)?;
            Ok(done)
        }
        DatabaseUrl::Postgres(url) => {
            let mut conn = open_postgres(url)?;
            conn.batch_execute(&format!(
                "SET lock_timeout = '60s'; SET statement_timeout = 0; SELECT pg_advisory_lock({ADVISORY_LOCK})"
            ))
            .map_err(StoreError::from)?;
            // The lock ends with the connection.
            f(&mut AnyConnection::Postgres(conn))
        }
    }
}

fn open_postgres(url: &str) -> Result<PgConnection, StoreError> {
    conn::open_postgres(&DatabaseUrl::with_timeouts(url)).map(|(conn, _)| conn)
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

/// The versions that a database has, without making it.
fn read_applied(url: &DatabaseUrl) -> Result<Vec<String>, StoreError> {
    let mut conn = match url {
        DatabaseUrl::Sqlite { path } if !path.exists() => return Ok(Vec::new()),
        DatabaseUrl::Sqlite { path } => AnyConnection::Sqlite(conn::open_sqlite(path, SqliteRole::Reader)?),
        DatabaseUrl::Postgres(url) => AnyConnection::Postgres(open_postgres(url)?),
    };
    applied_of(&mut conn)
}

/// The same for a database that is open, without making the table that lists them.
fn applied_of(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    const SQLITE_TABLE: &str =
        "SELECT count(*) AS count FROM sqlite_master WHERE name = '__diesel_schema_migrations'";
    const POSTGRES_TABLE: &str = "SELECT count(to_regclass('__diesel_schema_migrations')) AS count";
    const VERSIONS: &str = "SELECT version FROM __diesel_schema_migrations ORDER BY version";
    let has_table = match c {
        AnyConnection::Sqlite(_) => SQLITE_TABLE,
        AnyConnection::Postgres(_) => POSTGRES_TABLE,
    };
    let tables: Count = sql_query(has_table).get_result(c)?;
    if tables.count == 0 {
        return Ok(Vec::new());
    }
    let versions: Vec<Version> = sql_query(VERSIONS).load(c)?;
    Ok(versions.into_iter().map(|row| row.version).collect())
}

/// The names of the migrations that we know, oldest first: the same for either database.
fn names() -> Result<Vec<String>, StoreError> {
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
