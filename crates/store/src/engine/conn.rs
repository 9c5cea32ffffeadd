//! The connection that every query function takes, and how one of each kind is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_types::TenantId;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, QueryResult, SqliteConnection};

use crate::engine::deadline;
use crate::engine::error::StoreError;
use crate::engine::options::Pooler;
use crate::engine::postgres::PostgresConnection;

/// A connection to either database.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// The embedded database.
    Sqlite(SqliteConnection),
    /// A PostgreSQL server.
    Postgres(PostgresConnection),
}

impl AnyConnection {
    /// Executes a statement whose count nobody needs. On PostgreSQL it does not wait for the server: the
    /// statement goes along with the next one of its transaction or with the commit, where its error appears,
    /// too. So it is not for statements whose failure the closure itself deals with.
    pub(crate) fn defer(&mut self, execute: impl FnOnce(&mut Self) -> QueryResult<usize>) -> QueryResult<()> {
        self.set_deferring(true);
        let done = execute(self);
        self.set_deferring(false);
        done.map(drop)
    }

    /// Makes a tenant the one whose rows PostgreSQL's row-level security shows, until another one is set or the
    /// transaction ends. Does not wait for the server: the setting goes along with the next statement.
    pub(crate) fn set_tenant(&mut self, tenant_id: &TenantId) {
        if let Self::Postgres(conn) = self {
            conn.set_tenant(tenant_id.as_str());
        }
    }

    fn set_deferring(&mut self, is_deferring: bool) {
        if let Self::Postgres(conn) = self {
            conn.set_deferring(is_deferring);
        }
    }
}

/// Purpose of a SQLite connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SqliteRole {
    /// The one connection that writes. It waits `lock_timeout` for a lock of another process.
    Writer {
        /// The wait.
        lock_timeout: Duration,
    },
    /// A connection of the pool: it cannot write and never waits, because it may be used on an async worker.
    /// Only a process that locks the whole file blocks a reader.
    Reader,
    /// A connection that only reads the schema, at start-up or on the command line.
    Inspector,
}

/// The file behind an open SQLite database. When it is moved, deleted or replaced, connections go on with a
/// file that no process will open again: reporting that is better than losing writes.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl DatabaseFile {
    /// The file as it is now.
    pub(crate) fn at(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if identity(&self.path)? == self.identity {
            return Ok(());
        }
        Err(StoreError::unavailable(format!(
            "{} was replaced while it was open: restart the server",
            self.path.display()
        )))
    }
}

/// Device and inode.
fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path)
        .map_err(|error| StoreError::unavailable(format!("{}: {error}", path.display())))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Settings of a connection. The timeout comes first: switching to WAL may have to wait for another process.
const SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4000; \
     PRAGMA wal_autocheckpoint = 4000;";
/// How often the setup is retried, and after how long.
const SETUP_TRIES: u32 = 100;
const SETUP_PAUSE: Duration = Duration::from_millis(20);

/// Opens a SQLite database. A writer makes the file, readable by its owner alone, when there is none;
/// a reader never does.
pub(crate) fn open_sqlite(path: &Path, role: SqliteRole) -> Result<SqliteConnection, StoreError> {
    if matches!(role, SqliteRole::Writer { .. }) {
        create_private(path)?;
    }
    let name = path.to_str().ok_or_else(|| StoreError::unavailable("the database path is not UTF-8"))?;
    let mut conn = SqliteConnection::establish(name)
        .map_err(|error| StoreError::unavailable(format!("{}: {error}", path.display())))?;
    let mut tries = 0;
    loop {
        match conn.batch_execute(SETUP).map_err(StoreError::from) {
            // When two connections switch a new file to WAL at once, SQLite refuses one immediately, whatever
            // the timeout.
            Err(StoreError::Busy(_)) if tries < SETUP_TRIES => tries += 1,
            outcome => break outcome?,
        }
        std::thread::sleep(SETUP_PAUSE);
    }
    match role {
        SqliteRole::Writer { lock_timeout } => conn.batch_execute(&busy_timeout(lock_timeout))?,
        SqliteRole::Reader => conn.batch_execute("PRAGMA query_only = ON; PRAGMA busy_timeout = 0;")?,
        SqliteRole::Inspector => conn.batch_execute("PRAGMA query_only = ON;")?,
    }
    Ok(conn)
}

/// The statement that makes a connection wait for a lock of another process.
pub(crate) fn busy_timeout(timeout: Duration) -> String {
    format!("PRAGMA busy_timeout = {};", timeout.as_millis())
}

fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::unavailable(format!("cannot create {}: {error}", path.display()))),
    }
}

/// Settings of a connection to a PostgreSQL server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PostgresSettings {
    /// The proxy before the server.
    pub(crate) pooler: Pooler,
    /// The deadline of a call.
    pub(crate) timeout: Duration,
}

/// Opens a connection to a PostgreSQL server; `url` carries its timeouts already.
pub(crate) fn open_postgres(url: &str, settings: PostgresSettings) -> Result<PostgresConnection, StoreError> {
    // Before libpq does it: libpq has OpenSSL clean up when the process exits, under threads that still use it.
    openssl::init();
    let (setup, keeps_statements) = match settings.pooler {
        Pooler::None => (session_setup(settings.timeout), true),
        // Another transaction runs on another connection of the server.
        Pooler::Transaction => (String::new(), false),
    };
    PostgresConnection::open(url, &setup, keeps_statements, settings.timeout)
        .map_err(|reason| StoreError::unavailable(format!("PostgreSQL: {reason}")))
}

/// Settings of a connection that nobody shares. Statements outside of transactions cannot write: those that
/// write begin one that says so.
fn session_setup(timeout: Duration) -> String {
    let timeouts = deadline::session_settings(timeout);
    format!("; SET client_min_messages = warning; SET default_transaction_read_only = on{timeouts}")
}
