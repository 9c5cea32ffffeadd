//! `causeway connect`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use causeway_config::Config;
use causeway_domain::{Clock as _, SystemClock};
use causeway_flow::operations::operator::NewConnecting;
use causeway_providers::mcp::McpServer;
use causeway_providers::oauth::ProviderClient;
use causeway_providers::{Kind, Mcp};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::{DatabaseUrl, Store};
use causeway_types::{ClientId, SystemRng, TenantId, UpstreamSessionId};

use super::{find_tenant, operator};
use crate::cli::ConnectOptions;
use crate::progress::ProgressLine;
use crate::{compose, secret_key};

/// How long a provider may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Pause between two looks at the outcome.
const PAUSE: Duration = Duration::from_millis(500);
/// Seconds that a user may take at the provider after the address has ended.
const AT_PROVIDER_SECONDS: i64 = 900;

pub(crate) async fn run(config: &Config, options: ConnectOptions) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = connect(config, &url, &store, options).await;
    store.close().await;
    done
}

/// Prints the address, and waits until the user is back or the time is over.
async fn connect(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
    options: ConnectOptions,
) -> anyhow::Result<()> {
    let ConnectOptions { provider, user, client, tenant } = options;
    let tenant_id = find_tenant(store, tenant).await?;
    let ring = Arc::new(secret_key::load(config, url, store).await?);
    let catalog = compose::providers(config)?;
    if let Some(found) = catalog.find(&provider)
        && let Kind::Mcp(mcp) = &found.definition.kind
    {
        check(config, store, &ring, (&tenant_id, &provider), mcp).await?;
    }
    let wanted = NewConnecting {
        tenant_id: tenant_id.clone(),
        provider: provider.clone(),
        user,
        client_id: ClientId::new(client),
    };
    let begun = operator(store).begin_connecting(&ring, &SystemRng, &catalog, wanted).await?;
    say!("{}/connect/{}", config.issuer(config.listen)?, begun.token.expose());
    eprintln!("Open this address in the browser of the user. A running server does the rest.");
    let (mut line, end) = (ProgressLine::new(), begun.expires_at.plus(AT_PROVIDER_SECONDS));
    let outcome = loop {
        let found = operator(store).connecting_outcome(&tenant_id, &begun.connect_session_id).await?;
        let left = end.since(SystemClock.now());
        if found.is_some() || left <= 0 {
            break found;
        }
        line.count(|| format!("Waiting for the user ({left} s left)"));
        tokio::time::sleep(PAUSE).await;
    };
    line.end();
    let Some(outcome) = outcome else {
        bail!("flow_failed: nobody has finished it in time; run this again for a new address");
    };
    match outcome.connection_id {
        Some(id) => stored(store, &tenant_id, &id, &provider).await,
        None => bail!("{}", advice(&outcome.outcome, &provider)),
    }
}

/// Goes as far as is possible without a user, so that whoever waits learns of a fault at once.
async fn check(
    config: &Config,
    store: &Store,
    ring: &Arc<EncryptionKeyRing>,
    (tenant_id, provider): (&TenantId, &str),
    mcp: &Mcp,
) -> anyhow::Result<()> {
    let ours = config.issuer(config.listen)?;
    let http = compose::outbound(config, &ours)?;
    let client = ProviderClient::new(http, Arc::new(SystemClock), Arc::new(SystemRng), DEADLINE);
    let address = mcp.url.fill(|_| None)?;
    let found = match client.discover_mcp(&address).await {
        Ok(McpServer::Open) => return Ok(()),
        Ok(McpServer::Protected(found)) => found,
        Err(error) => bail!("discovery_failed: {error}"),
    };
    let server = &found.server;
    if server.registration_endpoint.is_some() || server.client_id_metadata_document_supported {
        return Ok(());
    }
    let issuer = server.issuer.trim_end_matches('/');
    match operator(store).find_registration(ring, tenant_id, (provider, issuer)).await? {
        Some(_) => Ok(()),
        None => bail!("{}", advice("client_id_required", provider)),
    }
}

/// Says what was stored.
async fn stored(
    store: &Store,
    tenant_id: &TenantId,
    id: &UpstreamSessionId,
    provider: &str,
) -> anyhow::Result<()> {
    let found = operator(store).find_connection(tenant_id, id).await?;
    let credential = found.as_ref().and_then(|found| found.user_credential());
    let scope = credential.map_or("", |credential| &credential.granted_scope);
    let expires_at = credential.and_then(|credential| credential.expires_at);
    let lives = expires_at.map_or_else(
        || "no known end".to_owned(),
        |end| format!("access token ends in {} s", end.since(SystemClock.now())),
    );
    say!("{id}\t{provider}\tconnected\tscope {scope:?}\t{lives}");
    Ok(())
}

/// The answer to an outcome without a connection.
fn advice(outcome: &str, provider: &str) -> String {
    match outcome {
        "client_id_required" => format!(
            "client_id_required: the authorization server registers no clients; register Causeway there, then run \
             `causeway providers register {provider} --issuer URL --client-id ID`"
        ),
        "registration_failed" => {
            "registration_failed: the authorization server did not register Causeway; its answer is in the log of the server"
                .to_owned()
        }
        "discovery_failed" => format!(
            "discovery_failed: the metadata of the server is missing or invalid; `causeway providers show {provider}` \
             prints its address, the log says what is wrong"
        ),
        "access_denied" => "flow_failed: the user declined".to_owned(),
        other => format!("flow_failed: {other}; the log of the server says more"),
    }
}
