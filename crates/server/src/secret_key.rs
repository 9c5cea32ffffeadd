//! The sealing key ring: given by configuration, or made beside an embedded database on loopback.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use causeway_config::{Config, ConfigError, SecretKeySource};
use causeway_domain::SystemRng;
use causeway_store::seal::{SealError, SealingKeyRing};
use causeway_store::{DatabaseUrl, Store, StoreError, keys};

const FILE_SETTING: &str = "secret-key-file (CAUSEWAY_SECRET_KEY_FILE)";
const INLINE_SETTING: &str = "CAUSEWAY_SECRET_KEY";

/// The key ring that the configuration names, if it names one.
///
/// # Errors
/// Refused like any other setting, when it does not hold.
pub(crate) fn configured(config: &Config) -> Result<Option<SealingKeyRing>, ConfigError> {
    match &config.secret_key {
        None => Ok(None),
        Some(SecretKeySource::Inline(text)) => parse(INLINE_SETTING, text.expose()).map(Some),
        Some(SecretKeySource::File(path)) => {
            let setting = FILE_SETTING;
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
/// Those of [`find`], and when a new one cannot be written.
pub(crate) async fn load(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
) -> anyhow::Result<SealingKeyRing> {
    match find(config, url, store).await? {
        Some(ring) => Ok(ring),
        None => create(&beside(url)),
    }
}

/// Finds the key ring; `None`: there is none yet, and nothing is sealed.
///
/// # Errors
/// When it cannot be read, or is missing while the database holds what was sealed with it: making
/// another one would lose every session. When it does not open what the database holds.
pub(crate) async fn find(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
) -> anyhow::Result<Option<SealingKeyRing>> {
    let Some(ring) = read(config, url, store).await? else { return Ok(None) };
    let tried = ring.clone();
    match store.read(move |c| keys::try_ring(c, &tried)).await {
        Ok(()) => Ok(Some(ring)),
        Err(StoreError::Seal { error, .. }) => Err(another_ring(config, url, error).into()),
        Err(error) => Err(error.into()),
    }
}

fn another_ring(config: &Config, url: &DatabaseUrl, error: SealError) -> ConfigError {
    let (setting, used) = match &config.secret_key {
        Some(SecretKeySource::Inline(_)) => (INLINE_SETTING, "this key ring".to_owned()),
        Some(SecretKeySource::File(path)) => (FILE_SETTING, path.display().to_string()),
        None => (FILE_SETTING, beside(url).display().to_string()),
    };
    ConfigError {
        setting: setting.to_owned(),
        problem: format!("{used} does not open what is sealed in {url}: {error}"),
        mend: "name the key ring with which this database was used so far (with --secret-key-file): all servers on \
               one database share it, and keys are added to it, on top"
            .to_owned(),
    }
}

async fn read(config: &Config, url: &DatabaseUrl, store: &Store) -> anyhow::Result<Option<SealingKeyRing>> {
    if let Some(ring) = configured(config)? {
        return Ok(Some(ring));
    }
    let path = beside(url);
    if path.exists() {
        let describe = || format!("sealing key file {}", path.display());
        let text = fs::read_to_string(&path).with_context(describe)?;
        return SealingKeyRing::parse(&text).map(Some).with_context(describe);
    }
    if store.read(keys::has_sealed_rows).await? {
        bail!(
            "the sealing key file {} is missing, but the database holds sessions sealed with it: \
             restore the file, or name it with --secret-key-file",
            path.display()
        );
    }
    Ok(None)
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
