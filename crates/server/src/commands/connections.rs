//! `causeway connections`.

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::{Clock as _, SystemClock};
use causeway_flow::connection::list::listed_state;
use causeway_flow::connection::show::ConnectionDetails;
use causeway_store::connections::heads::ConnectionFilter;
use causeway_store::{PageRequest, Store};
use causeway_types::{ClientId, TenantId, Timestamp, UpstreamSessionId};
use serde_json::{Value, json};

use super::{find_tenant, operator, print, say_more};
use crate::cli::ConnectionsCommand;
use crate::compose;

pub(crate) async fn run(config: &Config, command: ConnectionsCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = act(&store, command).await;
    store.close().await;
    done
}

async fn act(store: &Store, command: ConnectionsCommand) -> anyhow::Result<()> {
    match command {
        ConnectionsCommand::List { tenant, provider, client, state, page } => {
            let filter = ConnectionFilter {
                client_id: client.map(ClientId::new),
                user: None,
                provider,
                state: state.as_deref().map(listed_state).transpose()?,
            };
            list(store, &find_tenant(store, tenant).await?, filter, page.into()).await
        }
        ConnectionsCommand::Status { tenant, provider, page } => {
            let filter = ConnectionFilter { provider, ..ConnectionFilter::default() };
            status(store, &find_tenant(store, tenant).await?, filter, page.into()).await
        }
        ConnectionsCommand::Show { connection_id, tenant } => {
            let tenant_id = find_tenant(store, tenant).await?;
            show(store, &tenant_id, &UpstreamSessionId::new(connection_id)).await
        }
        ConnectionsCommand::Revoke { connection_id, tenant } => {
            let tenant_id = find_tenant(store, tenant).await?;
            revoke(store, &tenant_id, &UpstreamSessionId::new(connection_id)).await
        }
        ConnectionsCommand::Share { connection_id, client, tenant } => {
            let tenant_id = find_tenant(store, tenant).await?;
            let (id, client_id) = (UpstreamSessionId::new(connection_id), ClientId::new(client));
            if !operator(store).share_connection(&tenant_id, &id, &client_id).await? {
                bail!("no connection {id} in {tenant_id}, or {client_id} does not act there");
            }
            say!("{client_id} may use {id} from now on.");
            Ok(())
        }
    }
}

async fn list(
    store: &Store,
    tenant_id: &TenantId,
    filter: ConnectionFilter,
    page: PageRequest,
) -> anyhow::Result<()> {
    let found = operator(store).list_connections(tenant_id, filter, page).await?;
    let now = SystemClock.now();
    for connection in &found.items {
        let (head, user) = (&connection.head, &connection.slot.user);
        say!(
            "{}\t{}\t{}\t{}\t{}\t{}\tlast used {} s ago",
            head.session_id,
            head.provider(),
            head.kind.as_str(),
            head.state_at(now).as_str(),
            user.namespace,
            user.user_id,
            now.since(head.last_used_at),
        );
    }
    say_more(&found);
    Ok(())
}

/// Prints how connections are kept, one a line.
async fn status(
    store: &Store,
    tenant_id: &TenantId,
    filter: ConnectionFilter,
    page: PageRequest,
) -> anyhow::Result<()> {
    let found = operator(store).list_connections(tenant_id, filter, page).await?;
    let now = SystemClock.now();
    let seconds = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.since(now).to_string());
    for connection in &found.items {
        let head = &connection.head;
        let details = operator(store).find_connection(tenant_id, &head.session_id).await?;
        let expires_at = details.as_ref().and_then(|details| details.user_credential()?.expires_at);
        let error = match &connection.last_error {
            Some(error) => format!("{} ({} s ago)", error.code, now.since(error.at)),
            None => "-".to_owned(),
        };
        say!(
            "{}\t{}\t{}\texpires in {} s\trefreshed {} s ago\tlast error {error}\tcorrelation {}",
            head.session_id,
            head.provider(),
            head.state_at(now).as_str(),
            seconds(expires_at),
            connection.refreshed_at.map_or_else(|| "-".to_owned(), |at| now.since(at).to_string()),
            head.correlation_id.as_ref().map_or("-", |id| id.as_str()),
        );
    }
    say_more(&found);
    Ok(())
}

async fn show(store: &Store, tenant_id: &TenantId, id: &UpstreamSessionId) -> anyhow::Result<()> {
    let found = operator(store).find_connection(tenant_id, id).await?;
    print(&detail(&found.with_context(|| format!("no connection {id}"))?, SystemClock.now()))
}

async fn revoke(store: &Store, tenant_id: &TenantId, id: &UpstreamSessionId) -> anyhow::Result<()> {
    match operator(store).end_connection(tenant_id, id).await? {
        None => bail!("no connection {id}"),
        Some(false) => bail!("this connection has already ended"),
        Some(true) => say!("Ended. A running server revokes the connection at the provider."),
    }
    Ok(())
}

/// A connection as JSON, without secrets.
pub(super) fn detail(details: &ConnectionDetails, now: Timestamp) -> Value {
    let connection = &details.connection;
    let (head, user) = (&connection.head, &connection.slot.user);
    let identity = details.identity.as_ref();
    let managed = details.managed_accounts.iter().map(|account| {
        json!({
            "managed_account_id": account.managed_account_id,
            "subject": account.subject,
            "name": account.name,
            "category": account.category,
            "tasks": account.tasks,
            "unavailable_at": account.unavailable_at,
        })
    });
    let managed: Vec<_> = managed.collect();
    let credentials = details.credentials.iter().map(|credential| {
        json!({
            "credential_id": credential.credential_id,
            "kind": credential.owner.kind(),
            "managed_account_id": credential.owner.managed_account(),
            "state": credential.state,
            "account_ref": credential.account_ref,
            "created_at": credential.created_at,
            "expires_at": credential.expires_at,
        })
    });
    let credentials: Vec<_> = credentials.collect();
    json!({
        "connection_id": head.session_id,
        "provider": head.provider(),
        "registration_id": connection.registration_id,
        "client_id": head.client_id,
        "user_id": user.user_id,
        "user_namespace": user.namespace,
        "session_kind": head.kind,
        "state": head.state_at(now),
        "account_ref": head.subject(),
        "identity": identity.map(|identity| json!({
            "issuer": identity.issuer,
            "subject": identity.subject,
            "display_name": identity.display_name,
        })),
        "managed_accounts": managed,
        "credentials": credentials,
        "scope": details.user_credential().map(|credential| &credential.granted_scope),
        "missing_scopes": details.missing_scopes,
        "created_at": head.created_at,
        "last_used_at": head.last_used_at,
        "refreshed_at": connection.refreshed_at,
        "last_error": connection.last_error.as_ref().map(|error| &error.code),
        "last_error_at": connection.last_error.as_ref().map(|error| error.at),
    })
}
