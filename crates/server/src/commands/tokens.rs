//! `causeway tokens`.

use anyhow::bail;
use causeway_config::Config;
use causeway_store::{StoreError, tokens};

use super::{filter, operator};
use crate::cli::TokensCommand;
use crate::compose;

pub(crate) async fn run(config: &Config, command: TokensCommand) -> anyhow::Result<()> {
    let TokensCommand::Revoke { of } = command;
    let wanted = filter(of)?;
    if wanted.did.is_none() && wanted.client_id.is_none() {
        bail!("say whose tokens: --user DID, --client CLIENT_ID, or both");
    }
    let url = compose::database_url(config)?;
    let store = compose::open_store(&url).await?;
    let ended = operator(&store).end_sessions(&wanted).await;
    // What a client has without a person is meant when no person is named.
    let own = match (&wanted.did, wanted.client_id.clone()) {
        (None, Some(client_id)) => {
            store.write::<_, StoreError, _>(move |c| tokens::revoke_client_tokens(c, &client_id)).await
        }
        _ => Ok(0),
    };
    store.close().await;
    if own? > 0 {
        say!("Revoked the tokens that the client had for itself.");
    }
    say!(
        "Ended {} sessions with all their tokens. A running server revokes them at the people's servers.",
        ended?
    );
    Ok(())
}
