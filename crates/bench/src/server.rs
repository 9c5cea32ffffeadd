//! The server under measurement.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use causeway_store::DatabaseUrl;

use crate::process::Running;

/// Starts `causeway serve` on a free port, with an empty environment.
///
/// `directory` holds its encryption key, which is generated if missing, and its log. `plc` is the PLC
/// directory, if any.
///
/// # Errors
/// When it does not start; the error has its log.
pub(crate) fn start(program: &Path, directory: &Path, url: &str, plc: Option<&str>) -> Result<Running> {
    let log = directory.join("causeway.log");
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .env_clear()
        .env("RUST_LOG", "warn")
        // The PDS that calls are relayed to has no TLS.
        .args(["serve", "--dev-mode", "--listen", "127.0.0.1:0", "--database-url", url])
        // All requests come from one address.
        .args(["--authorization-limit", "off"])
        .stderr(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
    if let Some(plc) = plc {
        command.args(["--plc-url", plc]);
    }
    let key = directory.join(KEY_FILE);
    if key.exists() {
        command.arg("--secret-key-file").arg(key);
    }
    let address = |line: &str| Some(line.strip_prefix("Address")?.trim().strip_prefix("http://")?.to_owned());
    Running::start(&mut command, address)
        .with_context(|| format!("it logged: {}", fs::read_to_string(&log).unwrap_or_default().trim()))
}

/// File of the encryption key, where the server looks for it beside an embedded database.
pub(crate) const KEY_FILE: &str = "causeway.key";

/// The address of a SQLite file in a directory.
pub(crate) fn sqlite_url(directory: &Path) -> String {
    format!("sqlite://{}", directory.join("causeway.db").display())
}

/// `sqlite` or `postgres`.
pub(crate) const fn kind(url: &DatabaseUrl) -> &'static str {
    match url {
        DatabaseUrl::Sqlite { .. } => "sqlite",
        DatabaseUrl::Postgres(_) => "postgres",
    }
}
