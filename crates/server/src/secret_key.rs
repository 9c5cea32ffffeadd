//! The sealing key ring: given by configuration, or made beside an embedded database on loopback.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use causeway_config::{Config, SecretKeySource};
use causeway_domain::SystemRng;
use causeway_store::seal::SealingKeyRing;
use causeway_store::{DatabaseUrl, Store, keys};

/// Finds or makes the key ring.
///
/// # Errors
/// When it cannot be read, or is missing while the database holds what was sealed with it: making
/// another one would lose every session.
pub(crate) async fn load(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
) -> anyhow::Result<SealingKeyRing> {
    match &config.secret_key {
        Some(SecretKeySource::Inline(text)) => {
            SealingKeyRing::parse(text.expose()).context("CAUSEWAY_SECRET_KEY")
        }
        Some(SecretKeySource::File(path)) => read(path),
        None => {
            let path = beside(url);
            if path.exists() {
                return read(&path);
            }
            let sealed = store.read(keys::has_sealed_rows).await?;
            if sealed {
                bail!(
                    "the sealing key file {} is missing, but the database holds sessions sealed with it: \
                     restore the file, or name it with --secret-key-file",
                    path.display()
                );
            }
            create(&path)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<SealingKeyRing> {
    let text = fs::read_to_string(path).with_context(|| format!("sealing key file {}", path.display()))?;
    SealingKeyRing::parse(&text).with_context(|| format!("sealing key file {}", path.display()))
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
