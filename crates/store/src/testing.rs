//! Fresh databases for tests, of both kinds: a migrated template is made once and copied.
//!
//! The PostgreSQL server is expected at `CAUSEWAY_TEST_POSTGRES_URL`, by default
//! `postgres://postgres@127.0.0.1:5432`. Every database there is named `causeway_test_<made at>_<random>`;
//! databases left behind by killed tests are dropped an hour later.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test without a database must fail visibly"
)]

mod pgbouncer;
mod plain_role;

pub use self::pgbouncer::PgBouncer;

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use causeway_domain::{Clock as _, SystemClock};
use causeway_types::{Rng as _, SystemRng};
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::Text;
use diesel::{
    Connection as _, ConnectionResult, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query,
};
use tempfile::TempDir;
use url::Url;

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::migrate;
use crate::engine::options::StoreOptions;
use crate::engine::postgres::PostgresConnection;
use crate::engine::store::Store;
use crate::engine::url::DatabaseUrl;

const SERVER_VARIABLE: &str = "CAUSEWAY_TEST_POSTGRES_URL";
const DEFAULT_SERVER: &str = "postgres://postgres@127.0.0.1:5432";
/// Seconds after which a test's database counts as abandoned.
const STALE_SECONDS: i64 = 3600;

/// The database of one test: dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    url: DatabaseUrl,
    /// The name of a PostgreSQL database.
    database: Option<String>,
    /// The directory of a SQLite file.
    _directory: Option<TempDir>,
}

impl TestDatabase {
    /// A migrated SQLite file.
    ///
    /// # Panics
    /// When the file cannot be made.
    pub fn sqlite() -> Self {
        static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
        let fresh = Self::empty_sqlite();
        let path = fresh.sqlite_path().expect("a SQLite database has a path");
        std::fs::write(path, TEMPLATE.get_or_init(sqlite_template)).expect("the template can be copied");
        fresh
    }

    /// A SQLite file that does not exist yet.
    ///
    /// # Panics
    /// When there is no temporary directory.
    pub fn empty_sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = DatabaseUrl::Sqlite { path: directory.path().join("causeway.db") };
        Self { url, database: None, _directory: Some(directory) }
    }

    /// A migrated PostgreSQL database; `None`, and a loud line on stderr, when there is no server.
    ///
    /// # Panics
    /// When the server answers and the database cannot be made all the same.
    pub fn postgres() -> Option<Self> {
        let mut admin = connect_to_server()?;
        let template = template(&mut admin);
        Some(Self::create(&mut admin, Some(&template)))
    }

    /// A PostgreSQL database without any table; `None` when there is no server.
    ///
    /// # Panics
    /// When the server answers and the database cannot be made all the same.
    pub fn empty_postgres() -> Option<Self> {
        let mut admin = connect_to_server()?;
        Some(Self::create(&mut admin, None))
    }

    /// One migrated database of each kind that can be had here.
    pub fn each() -> Vec<Self> {
        std::iter::once(Self::sqlite()).chain(Self::postgres()).collect()
    }

    /// One empty database of each kind that can be had here.
    pub fn each_empty() -> Vec<Self> {
        std::iter::once(Self::empty_sqlite()).chain(Self::empty_postgres()).collect()
    }

    /// Where it is.
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.url {
            DatabaseUrl::Sqlite { path } => Some(path),
            DatabaseUrl::Postgres(_) => None,
        }
    }

    /// `sqlite` or `postgres`, for the messages of assertions.
    pub const fn kind(&self) -> &'static str {
        match &self.url {
            DatabaseUrl::Sqlite { .. } => "sqlite",
            DatabaseUrl::Postgres(_) => "postgres",
        }
    }

    /// Opens it with [`options`].
    ///
    /// # Panics
    /// When it does not open.
    pub async fn store(&self) -> Store {
        Store::open(&self.url, options()).await.expect("a test database opens")
    }

    /// Locks out everybody else until the result is dropped, as another process may: on PostgreSQL from the
    /// table of clients, on SQLite from writing.
    ///
    /// # Panics
    /// When the lock cannot be had.
    pub fn locked(&self) -> Locked {
        let locked = match &self.url {
            DatabaseUrl::Sqlite { path } => {
                let mut conn = SqliteConnection::establish(path.to_str().expect("a UTF-8 path"))
                    .expect("a test database opens");
                conn.batch_execute("BEGIN IMMEDIATE").map(|()| AnyConnection::Sqlite(conn))
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = connect(url).expect("a test database opens");
                conn.batch_execute("BEGIN; LOCK TABLE oauth_client IN ACCESS EXCLUSIVE MODE")
                    .map(|()| AnyConnection::Postgres(conn))
            }
        };
        Locked { _conn: locked.expect("nobody else holds the lock") }
    }

    fn create(admin: &mut PostgresConnection, template: Option<&str>) -> Self {
        let name = format!("causeway_test_{}_{}", SystemClock.now(), random_hex());
        let sql = match template {
            Some(template) => format!("CREATE DATABASE {name} TEMPLATE {template}"),
            None => format!("CREATE DATABASE {name}"),
        };
        // While another process copies the same template the server may refuse for a moment.
        let mut created = admin.batch_execute(&sql);
        for _ in 0..50 {
            if created.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            created = admin.batch_execute(&sql);
        }
        created.expect("a PostgreSQL database can be created");
        Self { url: DatabaseUrl::Postgres(url_of(&name)), database: Some(name), _directory: None }
    }
}

/// A lock that another process holds ([`TestDatabase::locked`]).
pub struct Locked {
    _conn: AnyConnection,
}

impl std::fmt::Debug for Locked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locked").finish_non_exhaustive()
    }
}

/// The defaults, with a deadline for machines that have much else to do.
pub fn options() -> StoreOptions {
    StoreOptions { timeout: Duration::from_mins(1), ..StoreOptions::default() }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(name) = &self.database
            && let Ok(mut admin) = connect(&url_of("postgres"))
        {
            // Databases that could not be dropped are dropped with the stale ones.
            let _ = admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

fn server() -> String {
    std::env::var(SERVER_VARIABLE).unwrap_or_else(|_| DEFAULT_SERVER.to_owned())
}

/// The address of a database on the server.
fn url_of(database: &str) -> String {
    let mut url = Url::parse(&server()).unwrap_or_else(|error| panic!("{SERVER_VARIABLE}: {error}"));
    url.set_path(database);
    DatabaseUrl::with_timeouts(url.as_str())
}

/// Same as in the store: OpenSSL must not clean up at process exit.
fn connect(url: &str) -> ConnectionResult<PostgresConnection> {
    openssl::init();
    PostgresConnection::establish(url)
}

fn connect_to_server() -> Option<PostgresConnection> {
    match connect(&url_of("postgres")) {
        Ok(conn) => Some(conn),
        Err(error) => {
            let server = DatabaseUrl::Postgres(server());
            eprintln!(
                "\n*** SKIPPED PostgreSQL: {server} does not answer: {error}\n*** set {SERVER_VARIABLE}\n"
            );
            None
        }
    }
}

/// The bytes of a migrated SQLite file. nextest runs each test in a process of its own; those of one test
/// binary share the file that the first one created, beside the binary; each build gets a new one.
fn sqlite_template() -> Vec<u8> {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let binary = std::env::current_exe().ok();
    let shared = binary.as_ref().map(|binary| binary.with_extension("template.db"));
    if let (Some(binary), Some(shared)) = (&binary, &shared)
        && modified(shared) > modified(binary)
        && let Ok(known) = std::fs::read(shared)
    {
        return known;
    }
    let made = migrated_sqlite();
    if let Some(shared) = shared {
        // Others may read it now: it appears whole. Where it cannot be written, each process makes its own.
        let draft = shared.with_extension(random_hex());
        let _ = std::fs::write(&draft, &made).and_then(|()| std::fs::rename(&draft, &shared));
    }
    made
}

fn migrated_sqlite() -> Vec<u8> {
    let made = TestDatabase::empty_sqlite();
    migrate::up(&made.url).expect("the migrations run on SQLite");
    let path = made.sqlite_path().expect("a SQLite database has a path");
    let mut conn =
        SqliteConnection::establish(path.to_str().expect("a UTF-8 path")).expect("the template opens");
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").expect("the template is written out");
    drop(conn);
    std::fs::read(path).expect("the template is readable")
}

fn random_hex() -> String {
    let mut bytes = [0_u8; 6];
    SystemRng.fill(&mut bytes);
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The migrated database that the others are copies of. Other processes with the same migrations
/// share it for a while; no one connects to it.
fn template(admin: &mut PostgresConnection) -> String {
    static TEMPLATE: Mutex<Option<(String, i64)>> = Mutex::new(None);
    let mut known = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    let now = SystemClock.now().as_secs();
    if let Some((name, made_at)) = known.as_ref()
        && now - made_at < STALE_SECONDS / 2
    {
        return name.clone();
    }
    admin.batch_execute("SELECT pg_advisory_lock(31415926)").expect("the lock of the template");
    let suffix = format!("template_{}", hash_of_migrations());
    let existing: Vec<Name> =
        sql_query("SELECT datname::text AS name FROM pg_database WHERE datname LIKE 'causeway\\_test\\_%'")
            .load(admin)
            .expect("the list of databases");
    let mut found = None;
    for Name { name } in existing {
        let made_at = name.split('_').nth(2).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        if now - made_at > STALE_SECONDS {
            // Fails, and should, while the template is in use.
            let _ = admin.batch_execute(&format!("DROP DATABASE {name}"));
        } else if name.ends_with(&suffix) && now - made_at < STALE_SECONDS / 2 {
            found = Some((name, made_at));
        }
    }
    let (name, made_at) = found.unwrap_or_else(|| {
        let making = TestDatabase::create(admin, None);
        migrate::up(&making.url).expect("the migrations run on PostgreSQL");
        let name = format!("causeway_test_{now}_{suffix}");
        if let Some(made) = &making.database {
            // The server may not have noticed yet that the migrating connection was closed.
            let sql = format!("ALTER DATABASE {made} RENAME TO {name}");
            let mut renamed = admin.batch_execute(&sql);
            for _ in 0..50 {
                if renamed.is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
                renamed = admin.batch_execute(&sql);
            }
            renamed.expect("the template can be named");
        }
        (name, now)
    });
    admin.batch_execute("SELECT pg_advisory_unlock(31415926)").expect("the lock of the template");
    *known = Some((name.clone(), made_at));
    name
}

/// Changes with every edit of a migration, and with those that this program knows: it need not be as new as the files.
fn hash_of_migrations() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/postgres");
    let mut files = Vec::new();
    for directory in std::fs::read_dir(&root).expect("the migrations are in the checkout").flatten() {
        files.push(directory.path().join("up.sql"));
    }
    files.sort();
    let known = migrate::names().expect("the migrations are in the program").concat().into_bytes();
    let content = files.iter().filter_map(|file| std::fs::read(file).ok()).chain([known]);
    let content: Vec<u8> = content.flatten().collect();
    let digest = openssl::sha::sha256(&content);
    hex(digest.get(..4).unwrap_or_default())
}

/// Counts the rows of a table.
///
/// # Errors
/// [`StoreError`] when there is no such table.
pub fn count_rows(c: &mut AnyConnection, table: &'static str) -> Result<i64, StoreError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        rows: i64,
    }
    Ok(sql_query(format!("SELECT COUNT(*) AS rows FROM {table}")).get_result::<Count>(c)?.rows)
}

/// Result of a query that selects one whole number as `number`.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn find_number(c: &mut AnyConnection, sql: &str) -> Result<i64, StoreError> {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        number: i64,
    }
    Ok(sql_query(sql).get_result::<Number>(c)?.number)
}

/// Executes a statement as one whose count nobody needs.
///
/// # Errors
/// [`StoreError`] when it fails, or in its place one before it.
pub fn defer(c: &mut AnyConnection, sql: &str) -> Result<(), StoreError> {
    Ok(c.defer(|c| sql_query(sql).execute(c))?)
}

/// Makes every lease expire.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn expire_leases(c: &mut AnyConnection) -> Result<(), StoreError> {
    sql_query("UPDATE upstream_session SET lease_until = 0 WHERE lease_until IS NOT NULL").execute(c)?;
    Ok(())
}

/// Backdates the last heartbeat of every server, as if they had been killed.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn stop_hearts(c: &mut AnyConnection) -> Result<(), StoreError> {
    sql_query("UPDATE node SET seen_at = seen_at - 1000").execute(c)?;
    Ok(())
}

/// When the last lease expires, in seconds since 1970; 0: no lease is held.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn leased_until(c: &mut AnyConnection) -> Result<i64, StoreError> {
    #[derive(QueryableByName)]
    struct Lease {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        until: i64,
    }
    Ok(sql_query("SELECT COALESCE(MAX(lease_until), 0) AS until FROM upstream_session")
        .get_result::<Lease>(c)?
        .until)
}

/// Changes the schema as a newer program's migration might: adds a column to a table, and an unknown version
/// to the list of migrations. `compatible` says whether the version before may run beside it.
///
/// # Errors
/// [`StoreError`] when a statement fails.
pub fn make_newer(c: &mut AnyConnection, compatible: bool) -> Result<(), StoreError> {
    c.batch_execute(
        "ALTER TABLE oauth_client ADD COLUMN of_the_future TEXT;
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000000');",
    )?;
    if compatible { Ok(()) } else { raise_floor(c) }
}

/// Makes the schema of [`make_newer`] say that no older version may work with it.
///
/// # Errors
/// [`StoreError`] when the statement fails.
pub fn raise_floor(c: &mut AnyConnection) -> Result<(), StoreError> {
    Ok(c.batch_execute("UPDATE schema_floor SET version = '20991231000000'")?)
}

/// Makes the database refuse new credentials of sessions, with an error message unknown to the store, or accept
/// them again.
///
/// # Errors
/// [`StoreError`] when a statement fails.
pub fn refuse_token_sets(c: &mut AnyConnection, refused: bool) -> Result<(), StoreError> {
    refuse_rows(c, "oauth_atp_session", "INSERT", refused)?;
    refuse_rows(c, "upstream_credential", "UPDATE OF payload", refused)
}

/// Makes the database refuse new rows of the audit log, or accept them again.
///
/// # Errors
/// [`StoreError`] when a statement fails.
pub fn refuse_audit_events(c: &mut AnyConnection, refused: bool) -> Result<(), StoreError> {
    refuse_rows(c, "audit_event", "INSERT", refused)
}

/// Makes the database refuse new rows of a table, or accept them again.
///
/// # Errors
/// [`StoreError`] when a statement fails.
pub fn refuse_new_rows(c: &mut AnyConnection, table: &str, refused: bool) -> Result<(), StoreError> {
    refuse_rows(c, table, "INSERT", refused)
}

fn refuse_rows(c: &mut AnyConnection, table: &str, change: &str, refused: bool) -> Result<(), StoreError> {
    let statements = match (&*c, refused) {
        (AnyConnection::Sqlite(_), true) => format!(
            "CREATE TRIGGER refused_{table} BEFORE {change} ON {table} BEGIN SELECT RAISE(ABORT, 'not today'); END"
        ),
        (AnyConnection::Sqlite(_), false) => format!("DROP TRIGGER refused_{table}"),
        (AnyConnection::Postgres(_), true) => format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '53100'; END $$;
             CREATE TRIGGER refused BEFORE {change} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
        ),
        (AnyConnection::Postgres(_), false) => format!("DROP TRIGGER refused ON {table}"),
    };
    Ok(c.batch_execute(&statements)?)
}

/// Cuts all other connections to a PostgreSQL database, as a restart of its server does, and waits until they are
/// gone. Those to a SQLite file cannot be cut.
///
/// # Errors
/// [`StoreError`] when the statement fails.
pub fn cut_other_connections(c: &mut AnyConnection) -> Result<(), StoreError> {
    if let AnyConnection::Postgres(_) = c {
        c.batch_execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )?;
    }
    Ok(())
}

/// Every text of every table whose name begins with `oauth_`, and of the tables beside them: what a thief of
/// the database would see.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn dump_text(c: &mut AnyConnection) -> Result<String, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let tables: &[(&str, &[&str])] = &[
        ("oauth_client", &["client_id", "client_secret", "metadata", "jwks"]),
        ("replay", &["id"]),
        ("oauth_access_token", &["token", "scope"]),
        ("oauth_refresh_token", &["token", "access_token", "parent"]),
        ("oauth_authorization_code", &["code", "code_challenge"]),
        ("oauth_auth_request", &["session_id", "state", "browser_id"]),
        ("oauth_atp_request", &["oauth_state", "nonce", "pkce_verifier", "dpop_private_key"]),
        ("oauth_atp_session", &["dpop_key", "access_token", "refresh_token"]),
        (
            "upstream_session",
            &[
                "session_id",
                "browser_id",
                "upstream_auth",
                "subject",
                "binding",
                "parameters",
                "metadata",
                "unconfirmed_listing",
            ],
        ),
        ("upstream_pending", &["state", "payload"]),
        ("connect_session", &["token", "parameters", "state", "connect_code"]),
        ("provider_registration", &["client_secret", "next_secret", "registration_access_token"]),
        ("upstream_credential", &["payload", "granted_scope"]),
        ("account_proof", &["proof_id", "browser_id", "did", "handle"]),
        ("audit_event", &["client_id", "did", "session_id", "request_id", "correlation_id", "details"]),
        ("event_subscription", &["client_id", "webhook_url", "webhook_secret"]),
        ("event_outbox", &["client_id", "session_id", "did", "correlation_id"]),
        ("signing_key", &["public_jwk", "private_jwk"]),
    ];
    let mut dump = String::new();
    for (table, columns) in tables {
        let joined: Vec<_> = columns.iter().map(|column| format!("COALESCE({column}, '')")).collect();
        let query = format!("SELECT {} AS text FROM {table}", joined.join(" || ' ' || "));
        for row in sql_query(query).load::<Row>(c)? {
            dump.push_str(&row.text);
            dump.push('\n');
        }
    }
    Ok(dump)
}
