//! One server at a time on a SQLite file.
//!
//! A second one would serve from its own caches and wait for the first one's commits at each of its own. The
//! lock is on a separate file beside the database: SQLite's locks on the database end when any code in the
//! process closes it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::engine::url::DatabaseUrl;

/// The right to serve from a SQLite file, held while this value lives, or until the process ends, however it
/// ends.
#[derive(Debug)]
pub struct ServerLock {
    _file: File,
}

/// Why a server may not serve from a SQLite file.
#[derive(Debug, thiserror::Error)]
pub enum ServerLockError {
    /// Another server does.
    #[error("another server uses {path}: {holder}; stop it, or use another database for this one")]
    Held {
        /// The database.
        path: String,
        /// Its process id and the address that it listens on.
        holder: String,
    },
    /// The file has more names: a server that is given another one would find another lock, and another log of
    /// writes.
    #[error("{path} has other names (hard links), under which another server could open it: remove them")]
    Linked {
        /// The database.
        path: String,
    },
    /// The file of the lock cannot be made or locked.
    #[error("cannot lock {path}: {error}")]
    Io {
        /// The file of the lock.
        path: String,
        /// The operating system's error.
        error: std::io::Error,
    },
}

impl ServerLock {
    /// Takes the lock for a server that listens on `listen`; `None` for a database that servers may share.
    ///
    /// # Errors
    /// [`ServerLockError`].
    pub fn take(url: &DatabaseUrl, listen: SocketAddr) -> Result<Option<Self>, ServerLockError> {
        let DatabaseUrl::Sqlite { path } = url else { return Ok(None) };
        if names_of(path) > 1 {
            return Err(ServerLockError::Linked { path: path.display().to_string() });
        }
        let lock = lock_path(path);
        let failed = |error| ServerLockError::Io { path: lock.display().to_string(), error };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.display().to_string();
                return Err(ServerLockError::Held { path, holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        write!(file, "process {}, listening on {listen}", std::process::id()).map_err(failed)?;
        Ok(Some(Self { _file: file }))
    }
}

/// The number of names that a file has, hard links included; 0: there is none yet.
fn names_of(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).map_or(0, |file| file.nlink())
}

/// The path of the lock file, the same for every path that leads to the database.
fn lock_path(database: &Path) -> PathBuf {
    let real = database.canonicalize().or_else(|_| {
        let directory = database.parent().unwrap_or(Path::new(".")).canonicalize()?;
        Ok::<_, std::io::Error>(directory.join(database.file_name().unwrap_or_default()))
    });
    let mut path = real.unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    path.into()
}

/// The holder's description of itself.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(200).read_to_string(&mut text));
    match read {
        Ok(length) if length > 0 => text,
        _ => "it left no details".to_owned(),
    }
}
