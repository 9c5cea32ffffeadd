//! The table on the terminal.

use std::fmt::Write as _;

use crate::report::{Goal, Report};

/// The report as text.
pub(crate) fn render(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "\nCauseway {} on {} ({}), {} connections, {} s a row; {} cores ({}), Linux {}\n\n",
        report.version,
        report.database,
        machine.file_system,
        report.connections,
        report.seconds,
        machine.cores,
        machine.processor,
        machine.kernel,
    );
    // Writing to memory does not fail.
    let _ = writeln!(
        text,
        "{:26} {:>9} {:>8} {:>8} {:>8} {:>7} {:>6}",
        "", "/s", "p50 ms", "p99 ms", "CPU us", "RSS MB", "share"
    );
    for row in &report.rows {
        let _ = writeln!(
            text,
            "{:26} {:>9.0} {:>8} {:>8} {:>8} {:>7} {:>6}",
            row.name,
            row.per_second,
            cell(row.p50_ms, 2),
            cell(row.p99_ms, 2),
            cell(row.cpu_us, 0),
            cell(row.rss_mb, 1),
            cell(row.share, 3),
        );
    }
    if let Some(start_up) = &report.start_up {
        let _ = writeln!(
            text,
            "\nstart-up: median {:.0} ms, slowest {:.0} ms of {}; idle memory {:.1} MB",
            start_up.median_ms, start_up.slowest_ms, start_up.starts, start_up.idle_rss_mb
        );
    }
    text.push('\n');
    for goal in &report.goals {
        text.push_str(&line(goal));
    }
    text
}

fn line(goal: &Goal) -> String {
    let Goal { what, value, bound, at_least, met } = goal;
    let verdict = if *met { "met   " } else { "MISSED" };
    let (value, bound) = (short(*value), short(*bound));
    format!("{verdict} {what}: {value}, goal {} {bound}\n", if *at_least { "at least" } else { "below" })
}

/// Formats a value with about three significant digits.
fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}

/// A number, or a dash.
pub(crate) fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goals;
    use crate::report::tests::{report, row};

    #[test]
    fn rows_and_verdicts() {
        let mut slow = row("par", 1234.4);
        slow.p99_ms = Some(41.0);
        slow.cpu_us = None;
        slow.share = Some(0.25);
        let mut report = report(vec![slow]);
        report.goals = goals::evaluate(&report);
        let text = render(&report);
        assert!(
            text.contains("par                             1234     1.00    41.00        -    20.0  0.250\n"),
            "{text}"
        );
        assert!(text.contains("\nMISSED par p99, ms: 41.0, goal below 40.0\n"), "{text}");
        assert!(text.contains("\nmet    start-up, ms: 30.0, goal below 40.0\n"), "{text}");
    }
}
