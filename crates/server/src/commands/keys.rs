//! `causeway keys`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::{Clock as _, SystemClock};
use causeway_flow::operations::issuer_keys;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::keys;
use causeway_store::{Store, StoreError};
use causeway_types::{SigningAlg, Timestamp};

use super::{operator, reencrypt};
use crate::cli::KeysCommand;
use crate::{compose, secret_key};

pub(crate) async fn run(config: &Config, command: KeysCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = match command {
        KeysCommand::List => match secret_key::find(config, &url, &store).await? {
            Some(ring) => list(&store, &Arc::new(ring)).await,
            None => Ok(()),
        },
        KeysCommand::Rotate { alg } => {
            let ring = Arc::new(secret_key::load(config, &url, &store).await?);
            rotate(&store, &ring, alg.as_deref()).await
        }
        KeysCommand::Retire { kid } => retire(&store, kid).await,
        KeysCommand::Reencrypt { dry_run } => {
            let ring = secret_key::find(config, &url, &store).await?;
            reencrypt::run(&store, ring, dry_run).await
        }
    };
    store.close().await;
    done
}

async fn list(store: &Store, ring: &Arc<EncryptionKeyRing>) -> anyhow::Result<()> {
    let now = SystemClock.now();
    for &alg in SigningAlg::ALL {
        let ring = Arc::clone(ring);
        let stored = store
            .read::<_, StoreError, _>(move |c| keys::list_signing_keys(c, &ring, issuer_keys::purpose(alg)))
            .await?;
        for key in stored {
            say!("{}\t{alg}\t{}", key.kid, state(key.retired_at, now));
        }
    }
    Ok(())
}

fn state(retired_at: Option<Timestamp>, now: Timestamp) -> String {
    match retired_at.map(|retired_at| retired_at.plus(issuer_keys::PUBLISHED_SECONDS).since(now)) {
        None => "signs".to_owned(),
        Some(left) if left > 0 => format!("published for {left} s"),
        Some(_) => "retired".to_owned(),
    }
}

async fn rotate(store: &Store, ring: &Arc<EncryptionKeyRing>, alg: Option<&str>) -> anyhow::Result<()> {
    let algs = match alg {
        None => SigningAlg::ALL.to_vec(),
        Some(name) => vec![SigningAlg::parse(name).with_context(|| format!("{name}: use RS256 or ES256"))?],
    };
    for alg in algs {
        let key = issuer_keys::fresh(alg, SystemClock.now()).await?;
        let kid = key.kid.clone();
        let old = operator(store).rotate_key(ring, key).await?;
        match old {
            Some(old) => say!(
                "{alg}: {kid} is published within a second and signs soon afterwards. {old} stays published for a day."
            ),
            None => say!("{alg}: {kid} is published and signs within a second."),
        }
    }
    Ok(())
}

async fn retire(store: &Store, kid: String) -> anyhow::Result<()> {
    if !operator(store).retire_key(&kid).await? {
        bail!(
            "no rotated-out key {kid}: `causeway keys list` lists the keys, `causeway keys rotate` rotates them"
        );
    }
    say!("{kid} is no longer published: tokens that it signed no longer verify.");
    Ok(())
}
