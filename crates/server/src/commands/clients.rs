//! `causeway clients`: works on the database, beside a running server or without one.

use anyhow::{Context as _, bail};
use causeway_config::{Config, ExternalUrl};
use causeway_domain::client::{Client, ClientMetadataError, ClientOrigin};
use causeway_domain::{Clock as _, SystemClock};
use causeway_flow::client::registration::RegistrationError;
use causeway_flow::client::registration::create::{RegisterError, Registered};
use causeway_flow::operations::operator::{ClientRules, client_document, shown_client};
use causeway_store::clients;
use causeway_store::{PageRequest, Store, StoreError};
use causeway_types::secret::{ClientSecret, PlainToken};
use causeway_types::{ClientId, SystemRng, TenantId};
use serde_json::{Map, json};

use super::{client_options, operator, print, say_more};
use crate::cli::{ClientOptions, ClientsCommand, UpdateClient};
use crate::compose;
use crate::progress::ProgressLine;

pub(crate) async fn run(config: &Config, command: ClientsCommand) -> anyhow::Result<()> {
    let (maximum_scope, resource_scopes) = (compose::max_scope(config)?, compose::resource_scopes(config)?);
    let issuer = config.issuer(config.listen).ok();
    let rules = ClientRules {
        maximum_scope: &maximum_scope,
        resource_scopes: &resource_scopes,
        issuer: issuer.as_ref().map(ExternalUrl::as_str),
    };
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = match command {
        ClientsCommand::List { page } => list(&store, page.into()).await,
        ClientsCommand::Show { client_id } => show(&store, ClientId::new(client_id)).await,
        ClientsCommand::Create(options) => create(&store, rules, *options).await,
        ClientsCommand::Update(options) => update(&store, rules, *options).await,
        ClientsCommand::RotateSecret { client_id } => rotate_secret(&store, ClientId::new(client_id)).await,
        ClientsCommand::Delete { client_id } => delete(&store, ClientId::new(client_id)).await,
    };
    store.close().await;
    done
}

async fn list(store: &Store, page: PageRequest) -> anyhow::Result<()> {
    let found = store
        .read::<_, StoreError, _>(move |c| clients::list_clients(c, &TenantId::default_tenant(), &page))
        .await?;
    for client in &found.items {
        let method = client.token_endpoint_auth_method.as_str();
        say!("{}\t{method}\t{}", client.client_id, client.client_name);
    }
    say_more(&found);
    Ok(())
}

async fn show(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    print(&shown_client(&find(store, client_id).await?))
}

async fn find(store: &Store, client_id: ClientId) -> anyhow::Result<Client> {
    let id = client_id.clone();
    let found = store
        .read::<_, StoreError, _>(move |c| clients::find_client(c, &TenantId::default_tenant(), &id))
        .await?;
    found.with_context(|| format!("no client {client_id}"))
}

/// As [`find`], except for clients that describe themselves: their document would overwrite any change.
async fn find_registered(store: &Store, client_id: ClientId) -> anyhow::Result<Client> {
    let client = find(store, client_id).await?;
    if client.origin != ClientOrigin::Registered {
        bail!("{} is not registered here: it is described by its client document", client.client_id);
    }
    Ok(client)
}

async fn create(store: &Store, rules: ClientRules<'_>, options: ClientOptions) -> anyhow::Result<()> {
    let usual = options.metadata.is_none();
    let mut document = client_options::overlay(Map::new(), options)?;
    if usual {
        client_options::put_usual(&mut document);
    }
    let description = client_options::read(document)?;
    let made = operator(store)
        .create_client(&SystemRng, rules, description)
        .await
        .map_err(|error| about_scopes(error, rules))?;
    print_with_secret(&made)
}

/// Updates the named members, and validates the result as at registration.
async fn update(store: &Store, rules: ClientRules<'_>, options: UpdateClient) -> anyhow::Result<()> {
    let UpdateClient { client_id, options } = options;
    let client_id = ClientId::new(client_id);
    let before = find(store, client_id.clone()).await?;
    let mut document = client_options::overlay(client_document(&before), options)?;
    if document.remove("client_id").is_some_and(|named| named != client_id.as_str()) {
        bail!("--metadata describes another client: its client_id is not {client_id}");
    }
    let description = client_options::read(document)?;
    let changed = operator(store)
        .update_client(&SystemRng, rules, &client_id, description)
        .await
        .map_err(|error| match error {
            RegistrationError::Register(error) => about_scopes(error, rules),
            error => error.into(),
        })?
        .with_context(|| format!("{client_id} was deleted in the meantime"))?;
    print_with_secret(&changed)
}

/// Adds where the scope is declared: a scope unknown to this command may be known to the server, whose
/// settings can differ.
fn about_scopes(error: RegisterError, rules: ClientRules<'_>) -> anyhow::Error {
    let is_scope = matches!(&error, RegisterError::Metadata(ClientMetadataError::ScopeNotGranted(_)));
    let error = anyhow::Error::from(error);
    if !is_scope {
        return error;
    }
    let text = format!(
        "atp-scopes is \"{}\" for this command, and resource-scope may differ, too: run this command with the settings of the server",
        rules.maximum_scope
    );
    error.context(text)
}

/// Prints a client, with the only copy of its secret if it has a new one.
fn print_with_secret(registered: &Registered) -> anyhow::Result<()> {
    let mut shown = shown_client(&registered.client);
    if let Some(secret) = &registered.client_secret {
        shown["client_secret"] = json!(secret.expose());
        eprintln!("The client secret is shown only once: only its hash is stored.");
    }
    print(&shown)
}

/// Replaces a client's secret at once: an overlap would leave a leaked secret valid.
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
        "The client secret is shown only once: only its hash is stored. The old one is refused from now on."
    );
    print(&json!({ "client_id": client.client_id, "client_secret": secret.expose() }))
}

/// Updates a client's row, and records `event` in the audit log.
async fn put(store: &Store, client: &Client, event: &str) -> anyhow::Result<()> {
    let found = operator(store).replace_client(client, event).await?;
    if !found {
        bail!("{} was deleted in the meantime", client.client_id);
    }
    Ok(())
}

/// Deletes a client. It counts as deleted at once; its sessions and rows follow in batches. A running server
/// deletes whatever is left.
async fn delete(store: &Store, client_id: ClientId) -> anyhow::Result<()> {
    if !operator(store).delete_client(&client_id).await? {
        bail!("no client {client_id}");
    }
    let mut line = ProgressLine::new();
    let (mut sessions, mut rows) = (0, 0);
    loop {
        let purged = operator(store).purge().await.context(
            "the client is deleted, but some of its sessions have not ended yet: a running server ends them",
        )?;
        if purged.is_done() {
            break;
        }
        sessions += purged.sessions;
        rows += purged.rows;
        line.count(|| format!("{sessions} sessions ended, {rows} rows deleted"));
    }
    line.end();
    say!("Deleted {client_id} and ended {sessions} sessions. A running server revokes them upstream.");
    Ok(())
}
