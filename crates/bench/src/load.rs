//! The load generator: keep-alive connections on one thread, each with one request in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::Connection;
use crate::latency::{millis, percentile};
use crate::process::{self, Running};
use crate::report::{Kind, Row};

/// Time that is not measured: connections are opened, caches fill, code is paged in.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// Source of the requests of one connection.
pub(crate) trait Traffic: Send {
    /// Writes the next request into an empty buffer; `false` when there is none left, which ends the
    /// measurement.
    fn write_next(&mut self, request: &mut Vec<u8>) -> bool;

    /// Handles a successful response.
    ///
    /// # Errors
    /// When the next request cannot be made from it.
    fn answered(&mut self, _body: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Loads servers, one connection for each traffic, and measures them together for `span` after the warm-up. The
/// connections go to the servers [in turn](server_of).
///
/// # Errors
/// When a connection breaks, or any answer is neither 2xx nor 3xx.
pub(crate) async fn run(
    name: &str,
    kind: Kind,
    servers: &[Running],
    traffic: Vec<Box<dyn Traffic>>,
    span: Duration,
) -> Result<Row> {
    let stop = Arc::new(Stop::default());
    let mut connections = Vec::new();
    for (number, traffic) in traffic.into_iter().enumerate() {
        let connection = Connection::open(&server_of(servers, number)?.address).await?;
        connections.push(tokio::spawn(drive(connection, traffic, Arc::clone(&stop))));
    }
    let warm = Instant::now() + WARM_UP;
    stop.or_at(warm).await;
    let before = Moment::now(servers)?;
    stop.or_at(warm + span).await;
    let after = Moment::now(servers)?;
    stop.set();

    let mut log = Log::default();
    for connection in connections {
        log.add(connection.await.context("a connection")??);
    }
    if let Some(first) = log.first_failure {
        bail!("{name}: {} requests failed, the first one with {first}", log.failures);
    }
    let counts = |sample: &Sample| sample.ended > before.at && sample.ended <= after.at;
    let mut latencies: Vec<_> = log.samples.into_iter().filter(counts).map(|sample| sample.latency).collect();
    latencies.sort_unstable();
    ensure!(!latencies.is_empty(), "{name}: nothing was answered after the warm-up");
    let count = u32::try_from(latencies.len()).context("more than 4 billion requests")?;
    let cpu_us = |before: Duration, after: Duration| {
        Some(after.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(count))
    };
    let rss_mb =
        servers.iter().map(|server| process::resident_megabytes(server.pid())).sum::<Result<f64>>()?;
    Ok(Row {
        name: name.to_owned(),
        kind,
        count: count.into(),
        per_second: f64::from(count) / (after.at - before.at).as_secs_f64(),
        p50_ms: percentile(&latencies, 500).map(millis),
        p95_ms: percentile(&latencies, 950).map(millis),
        p99_ms: percentile(&latencies, 990).map(millis),
        max_ms: percentile(&latencies, 1000).map(millis),
        cpu_us: cpu_us(before.server_cpu, after.server_cpu),
        load_cpu_us: cpu_us(before.own_cpu, after.own_cpu),
        database_cpu_us: cpu_us(before.database_cpu, after.database_cpu).filter(|cpu| *cpu > 0.0),
        rss_mb: Some(rss_mb),
        share: None,
    })
}

/// The server that a connection goes to.
///
/// # Errors
/// When there is none.
pub(crate) fn server_of(servers: &[Running], connection: usize) -> Result<&Running> {
    let number = connection.checked_rem(servers.len());
    number.and_then(|number| servers.get(number)).context("no server")
}

/// Sends requests until it is stopped.
async fn drive(mut connection: Connection, mut traffic: Box<dyn Traffic>, stop: Arc<Stop>) -> Result<Log> {
    let mut log = Log::default();
    let mut request = Vec::with_capacity(2048);
    while !stop.is_set() {
        request.clear();
        if !traffic.write_next(&mut request) {
            stop.set();
            break;
        }
        let began = Instant::now();
        let response = connection.exchange(&request).await?;
        let ended = Instant::now();
        if response.is_good() {
            log.samples.push(Sample { ended, latency: ended - began });
            traffic.answered(response.body)?;
        } else {
            log.failures += 1;
            log.first_failure.get_or_insert_with(|| response.describe());
        }
    }
    Ok(log)
}

struct Sample {
    ended: Instant,
    latency: Duration,
}

/// Results of one connection, or of all of them.
#[derive(Default)]
struct Log {
    samples: Vec<Sample>,
    failures: u64,
    first_failure: Option<String>,
}

impl Log {
    fn add(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.failures += other.failures;
        if self.first_failure.is_none() {
            self.first_failure = other.first_failure;
        }
    }
}

/// A point in time, and the CPU time used up to it.
struct Moment {
    at: Instant,
    server_cpu: Duration,
    own_cpu: Duration,
    database_cpu: Duration,
}

impl Moment {
    fn now(servers: &[Running]) -> Result<Self> {
        let of = |server: &Running| process::cpu_time(server.pid());
        Ok(Self {
            at: Instant::now(),
            server_cpu: servers.iter().map(of).sum::<Result<_>>()?,
            own_cpu: process::cpu_time(std::process::id())?,
            database_cpu: process::cpu_time_of_all("postgres")?,
        })
    }
}

/// Signal to stop, set when the time is up or a traffic has run out of requests.
#[derive(Default)]
struct Stop {
    set: AtomicBool,
    changed: Notify,
}

impl Stop {
    fn set(&self) {
        self.set.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// Waits until `deadline`, or until the signal if that comes first.
    async fn or_at(&self, deadline: Instant) {
        if !self.is_set() {
            let _ = tokio::time::timeout_at(deadline, self.changed.notified()).await;
        }
    }
}
