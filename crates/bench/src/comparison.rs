//! Comparison of this run with an earlier one.

use std::fmt::Write as _;

use crate::report::{Report, Row};
use crate::table::cell;

/// Every row that both reports have, as the ratio of now to then.
pub(crate) fn render(now: &Report, then: &Report) -> String {
    let mut text =
        String::from("\nnow / then                        rate      p50      p99      CPU    share\n");
    let pairs = now.rows.iter().filter_map(|row| Some((row, then.row(&row.name)?)));
    for (row, old) in pairs {
        let part = |of: fn(&Row) -> Option<f64>| ratio(of(row), of(old));
        // Writing to memory does not fail.
        let _ = writeln!(
            text,
            "{:29} {:>8} {:>8} {:>8} {:>8} {:>8}",
            row.name,
            part(|row| Some(row.per_second)),
            part(|row| row.p50_ms),
            part(|row| row.p99_ms),
            part(|row| row.cpu_us),
            part(|row| row.share),
        );
    }
    if let (Some(now), Some(then)) = (&now.start_up, &then.start_up) {
        let median = ratio(Some(now.median_ms), Some(then.median_ms));
        let memory = ratio(Some(now.idle_rss_mb), Some(then.idle_rss_mb));
        let _ = writeln!(text, "start-up {median}, idle memory {memory}");
    }
    if now.machine.processor != then.machine.processor || now.connections != then.connections {
        text.push_str("The earlier run was another machine's, or had other connections.\n");
    }
    text
}

fn ratio(now: Option<f64>, then: Option<f64>) -> String {
    cell(now.zip(then).filter(|(_, then)| *then > 0.0).map(|(now, then)| now / then), 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{report, row};

    #[test]
    fn only_what_both_have() {
        let mut then = report(vec![row("par", 100.0), row("gone", 1.0)]);
        then.rows[0].cpu_us = Some(0.0);
        let now = report(vec![row("par", 150.0), row("new", 1.0)]);
        let text = render(&now, &then);
        assert!(
            text.contains("par                               1.50     1.00     1.00        -        -\n"),
            "{text}"
        );
        assert!(!text.contains("gone") && !text.contains("new"), "{text}");
        assert!(text.ends_with("start-up 1.00, idle memory 1.00\n"), "{text}");
    }
}
