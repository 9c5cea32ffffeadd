//! `causeway tenants`.

use anyhow::{Context as _, bail, ensure};
use causeway_config::Config;
use causeway_domain::connection::{Erasure, Tenant};
use causeway_flow::connection::tenants::NewTenant;
use causeway_store::{PageRequest, Store};
use causeway_types::{ClientId, SystemRng, TenantId};
use serde_json::json;

use super::{erase, operator, print, say_more};
use crate::cli::TenantsCommand;
use crate::compose;

pub(crate) async fn run(config: &Config, command: TenantsCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = match command {
        TenantsCommand::Create { name, id, client, user_namespace } => {
            let new = NewTenant::new(&name, user_namespace.as_deref())?;
            create(&store, new, id, client).await
        }
        TenantsCommand::List { page } => list(&store, page.into()).await,
        TenantsCommand::Show { tenant_id } => show(&store, &TenantId::new(tenant_id)).await,
        TenantsCommand::Delete { tenant_id } => delete(&store, &TenantId::new(tenant_id)).await,
    };
    store.close().await;
    done
}

async fn create(
    store: &Store,
    new: NewTenant,
    id: Option<String>,
    clients: Vec<String>,
) -> anyhow::Result<()> {
    let is_id = |id: &str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let id = match id {
        None => TenantId::random(&SystemRng),
        Some(id) => {
            ensure!(is_id(&id), "--id: use 1 to 64 letters, digits, hyphens, underscores and dots");
            TenantId::new(id)
        }
    };
    let clients = clients.into_iter().map(ClientId::new).collect();
    print(&shown(&operator(store).create_tenant(id, new, clients).await?))
}

async fn list(store: &Store, page: PageRequest) -> anyhow::Result<()> {
    let found = operator(store).list_tenants(page).await?;
    for tenant in &found.items {
        say!("{}\t{}", tenant.tenant_id, tenant.name);
    }
    say_more(&found);
    Ok(())
}

async fn show(store: &Store, tenant_id: &TenantId) -> anyhow::Result<()> {
    let found = operator(store).find_tenant(tenant_id).await?;
    print(&shown(&found.with_context(|| format!("no tenant {tenant_id}"))?))
}

fn shown(tenant: &Tenant) -> serde_json::Value {
    json!({
        "tenant_id": tenant.tenant_id,
        "name": tenant.name,
        "user_namespace": tenant.user_namespace,
        "created_at": tenant.created_at,
    })
}

/// Deletes a tenant, or goes on with a deletion that was interrupted.
async fn delete(store: &Store, tenant_id: &TenantId) -> anyhow::Result<()> {
    if *tenant_id == TenantId::default_tenant() {
        bail!("clients register in the tenant {tenant_id}: it cannot be deleted");
    }
    let deleted = operator(store).delete_tenant(tenant_id).await?;
    if !deleted && operator(store).is_deleted(tenant_id).await?.is_none() {
        bail!("no tenant {tenant_id}");
    }
    let connections = erase(store, tenant_id, &Erasure::Tenant).await?;
    say!(
        "Deleted {tenant_id} and ended {connections} connections. A running server revokes them at the providers."
    );
    Ok(())
}
