//! `cargo xtask tidy`: project rules that no compiler checks. Each failure is one line: place, problem, fix.

mod circles;
mod conformance;
mod dependencies;
mod layers;
mod manifests;
mod migrations;
mod sources;
mod words;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    place: String,
    problem: String,
    fix: String,
}

impl Finding {
    fn new(place: impl fmt::Display, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { place: place.to_string(), problem: problem.into(), fix: fix.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.problem, self.fix)
    }
}

pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let mut findings = layers::check(root)?;
    findings.extend(manifests::check(root)?);
    findings.extend(migrations::check(root)?);
    findings.extend(sources::check(root)?);
    findings.extend(words::check(root)?);
    findings.extend(circles::check(root)?);
    findings.extend(conformance::check(root)?);
    findings.extend(dependencies::check(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
