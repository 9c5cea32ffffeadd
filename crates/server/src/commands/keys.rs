//! `causeway keys`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::{Clock as _, SigningAlg, SystemClock, Timestamp};
use causeway_flow::issuer_keys;
use causeway_store::audit::insert_audit_event;
use causeway_store::seal::SealingKeyRing;
use causeway_store::{Store, StoreError, keys};

use super::act;
use crate::cli::KeysCommand;
use crate::{compose, secret_key};

pub(crate) async fn run(config: &Config, command: KeysCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(&url).await?;
    let ring = Arc::new(secret_key::load(config, &url, &store).await?);
    let done = match command {
        KeysCommand::List => list(&store, &ring).await,
        KeysCommand::Rotate { alg } => rotate(&store, &ring, alg.as_deref()).await,
        KeysCommand::Retire { kid } => retire(&store, kid).await,
    };
    store.close().await;
    done
}

async fn list(store: &Store, ring: &Arc<SealingKeyRing>) -> anyhow::Result<()> {
    let now = SystemClock.now();
    for alg in SigningAlg::ALL {
        let ring = Arc::clone(ring);
        let stored = store
            .read::<_, StoreError, _>(move |c| keys::list_signing_keys(c, &ring, issuer_keys::purpose(alg)))
            .await?;
        for key in stored {
            println!("{}\t{alg}\t{}", key.kid, state(key.retired_at, now));
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

async fn rotate(store: &Store, ring: &Arc<SealingKeyRing>, alg: Option<&str>) -> anyhow::Result<()> {
    let algs = match alg {
        None => SigningAlg::ALL.to_vec(),
        Some(name) => vec![SigningAlg::parse(name).with_context(|| format!("{name}: use RS256 or ES256"))?],
    };
    for alg in algs {
        let key = issuer_keys::fresh(alg, SystemClock.now()).await?;
        let (ring, kid) = (Arc::clone(ring), key.kid.clone());
        let done = act("key_rotated").with("alg", alg.as_str()).with("kid", kid.as_str());
        let old = store
            .write::<_, StoreError, _>(move |c| {
                let old = keys::rotate_signing_key(c, &ring, &key)?;
                insert_audit_event(c, &done)?;
                Ok(old)
            })
            .await?;
        match old {
            Some(old) => println!("{alg}: {kid} signs within a second. {old} stays published for a day."),
            None => println!("{alg}: {kid} signs within a second."),
        }
    }
    Ok(())
}

async fn retire(store: &Store, kid: String) -> anyhow::Result<()> {
    let name = kid.clone();
    let act = act("key_retired").with("kid", kid.as_str());
    let done = store
        .write::<_, StoreError, _>(move |c| {
            let done = keys::withdraw_signing_key(c, &name)?;
            if done {
                insert_audit_event(c, &act)?;
            }
            Ok(done)
        })
        .await?;
    if !done {
        bail!("no key {kid} that was rotated out: `causeway keys list` shows them, `keys rotate` rotates");
    }
    println!("{kid} is not published any more: what it signed verifies no longer.");
    Ok(())
}
