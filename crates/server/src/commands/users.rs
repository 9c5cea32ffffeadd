//! `causeway users`.

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::connection::Erasure;
use causeway_domain::{Clock as _, SystemClock};
use causeway_store::{PageRequest, Store};
use causeway_types::{TenantId, TenantUser, UserId, UserNamespace};
use serde_json::json;

use super::connections::detail;
use super::{erase, find_tenant, operator, print, say_more};
use crate::cli::{OneUser, UsersCommand};
use crate::compose;

/// Connections that are read at once.
const BATCH: i64 = 100;

pub(crate) async fn run(config: &Config, command: UsersCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = match command {
        UsersCommand::List { tenant, page } => {
            let tenant_id = find_tenant(&store, tenant).await?;
            list(&store, &tenant_id, page.into()).await
        }
        UsersCommand::Export(user) => export(&store, user).await,
        UsersCommand::Delete(user) => delete(&store, user).await,
    };
    store.close().await;
    done
}

async fn list(store: &Store, tenant_id: &TenantId, page: PageRequest) -> anyhow::Result<()> {
    let found = operator(store).list_users(tenant_id, page).await?;
    for user in &found.items {
        say!("{}\t{}", user.namespace, user.user_id);
    }
    say_more(&found);
    Ok(())
}

async fn export(store: &Store, user: OneUser) -> anyhow::Result<()> {
    let (tenant_id, user) = named(store, user).await?;
    let (mut page, mut connections) = (PageRequest::first(BATCH), Vec::new());
    let created_at = loop {
        let found = operator(store).export_user(&tenant_id, &user, page).await?;
        let found = found.with_context(|| format!("no user {}", user.user_id))?;
        let now = SystemClock.now();
        connections.extend(found.connections.items.iter().map(|it| detail(it, now)));
        match found.connections.next {
            Some(after) => page = PageRequest { after: Some(after), limit: BATCH },
            None => break found.created_at,
        }
    };
    print(&json!({
        "user_id": user.user_id,
        "user_namespace": user.namespace,
        "created_at": created_at,
        "connections": connections,
    }))
}

async fn delete(store: &Store, user: OneUser) -> anyhow::Result<()> {
    let (tenant_id, user) = named(store, user).await?;
    if !operator(store).delete_user(&tenant_id, &user).await? {
        bail!("no user {}", user.user_id);
    }
    erase(store, &tenant_id, &Erasure::User(user.clone())).await?;
    say!(
        "Deleted {} and ended their connections. A running server revokes them at the providers.",
        user.user_id
    );
    Ok(())
}

async fn named(store: &Store, named: OneUser) -> anyhow::Result<(TenantId, TenantUser)> {
    let OneUser { user_id, namespace, tenant } = named;
    let tenant_id = find_tenant(store, tenant).await?;
    let namespace = UserNamespace::parse(&namespace).context("--namespace: not a namespace")?;
    let user_id = UserId::parse(&user_id).context("not the name of a user")?;
    Ok((tenant_id, TenantUser { namespace, user_id }))
}
