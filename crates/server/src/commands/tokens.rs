//! `causeway tokens`.

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_store::Store;
use causeway_store::operations::admin::SessionFilter;

use super::{filter, operator};
use crate::cli::TokensCommand;
use crate::compose;
use crate::progress::ProgressLine;

pub(crate) async fn run(config: &Config, command: TokensCommand) -> anyhow::Result<()> {
    let TokensCommand::Revoke { of } = command;
    let wanted = filter(of)?;
    if wanted.did.is_none() && wanted.client_id.is_none() {
        bail!("name a user, a client, or both: --user DID, --client CLIENT_ID");
    }
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = revoke(&store, &wanted).await;
    store.close().await;
    done
}

async fn revoke(store: &Store, wanted: &SessionFilter) -> anyhow::Result<()> {
    let tokens = operator(store).revoke_own_tokens(wanted).await?;
    let mut line = ProgressLine::new();
    let (mut sessions, mut next) = (0, None);
    loop {
        let ended = operator(store)
            .end_sessions(wanted, next.take())
            .await
            .with_context(|| format!("revocation stopped after {sessions} sessions: run it again"))?;
        sessions += ended.items.len();
        next = ended.next;
        if next.is_none() {
            break;
        }
        line.count(|| format!("{sessions} sessions ended"));
    }
    line.end();
    if tokens > 0 {
        say!("Revoked {tokens} tokens of the client itself.");
    }
    say!("Ended {sessions} sessions with all their tokens. A running server revokes them upstream.");
    Ok(())
}
