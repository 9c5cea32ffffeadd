//! `causeway serve`: bind, compose, serve, stop.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context as _;
use causeway_api::ApiConfig;
use causeway_config::{Config, ExternalUrl};
use causeway_flow::{Ctx, maintenance, register};
use causeway_store::DatabaseUrl;
use tokio::signal::unix::{SignalKind, signal};

use crate::compose;

/// How often expired rows are looked for, and sessions that are still to be revoked upstream.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(30);

pub(crate) async fn serve(config: &Config) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen)
        .with_context(|| format!("listen (CAUSEWAY_LISTEN): cannot bind {}", config.listen))?;
    let bound = listener.local_addr().context("the bound address")?;
    let issuer = config.issuer(bound)?;
    let url = compose::database_url(config)?;
    let store = compose::open_store(&url).await?;
    let ctx = compose::context(config, &issuer, &url, store.clone()).await?;
    let page_origin = compose::page_origin(&issuer);
    let demo = if config.demo_enabled() {
        Some(register::ensure_demo_client(&ctx, &format!("{page_origin}/")).await?)
    } else {
        None
    };
    let api = ApiConfig {
        page_origin: page_origin.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        demo,
        workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
    };
    let server = causeway_api::serve(listener, ctx.clone(), api).context("the HTTP server")?;
    tracing::info!(%issuer, %bound, database = %url, "listening");
    announce(config, &issuer, &url, &page_origin);
    let maintenance = tokio::spawn(maintain(ctx));
    let handle = server.handle();
    let mut serving = tokio::spawn(server);
    tokio::select! {
        ended = &mut serving => ended.context("the HTTP server")?.context("the HTTP server")?,
        () = stop_signal()? => {
            tracing::info!("stopping: requests under way are finished first");
            handle.stop(true).await;
            serving.await.context("the HTTP server")?.context("the HTTP server")?;
        }
    }
    maintenance.abort();
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Sweeps and revokes as long as the server runs; a failure waits for the next round.
async fn maintain(ctx: Ctx) {
    let mut ticks = tokio::time::interval(MAINTENANCE_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = maintenance::run(&ctx).await {
            tracing::warn!(%error, "maintenance is put off");
        }
    }
}

/// One block on standard output: where, on what, as what, and what to do next.
fn announce(config: &Config, issuer: &ExternalUrl, url: &DatabaseUrl, page_origin: &str) {
    let database = match url {
        DatabaseUrl::Sqlite { .. } => "embedded, migrated",
        DatabaseUrl::Postgres(_) => "shared",
    };
    let mode = if issuer.is_https() {
        "confidential client: people's servers verify our published key"
    } else {
        "loopback: people's servers see the atproto loopback client; their sessions end after two weeks"
    };
    let next = if config.demo_enabled() {
        format!("open {page_origin}/ and sign in with any handle")
    } else {
        format!("point an OAuth client at {issuer}")
    };
    let dev = if config.dev_mode {
        "\n  Warning    dev mode: http and private addresses are allowed upstream"
    } else {
        ""
    };
    println!(
        "\nCauseway {} is running.\n\n  Address    {issuer}\n  Database   {url} ({database})\n  Mode       {mode}{dev}\n  Next       {next}\n",
        env!("CARGO_PKG_VERSION")
    );
}
