//! The encryption key ring: configured, or generated beside an embedded database on loopback.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use causeway_config::{Config, ConfigError, SecretKeySource, is_exposed};
use causeway_store::encryption::keyring::{EncryptionError, EncryptionKeyRing};
use causeway_store::encryption::reencrypt;
use causeway_store::operations::keys;
use causeway_store::{DatabaseUrl, Store, StoreError};
use causeway_types::{Rng, SystemRng};

const FILE_SETTING: &str = "secret-key-file (CAUSEWAY_SECRET_KEY_FILE)";
const INLINE_SETTING: &str = "CAUSEWAY_SECRET_KEY";

/// Reads the key ring that the configuration names, if any.
///
/// # Errors
/// When it is not valid, as for any other setting.
pub(crate) fn configured(config: &Config) -> Result<Option<EncryptionKeyRing>, ConfigError> {
    match &config.secret_key {
        None => Ok(None),
        Some(SecretKeySource::Inline(text)) => parse(INLINE_SETTING, text.expose()).map(Some),
        Some(SecretKeySource::File(path)) => {
            let setting = FILE_SETTING;
            let text = fs::read_to_string(path).map_err(|error| ConfigError {
                setting: setting.to_owned(),
                problem: format!("{}: {error}", path.display()),
                fix: "name a readable file".to_owned(),
            })?;
            parse(setting, &text).map(Some)
        }
    }
}

/// Files with keys and tokens that every user of the machine can read or change.
pub(crate) fn exposed(config: &Config, url: &DatabaseUrl) -> Vec<PathBuf> {
    let made = config.secret_key.is_none().then(|| beside(url)).filter(|path| is_exposed(path));
    config.exposed_files.iter().cloned().chain(made).collect()
}

fn parse(setting: &str, text: &str) -> Result<EncryptionKeyRing, ConfigError> {
    EncryptionKeyRing::parse(text).map_err(|error| ConfigError {
        setting: setting.to_owned(),
        problem: error.to_string(),
        fix: "each line is KEY_ID:BASE64URL of 32 random bytes, and the first one is in use".to_owned(),
    })
}

/// Finds the key ring, or generates one.
///
/// # Errors
/// Those of [`find`], and when a new one cannot be written.
pub(crate) async fn load(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
) -> anyhow::Result<EncryptionKeyRing> {
    match find(config, url, store).await? {
        Some(ring) => Ok(ring),
        None => create(&beside(url)),
    }
}

/// Finds the key ring; `None` when there is none yet and nothing is encrypted.
///
/// # Errors
/// When it cannot be read, or is missing while the database holds encrypted values: a new one would lose
/// every session. When it does not decrypt what the database holds.
pub(crate) async fn find(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
) -> anyhow::Result<Option<EncryptionKeyRing>> {
    let Some(ring) = read(config, url, store).await? else { return Ok(None) };
    let tried = ring.clone();
    match store.read(move |c| keys::try_ring(c, &tried)).await {
        Ok(()) => Ok(Some(ring)),
        Err(StoreError::Encrypt { error, .. }) => Err(another_ring(config, url, error).into()),
        Err(error) => Err(error.into()),
    }
}

fn another_ring(config: &Config, url: &DatabaseUrl, error: EncryptionError) -> ConfigError {
    let (setting, used) = match &config.secret_key {
        Some(SecretKeySource::Inline(_)) => (INLINE_SETTING, "this key ring".to_owned()),
        Some(SecretKeySource::File(path)) => (FILE_SETTING, path.display().to_string()),
        None => (FILE_SETTING, beside(url).display().to_string()),
    };
    ConfigError {
        setting: setting.to_owned(),
        problem: format!("{used} cannot decrypt the data in {url}: {error}"),
        fix: "name the key ring that this database has been used with so far (with --secret-key-file): all servers on \
               one database share it, and new keys are added at its top"
            .to_owned(),
    }
}

async fn read(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
) -> anyhow::Result<Option<EncryptionKeyRing>> {
    if let Some(ring) = configured(config)? {
        return Ok(Some(ring));
    }
    let path = beside(url);
    if path.exists() {
        let describe = || format!("encryption key file {}", path.display());
        let text = fs::read_to_string(&path).with_context(describe)?;
        return EncryptionKeyRing::parse(&text).map(Some).with_context(describe);
    }
    if store.read(reencrypt::has_encrypted_rows).await? {
        bail!(
            "the encryption key file {} is missing, but the database holds sessions encrypted with it: \
             restore the file, or name it with --secret-key-file",
            path.display()
        );
    }
    Ok(None)
}

/// Generates a key ring, or returns the one that another process has just written.
fn create(path: &Path) -> anyhow::Result<EncryptionKeyRing> {
    let describe = || format!("encryption key file {}", path.display());
    match write_new(path, &EncryptionKeyRing::generate(&SystemRng)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        done => done.with_context(describe)?,
    }
    let text = fs::read_to_string(path).with_context(describe)?;
    EncryptionKeyRing::parse(&text).with_context(describe)
}

/// Writes a new file completely and durably, or not at all. Only its owner can read it from the start.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let rng: &dyn Rng = &SystemRng;
    let fresh = path.with_extension(format!("key.{}", rng.base64url::<9>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let named = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    named?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Default path: `causeway.key` beside `causeway.db`; in the working directory for PostgreSQL.
fn beside(url: &DatabaseUrl) -> PathBuf {
    match url {
        DatabaseUrl::Sqlite { path } => path.with_extension("key"),
        DatabaseUrl::Postgres(_) => PathBuf::from("causeway.key"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Processes that start at once share one complete key ring, and no other file is left.
    #[test]
    fn whoever_comes_second_takes_the_first_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("causeway.key");
        let encrypted: Vec<_> = std::thread::scope(|scope| {
            let start = || create(&path).unwrap().active_kid().to_owned();
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(encrypted.iter().all(|kid| *kid == encrypted[0]), "{encrypted:?}");
        let left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left == [&*path], "{left:?}");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
