//! The rates as bars, on a logarithmic scale: an empty handler and a durable commit are far apart.

use std::fmt::Write as _;

use crate::report::{Kind, Report, Row};

const LABELS: f64 = 190.0;
const BARS: f64 = 440.0;
const NUMBERS: f64 = 90.0;
const LINE: f64 = 26.0;
const TOP: f64 = 62.0;
/// Exponent of the decade where the scale begins, with a bar of no length.
const FIRST_DECADE: i32 = 2;

/// Draws a report.
pub(crate) fn draw(report: &Report) -> String {
    let (mut bars, mut bottom) = (String::new(), TOP);
    let fastest = report.rows.iter().map(|row| row.per_second).fold(1000.0, f64::max);
    let scale = Scale { last: fastest.log10().ceil() };
    for row in &report.rows {
        bars.push_str(&bar(row, scale, bottom));
        bottom += LINE;
    }
    let width = LABELS + BARS + NUMBERS;
    let height = bottom + 40.0;
    let machine = &report.machine;
    let title = format!("Causeway {}: requests or rows a second", escape(&report.version));
    let subtitle = format!(
        "{} on {}, {} connections, {} cores ({})",
        escape(&report.database),
        escape(&machine.file_system),
        report.connections,
        machine.cores,
        escape(&machine.processor)
    );
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{title}">
<rect width="{width}" height="{height}" fill="#ffffff"/>
<text x="12" y="24" font-size="16" font-weight="600" fill="#1a1a1a">{title}</text>
<text x="12" y="44" fill="#555555">{subtitle}</text>
{}{bars}</svg>
"##,
        scale.grid(bottom)
    )
}

#[derive(Clone, Copy)]
struct Scale {
    /// The last decade.
    last: f64,
}

impl Scale {
    fn length(self, per_second: f64) -> f64 {
        let first = f64::from(FIRST_DECADE);
        let share = (per_second.max(1.0).log10() - first) / (self.last - first);
        BARS * share.clamp(0.0, 1.0)
    }

    fn grid(self, bottom: f64) -> String {
        let mut text = String::new();
        let decades = (FIRST_DECADE..).take_while(|decade| f64::from(*decade) <= self.last);
        for value in decades.map(|decade| 10_f64.powi(decade)) {
            let x = LABELS + self.length(value);
            // Writing to memory does not fail.
            let _ = writeln!(
                text,
                r##"<path d="M{x:.1} {TOP}V{bottom}" stroke="#dddddd"/><text x="{x:.1}" y="{}" fill="#555555" text-anchor="middle">{value}</text>"##,
                bottom + 18.0
            );
        }
        text
    }
}

fn bar(row: &Row, scale: Scale, y: f64) -> String {
    let colour = match row.kind {
        Kind::Calibration => "#b0b7c3",
        Kind::Endpoint => "#2f6fde",
    };
    let length = scale.length(row.per_second);
    let text_y = y + 17.0;
    format!(
        r##"<text x="{}" y="{text_y}" fill="#1a1a1a" text-anchor="end">{}</text><rect x="{LABELS}" y="{}" width="{length:.1}" height="{}" rx="2" fill="{colour}"/><text x="{:.1}" y="{text_y}" fill="#1a1a1a">{:.0}</text>
"##,
        LABELS - 8.0,
        escape(&row.name),
        y + 4.0,
        LINE - 8.0,
        LABELS + length + 6.0,
        row.per_second,
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{report, row};

    #[test]
    fn bars_stay_within_the_picture() {
        let scale = Scale { last: 5.0 };
        let lengths = [1.0, 100.0, 1000.0, 100_000.0, 1e9].map(|rate| scale.length(rate));
        for (length, expected) in lengths.into_iter().zip([0.0, 0.0, BARS / 3.0, BARS, BARS]) {
            assert!((length - expected).abs() < 1e-6, "{length} {expected}");
        }
    }

    #[test]
    fn names_are_escaped() {
        let text = draw(&report(vec![row("a<b", 5000.0)]));
        assert!(text.contains("a&lt;b") && text.contains("&lt;fast&gt; &amp; cheap"), "{text}");
        assert!(!text.contains("a<b"));
    }
}
