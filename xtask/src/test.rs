//! `cargo xtask test`: runs every test, with what they need. It runs part by part, prints which one is
//! running, and ends with a table of them all.
//!
//! There are two tiers. The parts that always run have to pass before a change is submitted; `--extended`
//! adds those that take too long for that, and has to pass before an issue is closed or a release is made.

mod mutants;
mod package;
mod parts;
mod previous;
mod report;
mod stage;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use self::parts::{PARTS, Tier};
use self::report::Report;
use self::stage::Stage;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only the tests whose name contains this
    #[arg(long, value_name = "STR")]
    filter: Option<String>,
    /// Skip the tests against a real AT Protocol network, which need Node
    #[arg(long)]
    no_realnet: bool,
    /// Also send requests generated from the OpenAPI document, for a minute; this needs Python and PyPI
    #[arg(long)]
    fuzz: bool,
    /// Also run the tests that take too long for daily use: see the table at the end
    #[arg(long)]
    extended: bool,
}

pub(crate) fn run(arguments: &Arguments, root: &Path) -> Result<ExitCode> {
    let mut report = Report::begin();
    let mut stage = Stage::new(root, arguments);
    let prepared = stage.prepare(&mut report);
    if let Err(error) = prepared {
        report.print();
        return Err(error);
    }
    for part in PARTS.iter().filter(|part| wanted(arguments, part.tier)) {
        report.run(part.name, part.about, || (part.run)(&stage))?;
    }
    // Before the last words: stopping the servers may take a moment.
    drop(stage);
    report.print();
    Ok(if report.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether a part of this tier was requested. With a filter there is one part: the tests that it names.
fn wanted(arguments: &Arguments, tier: Tier) -> bool {
    match tier {
        Tier::Tests => true,
        _ if arguments.filter.is_some() => false,
        Tier::Always => true,
        Tier::Fuzz => arguments.fuzz && !arguments.extended,
        Tier::Extended => arguments.extended,
    }
}
