//! Metric families of values that are read at the time of a scrape.

use std::fmt;

use causeway_domain::measure::Distribution;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

/// The labels of a sample that has none.
pub(super) const NO_LABELS: [(&str, &str); 0] = [];

/// The unit in which a distribution is exposed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// Seconds; they are counted in microseconds.
    Seconds,
    /// Sizes.
    Sizes,
}

/// Writes families one after the other.
pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl<'a> Families<'a> {
    pub(super) const fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// Values that only grow. The name is without `_total`, which its samples get.
    pub(super) fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, V, f64>(&value, None)?;
        }
        Ok(())
    }

    /// Values that rise and fall.
    pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Distributions.
    pub(super) fn histogram<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Unit,
        samples: impl IntoIterator<Item = (L, Distribution)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, values) in samples {
            let (sum, buckets) = (unit.of(values.sum), buckets(&values, unit));
            let mut sample = family.encode_family(&labels)?;
            sample.encode_histogram::<NoLabelSet>(sum, values.count, &buckets, None)?;
        }
        Ok(())
    }

    /// Constant labels. The name is without `_info`, which its sample gets.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }
}

impl Unit {
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float, whatever we count in")]
    fn of(self, value: u64) -> f64 {
        match self {
            Self::Seconds => value as f64 / 1e6,
            Self::Sizes => value as f64,
        }
    }
}

/// The number of values in each bucket alone, with its upper bound: the encoder adds them up.
fn buckets(values: &Distribution, unit: Unit) -> Vec<(f64, u64)> {
    let mut before = 0;
    let all = values.up_to.iter().map(|(bound, count)| (unit.of(*bound), *count));
    all.chain([(f64::INFINITY, values.count)])
        .map(|(bound, count)| (bound, count - std::mem::replace(&mut before, count)))
        .collect()
}

#[cfg(test)]
mod tests {
    use causeway_domain::measure::{Histogram, MICROSECONDS};
    use prometheus_client::collector::Collector;
    use prometheus_client::registry::Registry;

    use super::super::format::Format;
    use super::*;

    #[derive(Debug)]
    struct Sample;

    impl Collector for Sample {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut families = Families::new(encoder);
            families.info("build", "Version.", &[("version", "1.0.0")])?;
            families.counter("a", "What.", [(NO_LABELS, 3_u64)])?;
            families.counter("b", "What.", [([("x", "1"), ("y", "\"1\n\\")], 4_u64)])?;
            families.gauge("g", "What.", [(NO_LABELS, -2_i64)])?;
            let times = Histogram::new(&MICROSECONDS);
            times.observe(200);
            times.observe(40_000_000);
            families.histogram("t", "Time.", Unit::Seconds, [([("route", "/r")], times.read())])
        }
    }

    fn encoded(format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Sample));
        format.encode(&registry).unwrap()
    }

    const SCALARS: &str =
        "build_info{version=\"1.0.0\"} 1\na_total 3\nb_total{x=\"1\",y=\"\\\"1\\n\\\\\"} 4\ng -2\n";

    fn samples(text: &str) -> String {
        text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn the_text_format_of_prometheus() {
        let text = encoded(Format::Prometheus);
        assert!(text.starts_with("# HELP build_info Version.\n# TYPE build_info gauge\n"), "{text}");
        assert!(text.contains("\n# HELP a_total What.\n# TYPE a_total counter\n"), "{text}");
        let samples = samples(&text);
        let times = samples.strip_prefix(SCALARS).unwrap();
        assert!(
            times.starts_with(
                "t_bucket{route=\"/r\",le=\"0.0001\"} 0\nt_bucket{route=\"/r\",le=\"0.00025\"} 1\n"
            ),
            "{times}"
        );
        assert!(
            times.ends_with(
                "t_bucket{route=\"/r\",le=\"30\"} 1\nt_bucket{route=\"/r\",le=\"+Inf\"} 2\n\
                 t_sum{route=\"/r\"} 40.0002\nt_count{route=\"/r\"} 2\n"
            ),
            "{times}"
        );
    }

    #[test]
    fn open_metrics() {
        let text = encoded(Format::OpenMetrics);
        assert!(text.starts_with("# HELP build Version.\n# TYPE build info\n"), "{text}");
        assert!(text.contains("\n# HELP a What.\n# TYPE a counter\n"), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        let samples = samples(&text);
        let times = samples.strip_prefix(SCALARS).unwrap();
        for sample in [
            "t_bucket{le=\"0.00025\",route=\"/r\"} 1",
            "t_bucket{le=\"30.0\",route=\"/r\"} 1",
            "t_bucket{le=\"+Inf\",route=\"/r\"} 2",
            "t_sum{route=\"/r\"} 40.0002",
            "t_count{route=\"/r\"} 2",
        ] {
            assert!(times.lines().any(|line| line == sample), "{sample} in {times}");
        }
    }
}
