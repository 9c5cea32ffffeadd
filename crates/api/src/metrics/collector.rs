//! This server's own counts as metrics.

use std::fmt;

use causeway_flow::Ctx;
use causeway_flow::operations::deliveries::Outcome;
use causeway_flow::operations::limits::RateLimitedAction;
use causeway_flow::operations::stats::{self, Backlogs, Live};
use causeway_types::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, NO_LABELS, Unit};
use crate::http::measure::{CLASSES, HttpStats, METHODS};

/// The metrics of a server at one scrape: counts in memory, and what was read from the database for it.
#[derive(Debug)]
pub(super) struct ServerCollector {
    ctx: Ctx,
    http: HttpStats,
    live_sessions: Vec<Live>,
    backlogs: Backlogs,
}

impl ServerCollector {
    /// Reads from the database what a scrape needs. The counts in memory are needed most when the database
    /// fails: they come without it then.
    pub(super) async fn read(ctx: Ctx, http: HttpStats) -> Self {
        let live_sessions = stats::live_sessions(&ctx).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "live sessions could not be counted");
            Vec::new()
        });
        let backlogs = stats::backlogs(&ctx).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the delivery backlog could not be counted");
            Backlogs::default()
        });
        Self { ctx, http, live_sessions, backlogs }
    }

    fn requests(&self, families: &mut Families<'_>) -> fmt::Result {
        let routes = self.http.routes();
        let counts = routes.iter().flat_map(|(route, stats)| {
            METHODS.iter().zip(&stats.counts).flat_map(move |(method, counts)| {
                let counted = CLASSES.iter().zip(counts).filter(|(_, count)| count.get() > 0);
                counted.map(move |(class, count)| {
                    ([("route", *route), ("method", *method), ("status", *class)], count.get())
                })
            })
        });
        families.counter("causeway_http_requests", "HTTP requests answered.", counts)?;
        families.histogram(
            "causeway_http_request_duration_seconds",
            "Time from a request's headers to its response's headers.",
            Unit::Seconds,
            routes.iter().map(|(route, stats)| ([("route", *route)], stats.time.read())),
        )
    }

    fn sessions(&self, families: &mut Families<'_>) -> fmt::Result {
        let live = self.live_sessions.iter();
        families.gauge(
            "causeway_sessions",
            "Live upstream sessions, in the whole deployment.",
            live.map(|(kind, state, count)| ([("kind", kind.as_str()), ("state", state.as_str())], *count)),
        )
    }

    fn refreshes(&self, families: &mut Families<'_>) -> fmt::Result {
        let stats = self.ctx.stats();
        let refreshes = stats.refreshes().into_iter();
        families.counter(
            "causeway_upstream_refreshes",
            "Upstream session refreshes.",
            refreshes.map(|(reason, outcome, count)| ([("reason", reason), ("outcome", outcome)], count)),
        )?;
        families.histogram(
            "causeway_upstream_refresh_duration_seconds",
            "Time that an upstream refresh took while its lease was held.",
            Unit::Seconds,
            [(NO_LABELS, stats.refresh_time())],
        )?;
        families.histogram(
            "causeway_lease_wait_seconds",
            "Time spent waiting for another process that refreshed the same session.",
            Unit::Seconds,
            [(NO_LABELS, stats.lease_wait())],
        )?;
        families.counter(
            "causeway_lease_takeovers",
            "Refresh leases that expired because their holder did not release them.",
            [(NO_LABELS, stats.lease_takeovers())],
        )
    }

    /// Rate limits and clean-up.
    fn operations(&self, families: &mut Families<'_>) -> fmt::Result {
        let (stats, limits) = (self.ctx.stats(), self.ctx.limits());
        let actions = RateLimitedAction::ALL.into_iter();
        families.counter(
            "causeway_rate_limited",
            "Requests refused by a rate limit.",
            actions.map(|action| ([("action", action.as_str())], limits.refused(action))),
        )?;
        families.counter("causeway_swept_rows", "Expired rows deleted.", [(NO_LABELS, stats.swept())])?;
        families.counter(
            "causeway_swept_sessions",
            "Sessions ended because they were idle, abandoned or unreachable.",
            [(NO_LABELS, stats.ended_by_sweep())],
        )?;
        if let Some(done_at) = stats.sweep_done_at() {
            families.gauge(
                "causeway_sweep_lag_seconds",
                "Time since a sweep last finished all its work.",
                [(NO_LABELS, self.ctx.now().since(done_at).max(0))],
            )?;
        }
        Ok(())
    }

    /// Deliveries to clients: their number, and each client's backlog.
    fn deliveries(&self, families: &mut Families<'_>) -> fmt::Result {
        let streams = [(NO_LABELS, self.ctx.open_streams())];
        families.gauge("causeway_event_streams", "Open event streams.", streams)?;
        let now = self.ctx.now();
        for (what, queues, backlog) in [
            ("webhook", self.ctx.webhooks(), &self.backlogs.webhooks),
            ("logout_notice", self.ctx.logout_notices(), &self.backlogs.logouts),
        ] {
            let clients = queues.counts();
            let counts = clients.iter().flat_map(|(client, counts)| {
                Outcome::ALL.iter().zip(counts).map(move |(outcome, count)| {
                    ([("client_id", client.as_str()), ("outcome", outcome.as_str())], *count)
                })
            });
            let name = format!("causeway_{what}_requests");
            families.counter(&name, "Delivery requests to clients.", counts)?;
            families.gauge(
                &format!("causeway_{what}_backlog"),
                "Deliveries that clients have not accepted yet, in the whole deployment.",
                backlog.iter().map(|client| ([("client_id", client.client_id.as_str())], client.waiting)),
            )?;
            let age = |oldest_at| now.since(Timestamp(oldest_at)).max(0);
            families.gauge(
                &format!("causeway_{what}_backlog_age_seconds"),
                "Age of the oldest delivery that the client has not accepted yet.",
                backlog
                    .iter()
                    .map(|client| ([("client_id", client.client_id.as_str())], age(client.oldest_at))),
            )?;
        }
        Ok(())
    }

    fn store(&self, families: &mut Families<'_>) -> fmt::Result {
        let stats = self.ctx.store().stats();
        for (name, help, count) in [
            ("causeway_store_writes", "Write transactions requested.", stats.writes),
            ("causeway_store_reads", "Read transactions requested.", stats.reads),
            (
                "causeway_store_commits_lost",
                "Group commits that failed as a whole (SQLite).",
                stats.lost_batches,
            ),
            (
                "causeway_store_retries",
                "Retries of a group commit (SQLite) or of a transaction (PostgreSQL).",
                stats.retries,
            ),
            (
                "causeway_store_timeouts",
                "Transactions abandoned because the database did not respond in time.",
                stats.timeouts,
            ),
        ] {
            families.counter(name, help, [(NO_LABELS, count)])?;
        }
        families.gauge(
            "causeway_store_queue_depth",
            "Write transactions waiting for the writer (SQLite).",
            [(NO_LABELS, stats.queue_depth)],
        )?;
        families.histogram(
            "causeway_store_batch_size",
            "Write transactions in one group commit (SQLite).",
            Unit::Sizes,
            [(NO_LABELS, self.ctx.store().batch_sizes())],
        )
    }

    fn upstream(&self, families: &mut Families<'_>) -> fmt::Result {
        let stats = self.ctx.upstream_stats();
        families.counter(
            "causeway_upstream_requests",
            "Requests to upstream and other external servers.",
            stats.outcomes.into_iter().map(|(outcome, count)| ([("outcome", outcome)], count)),
        )?;
        families.histogram(
            "causeway_upstream_request_duration_seconds",
            "Time from a request to an external server to the headers of its response.",
            Unit::Seconds,
            [(NO_LABELS, stats.time)],
        )
    }
}

impl Collector for ServerCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families::new(encoder);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        families.info("causeway_build", "Version of the running server.", &version)?;
        self.requests(&mut families)?;
        self.sessions(&mut families)?;
        self.refreshes(&mut families)?;
        self.operations(&mut families)?;
        self.deliveries(&mut families)?;
        self.store(&mut families)?;
        self.upstream(&mut families)
    }
}
