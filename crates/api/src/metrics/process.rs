//! Metrics that Linux has about this process.

use std::fmt;

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo as _};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, NO_LABELS};

/// The metrics of a process that client libraries of Prometheus have in common
/// (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).
#[derive(Debug)]
pub(super) struct ProcessCollector;

/// Their values at one moment.
struct Values {
    cpu_seconds: f64,
    start_time_seconds: f64,
    virtual_memory_bytes: u64,
    resident_memory_bytes: u64,
    threads: i64,
    open_fds: u64,
    /// `None`: there is no maximum.
    max_fds: Option<u64>,
}

impl Values {
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        Ok(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            start_time_seconds: procfs::boot_time_secs()? as f64 + seconds(stat.starttime),
            virtual_memory_bytes: stat.vsize,
            resident_memory_bytes: stat.rss_bytes().get(),
            threads: stat.num_threads,
            open_fds: process.fd_count()? as u64,
            max_fds: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(max) => Some(max),
                LimitValue::Unlimited => None,
            },
        })
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        match Values::read() {
            Ok(values) => expose(&values, &mut Families::new(encoder)),
            Err(error) => {
                tracing::warn!(%error, "the metrics of the process could not be read");
                Ok(())
            }
        }
    }
}

fn expose(values: &Values, families: &mut Families<'_>) -> fmt::Result {
    families.counter(
        "process_cpu_seconds",
        "Total user and system CPU time spent in seconds.",
        [(NO_LABELS, values.cpu_seconds)],
    )?;
    families.gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        [(NO_LABELS, values.start_time_seconds)],
    )?;
    families.gauge(
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
        [(NO_LABELS, values.virtual_memory_bytes)],
    )?;
    families.gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        [(NO_LABELS, values.resident_memory_bytes)],
    )?;
    families.gauge(
        "process_threads",
        "Number of OS threads in the process.",
        [(NO_LABELS, values.threads)],
    )?;
    families.gauge("process_open_fds", "Number of open file descriptors.", [(NO_LABELS, values.open_fds)])?;
    let max_fds = values.max_fds.map(|max| (NO_LABELS, max));
    families.gauge("process_max_fds", "Maximum number of open file descriptors.", max_fds)
}
