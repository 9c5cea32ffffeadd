//! `causeway tokens`.

use anyhow::bail;
use causeway_config::Config;

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
    let revoked = operator(&store).revoke_tokens(&wanted).await;
    store.close().await;
    let revoked = revoked?;
    if revoked.client_tokens > 0 {
        say!("Revoked {} tokens that the client had for itself.", revoked.client_tokens);
    }
    say!(
        "Ended {} sessions with all their tokens. A running server revokes them at the people's servers.",
        revoked.sessions
    );
    Ok(())
}
