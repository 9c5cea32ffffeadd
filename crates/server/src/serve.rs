//! `causeway serve`: bind, compose, serve, stop.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;
use causeway_api::{ApiConfig, HttpStats};
use causeway_config::{Config, ExternalUrl};
use causeway_flow::Ctx;
use causeway_flow::client::registration::create;
use causeway_flow::logout::backchannel;
use causeway_flow::operations::events;
use causeway_flow::operations::issuer_keys;
use causeway_flow::operations::node;
use causeway_flow::operations::sweep;
use causeway_flow::upstream::keeper::keep_alive;
use causeway_flow::upstream::revocation;
use causeway_store::DatabaseUrl;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::logging::{Logging, Sampler, sampling};
use crate::reread::{Load, reread};
use crate::signals::{OperatorSignal, Signals};
use crate::{compose, secret_key};

/// How long background work may take to finish when the server stops.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(45);
/// Interval of periodic maintenance: sweep, upstream revocations, logout notices, background sessions.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(30);
/// Interval at which webhook deliveries are looked up.
const DELIVERY_PERIOD: Duration = Duration::from_secs(1);

/// Serves until a signal stops it. `load` reads the configuration again.
///
/// # Errors
/// When it cannot start, or the HTTP server fails.
pub(crate) async fn serve(config: &Config, load: Load<'_>, logging: &Logging) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let listener = TcpListener::bind(config.listen)
        .with_context(|| format!("listen (CAUSEWAY_LISTEN): cannot bind {}", config.listen))?;
    let bound = listener.local_addr().context("the bound address")?;
    let issuer = config.issuer(bound)?;
    let url = compose::database_url(config)?;
    let _only_server = compose::claim_database(&url, bound).await?;
    let store = compose::open_served_store(config, &url).await?;
    let ctx = compose::context(config, &issuer, &url, store.clone()).await?;
    node::join(&ctx).await?;
    let heart = tokio::spawn(beat(ctx.clone()));
    let demo = if config.demo_enabled() {
        Some(create::ensure_demo_client(&ctx, &format!("{issuer}/")).await?)
    } else {
        None
    };
    let api = ApiConfig {
        page_origin: compose::page_origin(&issuer),
        trusted_proxies: config.trusted_proxies.clone(),
        demo,
        keep_alive: Duration::from_secs(config.keep_alive_seconds.into()),
        workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        admin_token: compose::admin_token(config)?,
        stats: config.metrics_listen.map(|_| HttpStats::default()),
    };
    let metrics = watch(config, &ctx, api.stats.as_ref())?;
    let server = causeway_api::serve(listener, ctx.clone(), api).context("the HTTP server")?;
    tracing::info!(%issuer, %bound, database = %url, "listening");
    for path in secret_key::exposed(config, &url) {
        let path = path.display();
        tracing::warn!(%path, "every user of this machine can read or change this secrets file: run chmod o= on it");
    }
    announce(config, &issuer, &url);
    let upkeep = [
        tokio::spawn(sweep(ctx.clone())),
        tokio::spawn(revoke(ctx.clone())),
        tokio::spawn(deliver_logouts(ctx.clone())),
        tokio::spawn(keep_alive_due(ctx.clone())),
        tokio::spawn(warm(ctx.clone())),
        tokio::spawn(deliver_webhooks(ctx.clone())),
        tokio::spawn(report(logging.sampler.clone())),
    ];
    let handle = server.handle();
    let mut serving = tokio::spawn(server);
    loop {
        tokio::select! {
            ended = &mut serving => {
                ended.context("the HTTP server")?.context("the HTTP server")?;
                break;
            }
            signal = signals.next() => match signal {
                OperatorSignal::Reread => reread(load, logging, &ctx, &url).await,
                OperatorSignal::Stop => {
                    drain(&ctx, config.drain_seconds, &mut signals).await;
                    tracing::info!("stopping: finishing the requests in progress");
                    ctx.lifecycle().stop();
                    handle.stop(true).await;
                    serving.await.context("the HTTP server")?.context("the HTTP server")?;
                    break;
                }
            },
        }
    }
    ctx.lifecycle().stop();
    if let Some((handle, task)) = metrics {
        handle.stop(false).await;
        task.abort();
    }
    for task in upkeep {
        task.abort();
    }
    // Answers from authorization servers are still being stored.
    if tokio::time::timeout(SETTLE_TIMEOUT, ctx.settle()).await.is_err() {
        tracing::error!("some work did not finish in time");
    }
    heart.abort();
    if let Err(error) = node::leave(&ctx).await {
        tracing::warn!(%error, "the other servers will notice the stop only by the missing heartbeat");
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Serves the metrics at a separate address, if configured.
fn watch(
    config: &Config,
    ctx: &Ctx,
    stats: Option<&HttpStats>,
) -> anyhow::Result<Option<(ServerHandle, JoinHandle<std::io::Result<()>>)>> {
    let (Some(address), Some(stats)) = (config.metrics_listen, stats) else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .with_context(|| format!("metrics-listen (CAUSEWAY_METRICS_LISTEN): cannot bind {address}"))?;
    let metrics_bound = listener.local_addr().context("the bound address")?;
    let server = causeway_api::serve_metrics(listener, ctx.clone(), stats.clone()).context("the metrics")?;
    tracing::info!(%metrics_bound, "metrics at /metrics");
    Ok(Some((server.handle(), tokio::spawn(server))))
}

/// Gives load balancers time to notice that this server is about to stop; a second signal ends the wait.
async fn drain(ctx: &Ctx, seconds: u32, signals: &mut Signals) {
    if seconds == 0 {
        return;
    }
    tracing::info!(seconds, "draining: /readyz answers 503, and everything else is still served");
    ctx.lifecycle().drain();
    let _ = tokio::time::timeout(Duration::from_secs(seconds.into()), signals.stop()).await;
}

/// Reports omitted log lines while the server runs.
async fn report(sampler: Sampler) {
    let mut ticks = interval(sampling::PERIOD);
    loop {
        ticks.tick().await;
        sampler.report();
    }
}

/// Generates the signing keys of a new deployment in the background; the first requests do not wait for them.
async fn warm(ctx: Ctx) {
    if let Err(error) = issuer_keys::ensure(&ctx).await {
        tracing::warn!(%error, "the signing keys could not be created yet: they are created when first needed");
    }
}

/// Sends heartbeats to the database while the server runs, which show the other servers that it is alive.
async fn beat(ctx: Ctx) {
    let mut ticks = interval(node::BEAT_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = node::beat(&ctx).await {
            tracing::warn!(%error, "the heartbeat of this server was not written");
        }
    }
}

/// Deletes expired rows while the server runs; after a failure the next round tries again.
async fn sweep(ctx: Ctx) {
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        if let Err(error) = sweep::sweep_all(&ctx).await {
            tracing::warn!(%error, "the sweep is postponed");
        }
    }
}

/// Revokes ended sessions upstream while the server runs. Separate from the sweep, since it waits for PDSes'
/// authorization servers.
async fn revoke(ctx: Ctx) {
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        if let Err(error) = revocation::revoke_due(&ctx).await {
            tracing::warn!(%error, "upstream revocations are postponed");
        }
    }
}

/// Delivers back-channel logout tokens while the server runs: retries, and those for sessions ended on the
/// command line.
async fn deliver_logouts(ctx: Ctx) {
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        if let Err(error) = backchannel::start_due(&ctx).await {
            tracing::warn!(%error, "logout notices are postponed");
        }
    }
}

/// Refreshes idle background sessions while the server runs, beginning with those that became due while it
/// was stopped.
async fn keep_alive_due(ctx: Ctx) {
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        if let Err(error) = keep_alive::refresh_due_sessions(&ctx).await {
            tracing::warn!(%error, "refreshing background sessions is postponed");
        }
    }
}

/// Delivers webhooks while the server runs.
async fn deliver_webhooks(ctx: Ctx) {
    let mut ticks = interval(DELIVERY_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = events::start_due(&ctx).await {
            tracing::warn!(%error, "webhooks are postponed");
        }
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(MAINTENANCE_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Prints one block on standard output: address, database, mode, and what to do next.
fn announce(config: &Config, issuer: &ExternalUrl, url: &DatabaseUrl) {
    let database = match url {
        DatabaseUrl::Sqlite { .. } => "embedded, migrated",
        DatabaseUrl::Postgres(_) => "shared",
    };
    let mode = if issuer.is_https() {
        "confidential client: authorization servers verify our published key"
    } else {
        "loopback: the atproto loopback client, whose sessions end after two weeks"
    };
    let next = if config.demo_enabled() {
        format!("open {issuer}/ and sign in with any handle")
    } else {
        format!("point an OAuth client at {issuer}")
    };
    let dev = if config.dev_mode {
        "\n  Warning    dev mode: http and private addresses are allowed upstream"
    } else {
        ""
    };
    // A failed write is ignored: the log does not go here.
    let _ = writeln!(
        std::io::stdout(),
        "\nCauseway {} is running.\n\n  Address    {issuer}\n  Database   {url} ({database})\n  Mode       {mode}{dev}\n  Next       {next}\n",
        env!("CARGO_PKG_VERSION")
    );
}
