//! The rates as bars, on a logarithmic scale: an empty handler and a durable commit are far apart.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Kind, Report, Row};

const WIDTH: u32 = 720;
/// Width of the names at the left.
const NAMES: u32 = 190;
/// Width of the number beside the longest bar.
const NUMBERS: u32 = 70;
const LINE: u32 = 26;
/// Height of the title, the scale and the lines about the machine.
const AROUND: u32 = 110;
/// The rate at which the scale begins; slower rows have a bar of no length as well.
const SLOWEST: f64 = 100.0;

const CALIBRATION: RGBColor = RGBColor(0xb0, 0xb7, 0xc3);
const ENDPOINT: RGBColor = RGBColor(0x2f, 0x6f, 0xde);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Draws a report.
///
/// # Errors
/// When the drawing library fails.
pub(crate) fn draw(report: &Report) -> Result<String> {
    let mut svg = String::new();
    draw_into(&mut svg, report)?;
    Ok(svg)
}

fn draw_into(svg: &mut String, report: &Report) -> Result<()> {
    let (rows, machine) = (&report.rows, &report.machine);
    let title = format!("Causeway {}: requests or rows a second", report.version);
    let subtitle = format!(
        "{} on {}, {} connections, {} cores ({})",
        report.database, machine.file_system, report.connections, machine.cores, machine.processor
    );
    let lines = u32::try_from(rows.len())? + 1;
    let root = SVGBackend::with_string(svg, (WIDTH, AROUND + LINE * lines)).into_drawing_area();
    root.fill(&WHITE)?;
    // Lines are counted from below. The lowest one, 0, stays empty.
    let line_of = |n: usize| rows.len() - n;
    let row_of = |line: &SegmentValue<usize>| match line {
        SegmentValue::Exact(line) | SegmentValue::CenterOf(line) => rows.get(rows.len() - line),
        SegmentValue::Last => None,
    };
    let fastest = rows.iter().map(|row| row.per_second).fold(10.0 * SLOWEST, f64::max);
    let last_decade = 10_f64.powf(fastest.log10().ceil());
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .margin_right(NUMBERS)
        .x_label_area_size(50)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((SLOWEST..last_decade).log_scale(), (0..rows.len()).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(GRID)
        .label_style(("sans-serif", 16))
        .x_label_formatter(&|rate| rate.to_string())
        .x_desc(subtitle)
        .y_labels(rows.len() + 1)
        .y_label_formatter(&|line| row_of(line).map_or_else(String::new, |row| row.name.clone()))
        .draw()?;
    chart.draw_series(rows.iter().enumerate().map(|(n, row)| {
        let above = if n == 0 { SegmentValue::Last } else { SegmentValue::Exact(line_of(n - 1)) };
        let below = SegmentValue::Exact(line_of(n));
        let mut bar = Rectangle::new([(SLOWEST, above), (row.per_second, below)], colour(row).filled());
        bar.set_margin(4, 4, 0, 0);
        bar
    }))?;
    let numbers = ("sans-serif", 16).into_text_style(&root).pos(Pos::new(HPos::Left, VPos::Center));
    chart.draw_series(rows.iter().enumerate().map(|(n, row)| {
        let number = Text::new(format!("{:.0}", row.per_second), (6, 0), numbers.clone());
        EmptyElement::at((row.per_second, SegmentValue::CenterOf(line_of(n)))) + number
    }))?;
    root.present()?;
    Ok(())
}

const fn colour(row: &Row) -> RGBColor {
    match row.kind {
        Kind::Calibration => CALIBRATION,
        Kind::Endpoint => ENDPOINT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{report, row};

    /// An attribute of the element in a line.
    fn number(line: &str, name: &str) -> Option<u32> {
        line.split_once(&format!(" {name}=\""))?.1.split('"').next()?.parse().ok()
    }

    #[test]
    fn bars_stay_within_the_picture_and_beside_their_names() {
        let rates = [1.0, 100.0, 1000.0, 100_000.0, 1e9];
        let rows = rates.map(|rate| row(&format!("row of {rate}"), rate)).into();
        let svg = draw(&report(rows)).unwrap();
        let lines: Vec<&str> = svg.lines().collect();
        let bars = lines.iter().filter(|line| line.starts_with("<rect") && line.contains("#2F6FDE"));
        let mut lengths = Vec::new();
        for (bar, rate) in bars.zip(rates) {
            let [left, length, top, height] =
                ["x", "width", "y", "height"].map(|name| number(bar, name).unwrap());
            assert!(left > NAMES && left + length < WIDTH - NUMBERS, "{bar}");
            let name = lines.windows(2).find(|pair| pair[1] == format!("row of {rate}")).unwrap()[0];
            assert!((top..top + height).contains(&number(name, "y").unwrap()), "{name} {bar}");
            lengths.push(length);
        }
        assert_eq!((lengths.len(), &lengths[..2]), (5, &[0, 0][..]));
        assert!(lengths[1..].is_sorted() && lengths[2] > 20, "{lengths:?}");
    }

    #[test]
    fn names_are_escaped() {
        let text = draw(&report(vec![row("a<b", 5000.0)])).unwrap();
        assert!(text.contains("a&lt;b") && text.contains("&lt;fast&gt; &amp; cheap"), "{text}");
        assert!(!text.contains("a<b"));
        assert!(text.contains("\n5000\n"), "{text}");
    }

    #[test]
    fn a_report_without_rows_is_drawn() {
        assert!(draw(&report(Vec::new())).unwrap().ends_with("</svg>\n"));
    }
}
