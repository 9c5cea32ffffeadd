//! The sealing key ring: given by configuration, or made beside an embedded database on loopback.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use causeway_config::{Config, ConfigError, SecretKeySource};
use causeway_domain::SystemRng;
use causeway_store::seal::SealingKeyRing;
use causeway_store::{DatabaseUrl, Store, keys};

/// The key ring that the configuration names, if it names one.
///
/// # Errors
/// Refused like any other setting, when it does not hold.
pub(crate) fn configured(config: &Config) -> Result<Option<SealingKeyRing>, ConfigError> {
    match &config.secret_key {
        None => Ok(None),
        Some(SecretKeySource::Inline(text)) => parse("CAUSEWAY_SECRET_KEY", text.expose()).map(Some),
        Some(SecretKeySource::File(path)) => {
            let setting = "secret-key-file (CAUSEWAY_SECRET_KEY_FILE)";
            let text = fs::read_to_string(path).map_err(|error| ConfigError {
                setting: setting.to_owned(),
                problem: format!("{}: {error}", path.display()),
                mend: "name a file that can be read".to_owned(),
            })?;
            parse(setting, &text).map(Some)
        }
    }
}

fn parse(setting: &str, text: &str) -> Result<SealingKeyRing, ConfigError> {
    SealingKeyRing::parse(text).map_err(|error| ConfigError {
        setting: setting.to_owned(),
        problem: error.to_string(),
        mend: "each line is KEY_ID:BASE64URL of 32 random bytes, the first one is in use".to_owned(),
    })
}

/// Finds the key ring, or makes one.
///
/// # Errors
/// When it cannot be read, or is missing while the database holds what was sealed with it: making
/// another one would lose every session.
pub(crate) async fn load(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
) -> anyhow::Result<SealingKeyRing> {
    if let Some(ring) = configured(config)? {
        return Ok(ring);
    }
    let path = beside(url);
    if path.exists() {
        let text =
            fs::read_to_string(&path).with_context(|| format!("sealing key file {}", path.display()))?;
        return SealingKeyRing::parse(&text).with_context(|| format!("sealing key file {}", path.display()));
    }
    if store.read(keys::has_sealed_rows).await? {
        bail!(
            "the sealing key file {} is missing, but the database holds sessions sealed with it: \
             restore the file, or name it with --secret-key-file",
            path.display()
        );
    }
    create(&path)
}

/// Only its owner may read it, from its first moment on.
fn create(path: &Path) -> anyhow::Result<SealingKeyRing> {
    let text = SealingKeyRing::generate(&SystemRng);
    let describe = || format!("sealing key file {}", path.display());
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(describe)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(describe)?;
    SealingKeyRing::parse(&text).with_context(describe)
}

/// `causeway.db` has its key in `causeway.key`; a PostgreSQL database has it in the working directory.
fn beside(url: &DatabaseUrl) -> PathBuf {
    match url {
        DatabaseUrl::Sqlite { path } => path.with_extension("key"),
        DatabaseUrl::Postgres(_) => PathBuf::from("causeway.key"),
    }
}
