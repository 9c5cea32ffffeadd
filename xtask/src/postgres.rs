//! PostgreSQL for the tests: a server that is named, a temporary cluster, or a server already running.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process;

/// The environment variable by which the tests find PostgreSQL. Its user must be allowed to create databases.
pub(crate) const VARIABLE: &str = "CAUSEWAY_TEST_POSTGRES_URL";

/// The PostgreSQL server of a run, for as long as this value lives.
pub(crate) enum Postgres {
    /// A server that exists already.
    Found { url: String },
    /// A temporary cluster; stopped and deleted on drop.
    Own(Cluster),
    /// None, with the reason.
    Missing { reason: String },
}

impl Postgres {
    /// The one named by the environment, else a cluster made from installed binaries, else a server on the
    /// usual port that accepts us. Tests create and drop hundreds of databases; on a cluster that never waits
    /// for the disk, such as ours, they take a third of the time.
    pub(crate) fn find() -> Result<Self> {
        if let Some(url) = env::var(VARIABLE).ok().filter(|url| !url.is_empty()) {
            return Ok(Self::Found { url });
        }
        if let Some(binaries) = find_binaries() {
            return Ok(Self::Own(Cluster::start(&binaries)?));
        }
        if lets_in(5432) {
            return Ok(Self::Found { url: url(5432) });
        }
        Ok(Self::Missing {
            reason: format!(
                "{VARIABLE} is unset, initdb is not installed, and no server on 127.0.0.1:5432 accepts the user postgres without a password"
            ),
        })
    }

    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Found { url } => Some(url),
            Self::Own(cluster) => Some(&cluster.url),
            Self::Missing { .. } => None,
        }
    }
}

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

/// The directory with `initdb` and `postgres`. On Debian they are not in `PATH`, and each version has a directory.
fn find_binaries() -> Option<PathBuf> {
    if let Some(directory) =
        process::find_in_path("initdb").filter(|directory| directory.join("postgres").is_file())
    {
        return Some(directory);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .max()
}

/// Whether a server on this port lets `postgres` in without a password: the start-up message of the frontend
/// protocol 3.0, answered by `AuthenticationOk`.
fn lets_in(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut message = vec![0, 0, 0, 0, 0, 3, 0, 0];
        message.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
        message[3] = u8::try_from(message.len()).unwrap_or_default();
        stream.write_all(&message)?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer)?;
        Ok(answer == [b'R', 0, 0, 0, 8, 0, 0, 0, 0])
    };
    ask().unwrap_or(false)
}

/// A temporary server that lives as long as this value, or as long as this process if that is shorter.
pub(crate) struct Cluster {
    url: String,
    /// A shell that holds the server and waits for the end of its own stdin: even when this process is
    /// killed, the pipe closes, the server stops and its files are deleted.
    keeper: Child,
}

const KEEPER: &str = r#"
trap : INT TERM HUP
"$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c max_connections=200 -c fsync=off -c full_page_writes=off >"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -INT $server 2>/dev/null
wait $server
cd / && rm -rf "$2"
"#;

impl Cluster {
    fn start(binaries: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("causeway-postgres-").tempdir()?;
        let user = Unprivileged::find()?;
        if let Some(user) = &user {
            std::os::unix::fs::chown(directory.path(), Some(user.uid), Some(user.gid))?;
        }
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.current_dir(directory.path());
            if let Some(user) = &user {
                command.uid(user.uid).gid(user.gid);
            }
            command
        };
        eprintln!("xtask: starting a temporary PostgreSQL from {}", binaries.display());
        let mut initdb = command(&binaries.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        process::output(initdb.arg("--pgdata").arg(directory.path().join("data")))?;

        let port = free_port()?;
        let mut keeper = command(Path::new("/bin/sh"));
        keeper
            .args(["-c", KEEPER, "postgres-keeper"])
            .arg(binaries)
            .arg(directory.path())
            .arg(port.to_string());
        let keeper = keeper.stdin(Stdio::piped()).spawn().context("cannot start /bin/sh")?;
        // From here on the keeper deletes the directory.
        let directory = directory.keep();
        let cluster = Self { url: url(port), keeper };
        wait_until_ready(port, &directory.join("log"))?;
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn wait_until_ready(port: u16, log: &Path) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if lets_in(port) {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    bail!("the temporary PostgreSQL did not start within 30 seconds:\n{text}")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The user to run a server as when we are root, which PostgreSQL refuses to run as.
struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Unprivileged {
    fn find() -> Result<Option<Self>> {
        if id(&["-u"])? != 0 {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Ok(uid), Ok(gid)) = (id(&["-u", name]), id(&["-g", name])) {
                return Ok(Some(Self { uid, gid }));
            }
        }
        bail!("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
    }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let text = process::output(Command::new("id").args(arguments))?;
    text.trim().parse().with_context(|| format!("id wrote {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::{free_port, lets_in};

    #[test]
    fn nobody_is_let_in_where_nobody_listens() {
        assert!(!lets_in(free_port().unwrap()));
    }
}
