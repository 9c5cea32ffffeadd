//! The address of the database.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// The address of a database. Neither `Debug` nor `Display` shows a password.
///
/// ```
/// use causeway_store::DatabaseUrl;
/// let url: DatabaseUrl = "postgres://causeway:hunter2@db.example/causeway".parse()?;
/// assert_eq!(url.to_string(), "postgres://causeway:***@db.example/causeway");
/// assert!("sqlite://causeway.db".parse::<DatabaseUrl>().is_ok());
/// assert!("mysql://db.example".parse::<DatabaseUrl>().is_err());
/// # Ok::<(), causeway_store::DatabaseUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite {
        /// The file; relative to the working directory unless absolute.
        path: PathBuf,
    },
    /// A PostgreSQL connection URI.
    Postgres(String),
}

/// Why an address of a database was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Neither of the two schemes.
    #[error("must be sqlite://FILE or postgres://USER@HOST/DATABASE")]
    Scheme,
    /// `sqlite://` without a file.
    #[error("names no file: write sqlite://causeway.db or sqlite:///var/lib/causeway/causeway.db")]
    NoFile,
    /// An in-memory database: its content would be gone at the next start.
    #[error("an in-memory database is not supported: name a file")]
    InMemory,
    /// Parameters behind the file name.
    #[error("sqlite:// accepts no parameters: remove the question mark and everything after it")]
    Parameters,
    /// Not a URI that libpq reads.
    #[error("is not a PostgreSQL address: write postgres://USER@HOST:PORT/DATABASE")]
    Malformed,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "sqlite::memory:" {
            return Err(DatabaseUrlError::InMemory);
        }
        if let Some(file) = text.strip_prefix("sqlite://") {
            return match file {
                "" | "/" => Err(DatabaseUrlError::NoFile),
                file if file.contains(":memory:") => Err(DatabaseUrlError::InMemory),
                file if file.contains('?') => Err(DatabaseUrlError::Parameters),
                // `./` keeps SQLite from reading a name such as `file:x` as a URI.
                file if file.starts_with('/') => Ok(Self::Sqlite { path: PathBuf::from(file) }),
                file => Ok(Self::Sqlite { path: Path::new(".").join(file) }),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return match Url::parse(text) {
                Ok(url) if url.fragment().is_none() => Ok(Self::Postgres(text.to_owned())),
                _ => Err(DatabaseUrlError::Malformed),
            };
        }
        Err(DatabaseUrlError::Scheme)
    }
}

impl DatabaseUrl {
    /// The connection URI with timeouts, without which a dead server would never be noticed.
    pub(crate) fn with_timeouts(url: &str) -> String {
        const DEFAULTS: [(&str, &str); 6] = [
            ("connect_timeout", "5"),
            ("keepalives_idle", "15"),
            ("keepalives_interval", "5"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "20000"),
            ("application_name", "causeway"),
        ];
        let mut full = url.to_owned();
        for (name, value) in DEFAULTS {
            let query = full.split_once('?').map(|(_, query)| query);
            let given =
                query.is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some(name)));
            if !given {
                full.push(if query.is_some() { '&' } else { '?' });
                full.push_str(name);
                full.push('=');
                full.push_str(value);
            }
        }
        full
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => {
                let path = path.strip_prefix(".").unwrap_or(path);
                write!(f, "sqlite://{}", path.display())
            }
            Self::Postgres(text) => match Url::parse(text) {
                Ok(mut url) => {
                    if url.password().is_some() {
                        let _ = url.set_password(Some("***"));
                    }
                    // libpq takes a password as a parameter too.
                    if url.query().is_some_and(|query| query.contains("password")) {
                        url.set_query(Some("***"));
                    }
                    f.write_str(url.as_str())
                }
                Err(_) => f.write_str("postgres://***"),
            },
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let sqlite = |path: &str| Ok(DatabaseUrl::Sqlite { path: PathBuf::from(path) });
        for (text, parsed) in [
            ("sqlite://causeway.db", sqlite("./causeway.db")),
            ("sqlite:///var/lib/c.db", sqlite("/var/lib/c.db")),
            ("sqlite://file:x", sqlite("./file:x")),
            ("sqlite://", Err(DatabaseUrlError::NoFile)),
            ("sqlite://:memory:", Err(DatabaseUrlError::InMemory)),
            ("sqlite::memory:", Err(DatabaseUrlError::InMemory)),
            ("sqlite://x.db?mode=ro", Err(DatabaseUrlError::Parameters)),
            ("postgress://db/x", Err(DatabaseUrlError::Scheme)),
            ("causeway.db", Err(DatabaseUrlError::Scheme)),
            ("postgres://[db/x", Err(DatabaseUrlError::Malformed)),
        ] {
            assert_eq!(text.parse(), parsed, "{text}");
        }
        for text in ["postgres://u@h/d", "postgresql://u:p@h:5433/d?sslmode=require"] {
            assert_eq!(text.parse(), Ok(DatabaseUrl::Postgres(text.to_owned())));
        }
    }

    #[test]
    fn shows_no_password() {
        for text in ["postgres://u:hunter2@h/d", "postgres://u@h/d?password=hunter2"] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert!(!format!("{url} {url:?}").contains("hunter2"), "{url}");
        }
        let url: DatabaseUrl = "sqlite://causeway.db".parse().unwrap();
        assert_eq!(url.to_string(), "sqlite://causeway.db");
    }

    #[test]
    fn timeouts_are_added_once() {
        let full = DatabaseUrl::with_timeouts("postgres://h/d?connect_timeout=1");
        assert_eq!(full.matches("connect_timeout").count(), 1);
        assert!(full.contains("&tcp_user_timeout=20000"));
        assert!(DatabaseUrl::with_timeouts("postgres://h/d").contains("?connect_timeout=5&"));
    }
}
