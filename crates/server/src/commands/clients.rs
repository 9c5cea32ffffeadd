//! `causeway clients`: works on the database, beside a running server or without one.

use std::path::Path;

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::client::{Client, ClientMetadata, GrantType, Leave, TokenEndpointAuthMethod};
use causeway_domain::client_document::ClientOrigin;
use causeway_domain::secret::{ClientSecret, PlainToken};
use causeway_domain::{ClientId, Clock as _, RedirectUri, Resource, SystemClock, SystemRng, TenantId};
use causeway_flow::register;
use causeway_store::{Store, StoreError, clients};
use serde_json::{Map, Value, json};

use super::{operator, print};
use crate::cli::{ClientsCommand, CreateClient, LogoutOptions, UpdateClient};
use crate::compose;

pub(crate) async fn run(config: &Config, command: ClientsCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(&url).await?;
    let done = match command {
        ClientsCommand::List { limit } => list(&store, limit).await,
        ClientsCommand::Show { client_id } => show(&store, ClientId::new(client_id)).await,
        ClientsCommand::Create(options) => create(&store, options).await,
        ClientsCommand::Update(options) => update(&store, options).await,
        ClientsCommand::RotateSecret { client_id } => rotate_secret(&store, ClientId::new(client_id)).await,
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
        say!("{}\t{method}\t{}", client.client_id, client.client_name);
    }
    Ok(())
}

async fn show(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    print(&describe(&find(store, client_id).await?))
}

async fn find(store: &Store, client_id: ClientId) -> anyhow::Result<Client> {
    let id = client_id.clone();
    let found = store
        .read::<_, StoreError, _>(move |c| clients::find_client(c, &TenantId::default_tenant(), &id))
        .await?;
    found.with_context(|| format!("no client {client_id}"))
}

/// The same, unless it describes itself: whatever were changed here would be overwritten by its document.
async fn find_registered(store: &Store, client_id: ClientId) -> anyhow::Result<Client> {
    let client = find(store, client_id).await?;
    if client.origin != ClientOrigin::Registered {
        bail!("{} is not registered here: it describes itself", client.client_id);
    }
    Ok(client)
}

fn read_jwks(file: &Path) -> anyhow::Result<Value> {
    let name = file.display();
    let text = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{name} is not JSON"))
}

impl LogoutOptions {
    /// Puts what is named into a client's metadata.
    fn put_into(self, metadata: &mut Map<String, Value>) {
        if !self.post_logout_redirect_uri.is_empty() {
            metadata.insert("post_logout_redirect_uris".to_owned(), self.post_logout_redirect_uri.into());
        }
        if let Some(uri) = self.backchannel_logout_uri {
            metadata.insert("backchannel_logout_uri".to_owned(), uri.into());
        }
        if let Some(required) = self.backchannel_logout_session_required {
            metadata.insert("backchannel_logout_session_required".to_owned(), required.into());
        }
    }
}

async fn create(store: &Store, options: CreateClient) -> anyhow::Result<()> {
    let has_keys = options.jwks.is_some() || options.jwks_uri.is_some();
    let default_method = if has_keys { "private_key_jwt" } else { "client_secret_basic" };
    let mut other = Map::new();
    if let Some(file) = &options.jwks {
        other.insert("jwks".to_owned(), read_jwks(file)?);
    }
    if let Some(uri) = options.jwks_uri {
        other.insert("jwks_uri".to_owned(), uri.into());
    }
    if options.dpop_bound {
        other.insert("dpop_bound_access_tokens".to_owned(), true.into());
    }
    other.insert("dpop_nonce_policy".to_owned(), options.dpop_nonce_policy.into());
    if options.access_token_format != "opaque" {
        other.insert("access_token_format".to_owned(), options.access_token_format.into());
    }
    let parse = |uri: &String| Resource::parse(uri).with_context(|| format!("--resource {uri}"));
    let resources = options.resource.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
    let mut grant_types = options.grant_type;
    if grant_types.is_empty() {
        let usual = [GrantType::AuthorizationCode, GrantType::RefreshToken];
        // What background_access is for.
        let exchange = options.allow_background_access.then_some(GrantType::TokenExchange);
        grant_types = usual.into_iter().chain(exchange).map(|grant| grant.as_str().to_owned()).collect();
    }
    options.logout.put_into(&mut other);
    let metadata = ClientMetadata {
        redirect_uris: options.redirect_uri,
        token_endpoint_auth_method: Some(options.auth_method.unwrap_or_else(|| default_method.to_owned())),
        grant_types: Some(grant_types),
        client_name: options.name,
        scope: options.scope,
        other,
        ..ClientMetadata::default()
    };
    let mut valid = metadata.validate()?.allowing_resources(&resources);
    for (given, leave) in [
        (options.allow_background_access, Leave::BackgroundAccess),
        (options.allow_session_export, Leave::SessionExport),
    ] {
        if given {
            valid = valid.with_leave(leave);
        }
    }
    if options.allow_session_export && valid.token_endpoint_auth_method == TokenEndpointAuthMethod::None {
        bail!("--allow-session-export is for clients that authenticate: choose another --auth-method");
    }
    register::check_keys(&valid)?;
    let secret = valid.new_secret(&SystemRng);
    let client = valid.into_client(
        ClientId::random(&SystemRng),
        TenantId::default_tenant(),
        secret.as_ref().map(PlainToken::hash),
        SystemClock.now(),
    );
    operator(store).insert_client(&client).await?;
    let mut shown = describe(&client);
    if let Some(secret) = &secret {
        shown["client_secret"] = json!(secret.expose());
        eprintln!("The client secret is shown this once: only its hash is kept.");
    }
    print(&shown)
}

/// Changes what is named, and checks the whole as at a registration.
async fn update(store: &Store, options: UpdateClient) -> anyhow::Result<()> {
    let before = find_registered(store, ClientId::new(options.client_id)).await?;
    let mut other = before.metadata.clone();
    if options.jwks.is_some() || options.jwks_uri.is_some() {
        other.remove("jwks_uri");
    } else if let Some(jwks) = &before.jwks {
        other.insert("jwks".to_owned(), jwks.clone());
    }
    if let Some(file) = &options.jwks {
        other.insert("jwks".to_owned(), read_jwks(file)?);
    }
    if let Some(uri) = options.jwks_uri {
        other.insert("jwks_uri".to_owned(), uri.into());
    }
    if let Some(bound) = options.dpop_bound {
        other.insert("dpop_bound_access_tokens".to_owned(), bound.into());
    }
    if let Some(policy) = options.dpop_nonce_policy {
        other.insert("dpop_nonce_policy".to_owned(), policy.into());
    }
    options.logout.put_into(&mut other);
    let redirect_uris = if options.redirect_uri.is_empty() {
        before.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect()
    } else {
        options.redirect_uri
    };
    let scope = match options.scope {
        Some(scope) => Some(scope).filter(|scope| !scope.trim().is_empty()),
        None => before.scope.as_ref().map(ToString::to_string),
    };
    let metadata = ClientMetadata {
        redirect_uris,
        token_endpoint_auth_method: Some(before.token_endpoint_auth_method.as_str().to_owned()),
        grant_types: Some(before.grant_types.iter().map(|grant| grant.as_str().to_owned()).collect()),
        client_name: Some(options.name.unwrap_or_else(|| before.client_name.clone())),
        scope,
        other,
        ..ClientMetadata::default()
    };
    let mut valid = metadata.validate()?.keeping_allowances_of(&before);
    valid = match options.allow_background_access {
        Some(true) => valid.with_leave(Leave::BackgroundAccess),
        Some(false) => valid.without_leave(Leave::BackgroundAccess),
        None => valid,
    };
    register::check_keys(&valid)?;
    let (id, tenant, secret) =
        (before.client_id.clone(), before.tenant_id.clone(), before.client_secret.clone());
    let client = Client {
        created_at: before.created_at,
        registration_access_token: before.registration_access_token,
        access_token_expiration: before.access_token_expiration,
        refresh_token_expiration: before.refresh_token_expiration,
        ..valid.into_client(id, tenant, secret, SystemClock.now())
    };
    put(store, &client, "client_updated").await?;
    print(&describe(&client))
}

/// Replaces a client's secret at once: two that work would be one too many when the old one is in wrong hands.
async fn rotate_secret(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    let before = find_registered(store, client_id).await?;
    if !before.token_endpoint_auth_method.has_secret() {
        bail!(
            "{} has no secret: it authenticates with {}",
            before.client_id,
            before.token_endpoint_auth_method.as_str()
        );
    }
    let secret = PlainToken::<ClientSecret>::random(&SystemRng);
    let client = Client { client_secret: Some(secret.hash()), updated_at: SystemClock.now(), ..before };
    put(store, &client, "client_secret_rotated").await?;
    eprintln!(
        "The client secret is shown this once: only its hash is kept. The old one is refused from now on."
    );
    print(&json!({ "client_id": client.client_id, "client_secret": secret.expose() }))
}

/// Replaces a client's row, and writes that down as `event`.
async fn put(store: &Store, client: &Client, event: &str) -> anyhow::Result<()> {
    let found = operator(store).replace_client(client, event).await?;
    if !found {
        bail!("{} was deleted meanwhile", client.client_id);
    }
    Ok(())
}

async fn delete(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    if !operator(store).delete_client(&client_id).await? {
        bail!("no client {client_id}");
    }
    say!("Deleted {client_id}. A running server revokes its sessions at the people's servers.");
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
        "allowed_resources": client.allowed_resources().collect::<Vec<_>>(),
        "access_token_format": client.access_token_format().as_str(),
        "allow_session_export": client.allows_session_export(),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri(),
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens(),
        "dpop_nonce_policy": client.dpop_nonce_policy().as_str(),
        "post_logout_redirect_uris": client.metadata.get("post_logout_redirect_uris"),
        "backchannel_logout_uri": client.backchannel_logout_uri(),
        "origin": client.origin.as_str(),
        "access_token_expiration": client.access_token_expiration,
        "refresh_token_expiration": client.refresh_token_expiration,
        "created_at": client.created_at,
    })
}
