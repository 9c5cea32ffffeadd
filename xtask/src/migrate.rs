//! `cargo xtask migrate`: the same migrations for SQLite and PostgreSQL.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use causeway_domain::{Clock as _, SystemClock};
use causeway_store::DatabaseUrl;
use causeway_store::engine::migrate;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the four empty files of a migration: up and down, for both databases
    New {
        /// A short name, such as add_device_codes
        name: String,
    },
    /// Apply the pending migrations
    Up(Database),
    /// Revert the latest migrations
    Down {
        #[command(flatten)]
        database: Database,
        /// How many migrations to revert
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// Show which migrations are applied and which are pending
    Status(Database),
}

#[derive(Args)]
pub(crate) struct Database {
    /// sqlite://FILE or postgres://... [default: CAUSEWAY_DATABASE_URL, else sqlite://causeway.db]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

impl Database {
    fn url(&self) -> Result<DatabaseUrl> {
        let from_environment = || env::var("CAUSEWAY_DATABASE_URL").ok().filter(|url| !url.is_empty());
        let url = self.database_url.clone().or_else(from_environment);
        url.as_deref()
            .unwrap_or("sqlite://causeway.db")
            .parse()
            .context("--database-url (CAUSEWAY_DATABASE_URL)")
    }
}

/// The directory of each database's migrations.
pub(crate) const DIRECTORIES: [&str; 2] = ["migrations/sqlite", "migrations/postgres"];

/// Runs a command; a relative SQLite path is relative to `caller`.
pub(crate) fn run(command: &Command, caller: &Path) -> Result<()> {
    if let Command::New { name } = command {
        return new(name);
    }
    env::set_current_dir(caller).context("the caller's directory")?;
    match command {
        Command::New { .. } => {}
        Command::Up(database) => say("applied", &migrate::up(&database.url()?)?),
        Command::Down { database, steps } => say("reverted", &migrate::down(&database.url()?, *steps)?),
        Command::Status(database) => {
            for migration in migrate::status(&database.url()?)? {
                println!("{} {}", if migration.applied { "applied" } else { "pending" }, migration.name);
            }
        }
    }
    Ok(())
}

fn say(what: &str, names: &[String]) {
    if names.is_empty() {
        println!("nothing to do");
    }
    for name in names {
        println!("{what} {name}");
    }
}

/// Template of a migration: whether servers of the previous version may run beside it comes first.
const UP: &str = "-- The version before may run beside this: yes.\n-- What this migration adds, and why.\n";

fn new(name: &str) -> Result<()> {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    if name.is_empty() || !name.bytes().all(legal) {
        bail!("{name:?} is not a valid migration name; use lower case letters, digits and underscores");
    }
    let name = format!("{}_{name}", stamp(SystemClock.now().as_secs()));
    for directory in DIRECTORIES {
        let directory = Path::new(directory).join(&name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        for (file, text) in [("up.sql", UP), ("down.sql", "-- Undoes up.sql.\n")] {
            let path = directory.join(file);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

/// `YYYYMMDDhhmmss` in UTC of a Unix time in seconds.
fn stamp(unix: i64) -> String {
    let (days, seconds) = (unix.div_euclid(86400), unix.rem_euclid(86400));
    // Converts days to a date of the proleptic Gregorian calendar, in years that begin on the first of March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn stamps_are_utc_dates() {
        assert_eq!(stamp(0), "19700101000000");
        assert_eq!(stamp(951_782_400), "20000229000000");
        assert_eq!(stamp(1_735_689_599), "20241231235959");
        assert_eq!(stamp(1_763_690_000), "20251121015320");
        assert_eq!(stamp(4_107_542_400), "21000301000000");
    }
}
