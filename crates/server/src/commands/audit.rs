//! `causeway audit`.

use causeway_config::Config;
use causeway_store::operations::audit::{AuditFilter, list_audit_events};
use causeway_store::{PageRequest, Store, StoreError};
use causeway_types::{Did, TenantId, UpstreamSessionId};

use super::say_more;
use crate::cli::AuditCommand;
use crate::compose;

pub(crate) async fn run(config: &Config, command: AuditCommand) -> anyhow::Result<()> {
    let AuditCommand::List { of, session, event, page } = command;
    let wanted = AuditFilter {
        did: of.user.map(|did| Did::parse(&did)).transpose()?,
        client_id: of.client.map(causeway_types::ClientId::new),
        session_id: session.map(UpstreamSessionId::new),
        event,
    };
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = list(&store, wanted, page.into()).await;
    store.close().await;
    done
}

async fn list(store: &Store, wanted: AuditFilter, page: PageRequest) -> anyhow::Result<()> {
    let tenant = TenantId::default_tenant();
    let found =
        store.read::<_, StoreError, _>(move |c| list_audit_events(c, &tenant, &wanted, &page)).await?;
    for event in &found.items {
        say!("{}", serde_json::to_string(event)?);
    }
    say_more(&found);
    Ok(())
}
