//! How the database is used.

use std::time::Duration;

use crate::error::{ConfigError, Fault};
use crate::settings::Settings;
use crate::settings::file::FileConfig;
use crate::settings::layers::Layers;
use crate::settings::table;

/// A proxy between the server and PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabasePooler {
    /// None, or one in session mode.
    None,
    /// One in transaction mode.
    Transaction,
}

impl DatabasePooler {
    /// The name in flags, environment and file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Transaction => "transaction",
        }
    }
}

/// How the database is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Connections to it at most: on SQLite those that read. `None` = 10, on SQLite 4.
    pub connections: Option<u16>,
    /// How long a request waits for it.
    pub timeout: Duration,
    /// The proxy before PostgreSQL.
    pub pooler: DatabasePooler,
}

impl DatabaseConfig {
    pub(crate) fn read(
        layers: &mut Layers<'_>,
        settings: &mut Settings,
        file: &mut FileConfig,
    ) -> Result<Self, ConfigError> {
        let (flag, line) = (settings.database_connections.take(), file.database_connections.take());
        let connections = layers.text(&table::DATABASE_CONNECTIONS, flag, line, connections)?;
        let (flag, line) = (settings.database_timeout.take(), file.database_timeout.take());
        let timeout = layers.text(&table::DATABASE_TIMEOUT, flag, line, timeout)?;
        let (flag, line) = (settings.database_pooler.take(), file.database_pooler.take());
        let pooler = layers.text(&table::DATABASE_POOLER, flag, line, pooler)?;
        // The two have defaults: the fallbacks are never taken.
        Ok(Self {
            connections,
            timeout: timeout.unwrap_or(Duration::from_secs(4)),
            pooler: pooler.unwrap_or(DatabasePooler::None),
        })
    }
}

fn connections(text: &str) -> Result<u16, Fault> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| {
        Fault::new(format!("{text:?} is not a number of connections"), "use a whole number from 1 to 1000")
    })
}

fn timeout(text: &str) -> Result<Duration, Fault> {
    let seconds = text.parse().ok().filter(|seconds| (1..=60).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        Fault::new(format!("{text:?} is not a number of seconds"), "use a whole number from 1 to 60")
    })
}

fn pooler(text: &str) -> Result<DatabasePooler, Fault> {
    [DatabasePooler::None, DatabasePooler::Transaction]
        .into_iter()
        .find(|pooler| pooler.as_str() == text)
        .ok_or_else(|| {
            Fault::new(format!("{text:?} is neither none nor transaction"), "use none or transaction")
        })
}
