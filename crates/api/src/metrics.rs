//! `GET /metrics`, on an address of its own, for Prometheus (text format 0.0.4).

mod text;

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, get, resource};
use actix_web::{App, HttpResponse, HttpServer};
use causeway_domain::Timestamp;
use causeway_flow::Ctx;
use causeway_flow::operations::deliveries::Outcome;
use causeway_flow::operations::limits::RateLimitedAction;
use causeway_flow::operations::stats;

use self::text::{Exposition, Kind};
use crate::http::measure::{CLASSES, HttpStats, METHODS};

struct Watched {
    ctx: Ctx,
    http: HttpStats,
}

/// Serves the metrics of a server on a bound listener until the returned server is stopped.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_metrics(listener: TcpListener, ctx: Ctx, http: HttpStats) -> std::io::Result<Server> {
    let watched = Data::new(Watched { ctx, http });
    let server = HttpServer::new(move || {
        App::new().app_data(watched.clone()).service(resource("/metrics").route(get().to(scrape)))
    });
    Ok(server.workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

async fn scrape(watched: Data<Watched>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(expose(&watched).await)
}

async fn expose(watched: &Watched) -> String {
    let mut out = Exposition::default();
    out.family("causeway_build_info", Kind::Gauge, "The version that runs.");
    out.sample("causeway_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    requests(&mut out, &watched.http);
    sessions(&mut out, &watched.ctx).await;
    refreshes(&mut out, &watched.ctx);
    deliveries(&mut out, &watched.ctx).await;
    store(&mut out, &watched.ctx);
    upstream(&mut out, &watched.ctx);
    out.into_string()
}

fn requests(out: &mut Exposition, http: &HttpStats) {
    let routes = http.routes();
    let name = "causeway_http_requests_total";
    out.family(name, Kind::Counter, "Requests that were answered.");
    for (route, stats) in &routes {
        for (method, counts) in METHODS.iter().zip(&stats.counts) {
            for (class, count) in CLASSES.iter().zip(counts) {
                if count.get() > 0 {
                    out.sample(name, &[("route", route), ("method", method), ("status", class)], count.get());
                }
            }
        }
    }
    let name = "causeway_http_request_duration_seconds";
    out.family(name, Kind::Histogram, "Time from a request's head to its answer's.");
    for (route, stats) in &routes {
        out.seconds(name, &[("route", route)], &stats.time.read());
    }
}

async fn sessions(out: &mut Exposition, ctx: &Ctx) {
    let name = "causeway_sessions";
    out.family(name, Kind::Gauge, "Live sessions at people's servers, in the whole deployment.");
    match stats::live_sessions(ctx).await {
        Ok(live) => {
            for (kind, state, count) in live {
                let labels = [("kind", kind.as_str()), ("state", state.as_str())];
                out.sample(name, &labels, u64::try_from(count).unwrap_or_default());
            }
        }
        // The other metrics are in memory, and most useful just when the database fails.
        Err(error) => tracing::warn!(%error, "live sessions cannot be counted"),
    }
}

fn refreshes(out: &mut Exposition, ctx: &Ctx) {
    let stats = ctx.stats();
    let name = "causeway_upstream_refreshes_total";
    out.family(name, Kind::Counter, "Refreshes at people's servers.");
    for (reason, outcome, count) in stats.refreshes() {
        out.sample(name, &[("reason", reason), ("outcome", outcome)], count);
    }
    let name = "causeway_upstream_refresh_duration_seconds";
    out.family(name, Kind::Histogram, "Time that a refresh took under its lease.");
    out.seconds(name, &[], &stats.refresh_time());
    let name = "causeway_lease_wait_seconds";
    out.family(name, Kind::Histogram, "Time waited for another process that refreshed the same session.");
    out.seconds(name, &[], &stats.lease_wait());
    let name = "causeway_lease_takeovers_total";
    out.family(name, Kind::Counter, "Leases that ran out because whoever refreshed never gave them back.");
    out.sample(name, &[], stats.lease_takeovers());
    let name = "causeway_rate_limited_total";
    out.family(name, Kind::Counter, "Requests that were refused by a rate limit.");
    for action in RateLimitedAction::ALL {
        out.sample(name, &[("action", action.as_str())], ctx.limits().refused(action));
    }
    let name = "causeway_swept_rows_total";
    out.family(name, Kind::Counter, "Expired rows that were deleted.");
    out.sample(name, &[], stats.swept());
    let name = "causeway_swept_sessions_total";
    out.family(
        name,
        Kind::Counter,
        "Sessions that were ended because they were idle, abandoned or out of reach.",
    );
    out.sample(name, &[], stats.ended_by_sweep());
    if let Some(done_at) = stats.sweep_done_at() {
        let name = "causeway_sweep_lag_seconds";
        out.family(name, Kind::Gauge, "Time since a sweep left nothing over.");
        out.sample(name, &[], u64::try_from(ctx.now().since(done_at)).unwrap_or_default());
    }
}

/// Deliveries to clients: how many there were, and the backlog of each client.
async fn deliveries(out: &mut Exposition, ctx: &Ctx) {
    let name = "causeway_event_streams";
    out.family(name, Kind::Gauge, "Streams of events that are open.");
    out.sample(name, &[], ctx.open_streams());
    let backlogs = stats::backlogs(ctx).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "what waits for clients cannot be counted");
        stats::Backlogs::default()
    });
    let now = ctx.now();
    for (what, queues, backlog) in [
        ("webhook", ctx.webhooks(), backlogs.webhooks),
        ("logout_notice", ctx.logout_notices(), backlogs.logouts),
    ] {
        let name = format!("causeway_{what}_requests_total");
        out.family(&name, Kind::Counter, "Requests to clients.");
        for (client, counts) in queues.counts() {
            for (outcome, count) in Outcome::ALL.iter().zip(counts) {
                out.sample(&name, &[("client_id", &client), ("outcome", outcome.as_str())], count);
            }
        }
        let name = format!("causeway_{what}_backlog");
        out.family(&name, Kind::Gauge, "Requests that clients have not taken yet, in the whole deployment.");
        for client in &backlog {
            out.sample(&name, &[("client_id", &client.client_id)], client.waiting);
        }
        let name = format!("causeway_{what}_backlog_age_seconds");
        out.family(&name, Kind::Gauge, "Time since the oldest of them was written.");
        for client in &backlog {
            let age = now.since(Timestamp(client.oldest_at)).max(0);
            out.sample(&name, &[("client_id", &client.client_id)], age);
        }
    }
}

fn store(out: &mut Exposition, ctx: &Ctx) {
    let stats = ctx.store().stats();
    for (name, help, count) in [
        ("causeway_store_writes_total", "Write transactions that were asked for.", stats.writes),
        ("causeway_store_reads_total", "Read transactions that were asked for.", stats.reads),
        (
            "causeway_store_commits_lost_total",
            "SQLite: commits that were lost as a whole.",
            stats.lost_batches,
        ),
        (
            "causeway_store_retries_total",
            "SQLite: commits, PostgreSQL: transactions that were run again.",
            stats.retries,
        ),
        (
            "causeway_store_timeouts_total",
            "Transactions that were given up because the database did not answer in time.",
            stats.timeouts,
        ),
    ] {
        out.family(name, Kind::Counter, help);
        out.sample(name, &[], count);
    }
    let name = "causeway_store_queue_depth";
    out.family(name, Kind::Gauge, "SQLite: write transactions that wait for the writer.");
    out.sample(name, &[], stats.queue_depth);
    let name = "causeway_store_batch_size";
    out.family(name, Kind::Histogram, "SQLite: write transactions in one commit.");
    out.sizes(name, &[], &ctx.store().batch_sizes());
}

fn upstream(out: &mut Exposition, ctx: &Ctx) {
    let stats = ctx.upstream_stats();
    let name = "causeway_upstream_requests_total";
    out.family(name, Kind::Counter, "Requests to other servers.");
    for (outcome, count) in stats.outcomes {
        out.sample(name, &[("outcome", outcome)], count);
    }
    let name = "causeway_upstream_request_duration_seconds";
    out.family(name, Kind::Histogram, "Time from a request to another server to the head of its answer.");
    out.seconds(name, &[], &stats.time);
}
