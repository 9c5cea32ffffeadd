//! Benchmark of the `causeway` binary, relative to what the same machine does without it.
//!
//! `cargo xtask bench` builds the server and runs this. Every row is one endpoint under load from a
//! few keep-alive connections; the calibrations (an empty handler of the same HTTP stack, durable
//! commits of the same database) are measured in the same run, so that the ratios mean something on
//! any machine.

mod calibration;
mod cli;
mod comparison;
mod empty_handler;
mod goals;
mod helper;
mod http;
mod latency;
mod load;
mod loopback_pds;
mod machine;
mod measure;
mod postgres;
mod prepare;
mod process;
mod report;
mod server;
mod signatures;
mod start_up;
mod svg;
mod table;
mod traffic;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::cli::{Arguments, Cli, Command};
use crate::report::Report;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::EmptyHandler) => empty_handler::serve().map(|()| ExitCode::SUCCESS),
        Some(Command::LoopbackPds) => loopback_pds::serve().map(|()| ExitCode::SUCCESS),
        None => run(&cli.arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("causeway-bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    // Read before the measurements, so that a wrong path does not waste a run.
    let earlier = arguments.compare.as_deref().map(Report::read).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure::measure(arguments))?;
    print!("{}", table::render(&report));
    if let Some(earlier) = &earlier {
        print!("{}", comparison::render(&report, earlier));
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &arguments.svg {
        fs::write(path, svg::draw(&report)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let missed = report.goals.iter().any(|goal| !goal.met);
    Ok(if arguments.check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
