//! Time from start to first response on a new database, and memory when idle.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::http;
use crate::latency::{millis, percentile};
use crate::process;
use crate::report::StartUp;
use crate::server;

/// Number of starts.
const STARTS: u32 = 7;
/// Idle time after which memory is measured.
const IDLE: Duration = Duration::from_millis(500);

/// Starts the server several times, each in a new directory with a new database and new keys.
///
/// # Errors
/// When it does not start or does not answer.
pub(crate) async fn measure(program: &Path, scratch: &Path) -> Result<StartUp> {
    let mut took = Vec::new();
    let mut idle_rss_mb = 0.0_f64;
    for _ in 0..STARTS {
        let directory = tempfile::tempdir_in(scratch)?;
        let began = Instant::now();
        let url = server::sqlite_url(directory.path());
        let server = server::start(program, directory.path(), &url, None)?;
        http::get(&server.address, "/healthz").await?;
        took.push(began.elapsed());
        tokio::time::sleep(IDLE).await;
        idle_rss_mb = idle_rss_mb.max(process::resident_megabytes(server.pid())?);
    }
    took.sort_unstable();
    let at = |permille| percentile(&took, permille).map(millis).context("it was never started");
    Ok(StartUp { starts: STARTS, median_ms: at(500)?, slowest_ms: at(1000)?, idle_rss_mb })
}
