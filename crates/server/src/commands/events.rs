//! `causeway events`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::{Clock as _, SystemClock};
use causeway_flow::operations::events::new_secret;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::events::{self, Webhook};
use causeway_store::operations::audit::insert_audit_event;
use causeway_store::{Store, StoreError};
use causeway_types::{ClientId, SystemRng, TenantId};
use url::Url;

use super::operator;
use crate::cli::EventsCommand;
use crate::{compose, secret_key};

pub(crate) async fn run(config: &Config, command: EventsCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = match command {
        EventsCommand::List => list(&store).await,
        EventsCommand::Subscribe { client_id, webhook } => {
            let webhook = webhook.map(|url| check(&url, config)).transpose()?;
            let ring = Arc::new(secret_key::load(config, &url, &store).await?);
            subscribe(&store, ring, ClientId::new(client_id), webhook).await
        }
        EventsCommand::Unsubscribe { client_id } => unsubscribe(&store, ClientId::new(client_id)).await,
    };
    store.close().await;
    done
}

/// Validates a webhook URL by the rules of delivery: https (http in dev mode), no credentials, no IP address
/// that is not public. The addresses behind a host name are checked at delivery.
fn check(url: &str, config: &Config) -> anyhow::Result<String> {
    let parsed = Url::parse(url).with_context(|| format!("--webhook: {url:?} is not a URL"))?;
    let issuer = config.issuer(config.listen)?;
    compose::outbound(config, &issuer)?
        .check(&parsed)
        .map_err(|error| anyhow::anyhow!("--webhook: {error}: use a public https URL without credentials"))?;
    if parsed.fragment().is_some() {
        bail!("--webhook: the part after # is never sent: remove it");
    }
    Ok(parsed.into())
}

async fn list(store: &Store) -> anyhow::Result<()> {
    let tenant = TenantId::default_tenant();
    let found = store.read::<_, StoreError, _>(move |c| events::list_subscriptions(c, &tenant)).await?;
    for (client_id, webhook) in found {
        say!("{client_id}\t{}", webhook.as_deref().unwrap_or("-"));
    }
    Ok(())
}

async fn subscribe(
    store: &Store,
    ring: Arc<EncryptionKeyRing>,
    client_id: ClientId,
    webhook: Option<String>,
) -> anyhow::Result<()> {
    let webhook = webhook.map(|url| Webhook { url, secret: new_secret(&SystemRng) });
    let (id, wanted, now) = (client_id.clone(), webhook.clone(), SystemClock.now());
    let done = operator(store).audit_event("events_subscribed").of_client(&client_id);
    let known = store
        .write::<_, StoreError, _>(move |c| {
            let tenant = TenantId::default_tenant();
            let known = events::subscribe(c, &ring, &tenant, &id, wanted.as_ref(), now)?;
            if known {
                insert_audit_event(c, &done)?;
            }
            Ok(known)
        })
        .await?;
    if !known {
        bail!("no client {client_id}");
    }
    match webhook {
        Some(webhook) => {
            eprintln!("The secret is shown only once. Events are delivered to {} from now on.", webhook.url);
            say!("{}", webhook.secret.expose());
        }
        None => say!("{client_id} may now read GET /api/events."),
    }
    Ok(())
}

async fn unsubscribe(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    let id = client_id.clone();
    let event = operator(store).audit_event("events_unsubscribed").of_client(&client_id);
    let done = store
        .write::<_, StoreError, _>(move |c| {
            let done = events::unsubscribe(c, &TenantId::default_tenant(), &id)?;
            if done {
                insert_audit_event(c, &event)?;
            }
            Ok(done)
        })
        .await?;
    if !done {
        bail!("{client_id} is not subscribed");
    }
    say!("{client_id} receives no more events.");
    Ok(())
}
