//! A transaction pooler before a test database: PgBouncer, where it is installed.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::TestDatabase;
use crate::engine::url::DatabaseUrl;

/// Debian's path of the program.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// Connections to the server that it shares among its clients: fewer than any test has clients.
const SERVER_CONNECTIONS: usize = 2;

/// A PgBouncer in transaction mode. It ends when this is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    process: Child,
    url: DatabaseUrl,
    _directory: TempDir,
}

impl PgBouncer {
    /// Starts one in front of a PostgreSQL database; `None`, and a loud line on stderr, when it is not
    /// installed.
    ///
    /// # Panics
    /// When it is installed and does not start, or the database is no PostgreSQL database.
    pub fn before(database: &TestDatabase) -> Option<Self> {
        Self::before_url(database.url())
    }

    /// Same, for the role that an address names.
    ///
    /// # Panics
    /// See [`PgBouncer::before`].
    pub fn before_url(url: &DatabaseUrl) -> Option<Self> {
        let DatabaseUrl::Postgres(server) = url else { panic!("not a PostgreSQL database") };
        if !std::path::Path::new(PROGRAM).exists() {
            eprintln!(
                "\n*** SKIPPED the transaction pooler: there is no {PROGRAM}\n*** apt-get install pgbouncer\n"
            );
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let server = Url::parse(server).expect("the address of a test database");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("the bound address").port();
        let file = directory.path().join("pgbouncer.ini");
        std::fs::write(&file, configuration(&server, port)).expect("its configuration can be written");
        let mut command = Command::new(PROGRAM);
        // It refuses to run as root.
        if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
            command.args(["-u", "nobody"]);
        }
        command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(listener);
        let mut process = command.spawn().expect("PgBouncer starts");
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                let url = DatabaseUrl::Postgres(format!(
                    "postgres://{}@127.0.0.1:{port}{}",
                    server.username(),
                    server.path()
                ));
                return Some(Self { process, url, _directory: directory });
            }
            assert!(process.try_wait().is_ok_and(|ended| ended.is_none()), "PgBouncer ended at once");
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("PgBouncer does not listen");
    }

    /// The same database, through the pooler.
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(server: &Url, port: u16) -> String {
    let password = server.password().map(|password| format!(" password={password}")).unwrap_or_default();
    format!(
        "[databases]\n\
         * = host={} port={} user={}{password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = {SERVER_CONNECTIONS}\n",
        server.host_str().unwrap_or("127.0.0.1"),
        server.port().unwrap_or(5432),
        server.username(),
    )
}
