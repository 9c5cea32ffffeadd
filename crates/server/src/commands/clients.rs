//! `causeway clients`: works on the database, beside a running server or without one.

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::client::{Client, ClientMetadata, GrantType};
use causeway_domain::secret::PlainToken;
use causeway_domain::{ClientId, Clock as _, RedirectUri, SystemClock, SystemRng, TenantId};
use causeway_flow::register;
use causeway_store::audit::insert_audit_event;
use causeway_store::{Store, StoreError, clients};
use serde_json::{Map, json};

use super::{act, print};
use crate::cli::{ClientsCommand, CreateClient};
use crate::compose;

pub(crate) async fn run(config: &Config, command: ClientsCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(&url).await?;
    let done = match command {
        ClientsCommand::List { limit } => list(&store, limit).await,
        ClientsCommand::Show { client_id } => show(&store, ClientId::new(client_id)).await,
        ClientsCommand::Create(options) => create(&store, options).await,
        ClientsCommand::Delete { client_id } => delete(&store, ClientId::new(client_id)).await,
    };
    store.close().await;
    done
}

async fn list(store: &Store, limit: i64) -> anyhow::Result<()> {
    let clients: Vec<Client> = store
        .read::<_, StoreError, _>(move |c| clients::list_clients(c, &TenantId::default_tenant(), limit))
        .await?;
    for client in clients {
        let method = client.token_endpoint_auth_method.as_str();
        println!("{}\t{method}\t{}", client.client_id, client.client_name);
    }
    Ok(())
}

async fn show(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    let id = client_id.clone();
    let found = store
        .read::<_, StoreError, _>(move |c| clients::find_client(c, &TenantId::default_tenant(), &id))
        .await?;
    let client = found.with_context(|| format!("no client {client_id}"))?;
    print(&describe(&client))
}

async fn create(store: &Store, options: CreateClient) -> anyhow::Result<()> {
    let has_keys = options.jwks.is_some() || options.jwks_uri.is_some();
    let default_method = if has_keys { "private_key_jwt" } else { "client_secret_basic" };
    let mut other = Map::new();
    if let Some(file) = &options.jwks {
        let name = file.display();
        let text = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
        let jwks = serde_json::from_slice(&text).with_context(|| format!("{name} is not JSON"))?;
        other.insert("jwks".to_owned(), jwks);
    }
    if let Some(uri) = options.jwks_uri {
        other.insert("jwks_uri".to_owned(), uri.into());
    }
    if options.dpop_bound {
        other.insert("dpop_bound_access_tokens".to_owned(), true.into());
    }
    other.insert("dpop_nonce_policy".to_owned(), options.dpop_nonce_policy.into());
    let metadata = ClientMetadata {
        redirect_uris: options.redirect_uri,
        token_endpoint_auth_method: Some(options.auth_method.unwrap_or_else(|| default_method.to_owned())),
        grant_types: Some(GrantType::ALL.map(|grant| grant.as_str().to_owned()).to_vec()),
        client_name: options.name,
        scope: options.scope,
        other,
        ..ClientMetadata::default()
    };
    let mut valid = metadata.validate()?;
    if options.allow_background_access {
        valid = valid.allowing_background_access();
    }
    register::check_keys(&valid)?;
    let secret = valid.new_secret(&SystemRng);
    let client = valid.into_client(
        ClientId::random(&SystemRng),
        TenantId::default_tenant(),
        secret.as_ref().map(PlainToken::hash),
        SystemClock.now(),
    );
    let row = client.clone();
    let done = act("client_created").of_client(&row.client_id);
    store
        .write::<_, StoreError, _>(move |c| {
            clients::insert_client(c, &row)?;
            insert_audit_event(c, &done)
        })
        .await?;
    let mut shown = describe(&client);
    if let Some(secret) = &secret {
        shown["client_secret"] = json!(secret.expose());
        eprintln!("The client secret is shown this once: only its hash is kept.");
    }
    print(&shown)
}

async fn delete(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    let (id, now) = (client_id.clone(), SystemClock.now());
    let done = act("client_deleted").of_client(&id);
    let deleted = store
        .write::<_, StoreError, _>(move |c| {
            let deleted = clients::delete_client(c, &TenantId::default_tenant(), &id, now)?;
            if deleted {
                insert_audit_event(c, &done)?;
            }
            Ok(deleted)
        })
        .await?;
    if !deleted {
        bail!("no client {client_id}");
    }
    println!("Deleted {client_id}. A running server revokes its sessions at the people's servers.");
    Ok(())
}

fn describe(client: &Client) -> serde_json::Value {
    json!({
        "client_id": client.client_id,
        "client_name": client.client_name,
        "redirect_uris": client.redirect_uris.iter().map(RedirectUri::as_str).collect::<Vec<_>>(),
        "grant_types": client.grant_types,
        "scope": client.scope,
        "allow_background_access": client.allows_background_access(),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri(),
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens(),
        "dpop_nonce_policy": client.dpop_nonce_policy().as_str(),
        "access_token_expiration": client.access_token_expiration,
        "refresh_token_expiration": client.refresh_token_expiration,
        "created_at": client.created_at,
    })
}
