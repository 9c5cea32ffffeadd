//! `causeway tokens`.

use anyhow::bail;
use causeway_config::Config;
use causeway_domain::{Clock as _, SystemClock, TenantId};
use causeway_store::audit::insert_audit_event;
use causeway_store::{Store, StoreError, admin, tokens};

use super::{act, filter};
use crate::cli::TokensCommand;
use crate::compose;

/// Sessions that one transaction ends: few enough not to hold a running server up.
const BATCH: i64 = 100;

pub(crate) async fn run(config: &Config, command: TokensCommand) -> anyhow::Result<()> {
    let TokensCommand::Revoke { of } = command;
    let wanted = filter(of)?;
    if wanted.did.is_none() && wanted.client_id.is_none() {
        bail!("say whose tokens: --user DID, --client CLIENT_ID, or both");
    }
    let url = compose::database_url(config)?;
    let store = compose::open_store(&url).await?;
    let ended = revoke(&store, &wanted).await;
    // What a client has without a person is meant when no person is named.
    let own = match (&wanted.did, wanted.client_id.clone()) {
        (None, Some(client_id)) => {
            store.write::<_, StoreError, _>(move |c| tokens::revoke_client_tokens(c, &client_id)).await
        }
        _ => Ok(0),
    };
    store.close().await;
    if own? > 0 {
        println!("Revoked the tokens that the client had for itself.");
    }
    println!(
        "Ended {} sessions with all their tokens. A running server revokes them at the people's servers.",
        ended?
    );
    Ok(())
}

async fn revoke(store: &Store, wanted: &admin::SessionFilter) -> anyhow::Result<usize> {
    let mut all = 0;
    loop {
        let (wanted, now) = (wanted.clone(), SystemClock.now());
        let tenant = TenantId::default_tenant();
        let ended = store
            .write::<_, StoreError, _>(move |c| {
                let ended = admin::end_sessions(c, &tenant, &wanted, BATCH, now)?;
                for session in &ended {
                    insert_audit_event(c, &act("revocation").of_session(session))?;
                }
                Ok(ended.len())
            })
            .await?;
        if ended == 0 {
            return Ok(all);
        }
        all += ended;
    }
}
