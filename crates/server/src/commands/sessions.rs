//! `causeway sessions`.

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_domain::session::SessionHead;
use causeway_domain::{Clock as _, SystemClock};
use causeway_store::operations::admin;
use causeway_store::{PageRequest, Store, StoreError};
use causeway_types::{TenantId, Timestamp, UpstreamSessionId};
use serde_json::json;

use super::{filter, operator, print, say_more};
use crate::cli::SessionsCommand;
use crate::compose;

pub(crate) async fn run(config: &Config, command: SessionsCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = match command {
        SessionsCommand::List { of, ended, page } => {
            let wanted = admin::SessionFilter { ended, ..filter(of)? };
            list(&store, wanted, page.into()).await
        }
        SessionsCommand::Show { session_id } => show(&store, UpstreamSessionId::new(session_id)).await,
        SessionsCommand::Revoke { session_id } => revoke(&store, UpstreamSessionId::new(session_id)).await,
    };
    store.close().await;
    done
}

async fn list(store: &Store, wanted: admin::SessionFilter, page: PageRequest) -> anyhow::Result<()> {
    let tenant = TenantId::default_tenant();
    let found =
        store.read::<_, StoreError, _>(move |c| admin::list_sessions(c, &tenant, &wanted, &page)).await?;
    let now = SystemClock.now();
    for session in &found.items {
        let who = session.atproto().map_or(session.subject(), |account| account.name_at(now));
        say!(
            "{}\t{}\t{}\t{who}\t{}\tlast used {} s ago",
            session.session_id,
            session.kind.as_str(),
            session.state_at(now).as_str(),
            session.client_id,
            now.since(session.last_used_at),
        );
    }
    say_more(&found);
    Ok(())
}

async fn show(store: &Store, session_id: UpstreamSessionId) -> anyhow::Result<()> {
    let session = find(store, session_id).await?;
    let now = SystemClock.now();
    let account = session.atproto().ok();
    print(&json!({
        "session_id": session.session_id,
        "session_kind": session.kind,
        "session_state": session.state_at(now),
        "head_iteration": session.iteration,
        "provider": session.provider(),
        "subject": session.subject(),
        "credential_kind": session.credential_kind(),
        "did": account.map(|account| &account.did),
        "handle": account.and_then(|account| account.handle_at(now)),
        "client_id": session.client_id,
        "pds": account.map(|account| &account.upstream.pds),
        "issuer": account.map(|account| &account.upstream.issuer),
        "upstream_client_id": account.map(|account| &account.upstream.client_id),
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "session_expires_at": session.idle_end().map(Timestamp::as_secs),
    }))
}

async fn revoke(store: &Store, session_id: UpstreamSessionId) -> anyhow::Result<()> {
    match operator(store).end_session(&session_id).await? {
        None => bail!("no session {session_id}"),
        Some(false) => bail!("this session has already ended"),
        Some(true) => say!("Ended. A running server revokes the session upstream."),
    }
    Ok(())
}

async fn find(store: &Store, session_id: UpstreamSessionId) -> anyhow::Result<SessionHead> {
    let id = session_id.clone();
    let found = store
        .read::<_, StoreError, _>(move |c| admin::find_session(c, &TenantId::default_tenant(), &id))
        .await?;
    found.with_context(|| format!("no session {session_id}"))
}
