//! Outcome and duration of each part of a run.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Outcome of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// With the reason.
    Failed(String),
    /// With what is missing: a partial green run must not look complete.
    Skipped(String),
}

struct Row {
    name: &'static str,
    time: Duration,
    outcome: Outcome,
}

/// The parts of a run, in order.
pub(super) struct Report {
    start: Instant,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn begin() -> Self {
        Self { start: Instant::now(), rows: Vec::new() }
    }

    /// Prints what is running, runs it, and records the outcome.
    pub(super) fn run(
        &mut self,
        name: &'static str,
        about: &str,
        part: impl FnOnce() -> Result<Outcome>,
    ) -> Result<()> {
        eprintln!("\n==> [{}] {name}: {about}", clock(self.start.elapsed()));
        let start = Instant::now();
        let outcome = part();
        let outcome_or_error = match &outcome {
            Ok(outcome) => outcome.clone(),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        self.rows.push(Row { name, time: start.elapsed(), outcome: outcome_or_error });
        outcome.map(drop)
    }

    /// Records a part that does not run.
    pub(super) fn skip(&mut self, name: &'static str, reason: impl Into<String>) {
        let outcome = Outcome::Skipped(reason.into());
        eprintln!("\n*** SKIPPED {name}: {}\n", words(&outcome));
        self.rows.push(Row { name, time: Duration::ZERO, outcome });
    }

    pub(super) fn has_failures(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.outcome, Outcome::Failed(_)))
    }

    pub(super) fn print(&self) {
        eprint!("\n{}", self.table());
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        let mut table = String::new();
        for Row { name, time, outcome } in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{name:width$}  {:>6}  {}", clock(*time), words(outcome));
        }
        table
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(why) => format!("FAILED: {why}"),
        Outcome::Skipped(why) => format!("SKIPPED: {why}"),
    }
}

/// Formats minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::bail;

    use super::{Outcome, Report, Row, clock};

    #[test]
    fn every_part_is_in_the_table() {
        let mut report = Report::begin();
        report.run("one", "", || Ok(Outcome::Passed)).unwrap();
        report.skip("the second", "nothing to run it with");
        assert!(!report.has_failures());
        assert!(report.run("three", "", || bail!("it broke")).is_err());
        report.rows.push(Row { name: "four", time: Duration::from_secs(75), outcome: Outcome::Passed });
        assert_eq!(
            report.table(),
            "one           0:00  passed\n\
             the second    0:00  SKIPPED: nothing to run it with\n\
             three         0:00  FAILED: it broke\n\
             four          1:15  passed\n"
        );
        assert!(report.has_failures());
    }

    #[test]
    fn times_are_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_secs(605)), "10:05");
    }
}
