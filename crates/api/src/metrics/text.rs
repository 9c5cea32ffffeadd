//! The text format of Prometheus.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use causeway_domain::measure::Distribution;

/// The type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Labels of a sample.
type Labels<'a> = [(&'a str, &'a str)];

const MICROS: f64 = 1e6;

/// A document under construction. Writing to a string cannot fail.
#[derive(Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a family: its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
    }

    pub(super) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if n == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A distribution of microseconds, in seconds.
    pub(super) fn seconds(&mut self, name: &str, labels: &Labels<'_>, values: &Distribution) {
        self.histogram(name, labels, values, MICROS);
    }

    /// A distribution of sizes.
    pub(super) fn sizes(&mut self, name: &str, labels: &Labels<'_>, values: &Distribution) {
        self.histogram(name, labels, values, 1.0);
    }

    #[expect(clippy::cast_precision_loss, reason = "a metric is a float, whatever we count in")]
    fn histogram(&mut self, name: &str, labels: &Labels<'_>, values: &Distribution, unit: f64) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in values.up_to {
            let bound = (bound as f64 / unit).to_string();
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), values.count);
        self.sample(&format!("{name}_sum"), labels, values.sum as f64 / unit);
        self.sample(&format!("{name}_count"), labels, values.count);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// A label's value: most need no escaping.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '"', '\n']) {
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use causeway_domain::measure::{Histogram, MICROSECONDS};

    use super::*;

    #[test]
    fn families_samples_and_histograms() {
        let mut out = Exposition::default();
        out.family("a_total", Kind::Counter, "What.");
        out.sample("a_total", &[], 3);
        out.sample("a_total", &[("x", "1"), ("y", "2")], 4);
        out.sample("a_total", &[("x", "\"1\n\\")], 5);
        let times = Histogram::new(&MICROSECONDS);
        times.observe(200);
        times.observe(40_000_000);
        out.seconds("t", &[("route", "/r")], &times.read());
        let text = out.into_string();
        assert!(text.starts_with(
            "# HELP a_total What.\n# TYPE a_total counter\na_total 3\na_total{x=\"1\",y=\"2\"} 4\n\
             a_total{x=\"\\\"1\\n\\\\\"} 5\n\
             t_bucket{route=\"/r\",le=\"0.0001\"} 0\nt_bucket{route=\"/r\",le=\"0.00025\"} 1\n"
        ));
        assert!(text.ends_with(
            "t_bucket{route=\"/r\",le=\"30\"} 1\nt_bucket{route=\"/r\",le=\"+Inf\"} 2\n\
             t_sum{route=\"/r\"} 40.0002\nt_count{route=\"/r\"} 2\n"
        ));
    }
}
