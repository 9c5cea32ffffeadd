//! Report of all measurements, as written to a file and read again.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The version of Causeway.
    pub(crate) version: String,
    /// When the run began, in seconds since 1970.
    pub(crate) unix_time: i64,
    /// The machine.
    pub(crate) machine: Machine,
    /// `sqlite` or `postgres`.
    pub(crate) database: String,
    /// Duration of the measurement of each row, in seconds.
    pub(crate) seconds: u64,
    /// Concurrent connections.
    pub(crate) connections: u16,
    /// Start-up times.
    pub(crate) start_up: Option<StartUp>,
    /// Measurements under load, calibrations first.
    pub(crate) rows: Vec<Row>,
    /// Goals and whether they are met.
    pub(crate) goals: Vec<Goal>,
}

impl Report {
    /// Reads the report of an earlier run.
    ///
    /// # Errors
    /// When the file is missing or is not a report.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not from this benchmark", path.display()))
    }

    /// The row of this name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

/// Purpose of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Capability of the machine.
    Calibration,
    /// Performance of the server.
    Endpoint,
}

/// Measurement of one thing under load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its name, the same in every run.
    pub(crate) name: String,
    /// Its purpose.
    pub(crate) kind: Kind,
    /// Number of requests or rows.
    pub(crate) count: u64,
    /// The same per second.
    pub(crate) per_second: f64,
    /// Latency that half of the requests stay below, in milliseconds.
    pub(crate) p50_ms: Option<f64>,
    /// Latency that 95 of 100 requests stay below, in milliseconds.
    pub(crate) p95_ms: Option<f64>,
    /// Latency that 99 of 100 requests stay below, in milliseconds.
    pub(crate) p99_ms: Option<f64>,
    /// The longest latency, in milliseconds.
    pub(crate) max_ms: Option<f64>,
    /// CPU time of the server for each request, in microseconds.
    pub(crate) cpu_us: Option<f64>,
    /// CPU time of the load generator for each request, in microseconds.
    pub(crate) load_cpu_us: Option<f64>,
    /// CPU time of a database server on this machine for each request, in microseconds.
    #[serde(default)]
    pub(crate) database_cpu_us: Option<f64>,
    /// Resident memory of the server at the end, in megabytes.
    pub(crate) rss_mb: Option<f64>,
    /// The rate as a fraction of that of durable rows in commits of 32, measured right before and after.
    pub(crate) share: Option<f64>,
}

/// From the start of the process to its first answer, on a new database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StartUp {
    /// Number of starts.
    pub(crate) starts: u32,
    /// The median, in milliseconds.
    pub(crate) median_ms: f64,
    /// The slowest, in milliseconds.
    pub(crate) slowest_ms: f64,
    /// The maximum resident memory when idle, in megabytes.
    pub(crate) idle_rss_mb: f64,
}

/// A goal, and whether it was met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Goal {
    /// Quantity that is compared.
    pub(crate) what: String,
    /// The measured value.
    pub(crate) value: f64,
    /// The limit.
    pub(crate) bound: f64,
    /// Whether `bound` is a minimum; otherwise a maximum.
    pub(crate) at_least: bool,
    /// Whether the goal is met.
    pub(crate) met: bool,
}

impl Goal {
    /// A quantity with a minimum.
    pub(crate) fn at_least(what: String, value: f64, bound: f64) -> Self {
        Self { what, value, bound, at_least: true, met: value >= bound }
    }

    /// A quantity that has to stay below a maximum.
    pub(crate) fn below(what: String, value: f64, bound: f64) -> Self {
        Self { what, value, bound, at_least: false, met: value < bound }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of an endpoint with this rate.
    pub(crate) fn row(name: &str, per_second: f64) -> Row {
        Row {
            name: name.to_owned(),
            kind: Kind::Endpoint,
            count: 10,
            per_second,
            p50_ms: Some(1.0),
            p95_ms: Some(1.5),
            p99_ms: Some(2.0),
            max_ms: Some(3.0),
            cpu_us: Some(40.0),
            load_cpu_us: Some(5.0),
            database_cpu_us: None,
            rss_mb: Some(20.0),
            share: None,
        }
    }

    /// A report of these rows.
    pub(crate) fn report(rows: Vec<Row>) -> Report {
        Report {
            version: "0.0.0".to_owned(),
            unix_time: 0,
            machine: Machine {
                cores: 2,
                processor: "<fast> & cheap".to_owned(),
                kernel: "6.0".to_owned(),
                file_system: "ext4".to_owned(),
            },
            database: "sqlite".to_owned(),
            seconds: 5,
            connections: 32,
            start_up: Some(StartUp { starts: 3, median_ms: 30.0, slowest_ms: 120.0, idle_rss_mb: 20.0 }),
            rows,
            goals: Vec::new(),
        }
    }

    #[test]
    fn a_report_survives_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let written = report(vec![row("par", 123.0)]);
        fs::write(file.path(), serde_json::to_string(&written).unwrap()).unwrap();
        let read = Report::read(file.path()).unwrap();
        assert!((read.row("par").unwrap().per_second - 123.0).abs() < 1e-9);
        fs::write(file.path(), "{}").unwrap();
        assert!(Report::read(file.path()).is_err());
    }
}
