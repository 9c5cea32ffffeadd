//! Mutation tests: small changes of the code that the tests of a crate have to notice, by cargo-mutants.
//!
//! A run takes a sample, which the date chooses, so that all mutants have had their turn after as many days as there are
//! samples. `.cargo/mutants.toml` lists the mutants that no test can or should notice.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use causeway_domain::{Clock as _, SystemClock};
use serde_json::Value;

use super::report::Outcome;
use super::stage::Stage;
use crate::process;

/// Version on <https://crates.io/crates/cargo-mutants>.
const VERSION: &str = "27.1.0";
/// The share of mutants that the tests of a judged crate have to notice, in percent.
const LEAST: u32 = 95;
const SECONDS_PER_DAY: i64 = 86_400;

/// A crate whose own tests run against its mutants.
struct Subject {
    package: &'static str,
    /// The number of samples that its mutants are divided into.
    samples: i64,
    /// Whether too few noticed mutants are a failure.
    judged: bool,
}

const SUBJECTS: [Subject; 5] = [
    Subject { package: "causeway-types", samples: 10, judged: true },
    Subject { package: "causeway-domain", samples: 10, judged: true },
    Subject { package: "causeway-jose", samples: 10, judged: true },
    // The promises of these two are mostly tested through HTTP, by tests of other packages. Each of their mutants takes
    // up to a minute, so the samples are smaller.
    Subject { package: "causeway-store", samples: 100, judged: false },
    Subject { package: "causeway-flow", samples: 100, judged: false },
];

/// Runs the samples of today.
pub(super) fn run(stage: &Stage<'_>) -> Result<Outcome> {
    let tool = install(stage.root)?;
    let day = SystemClock.now().as_secs() / SECONDS_PER_DAY;
    let mut results = Vec::new();
    for subject in &SUBJECTS {
        results.push((subject, sample(stage, &tool, subject, day)?));
    }
    for (subject, counts) in &results {
        let word = if subject.judged { "" } else { " (only reported)" };
        eprintln!("xtask: {}: {counts}{word}", subject.package);
    }
    let is_weak = |(subject, counts): &&(&Subject, Counts)| subject.judged && !counts.suffices();
    let weak: Vec<&str> = results.iter().filter(is_weak).map(|(subject, _)| subject.package).collect();
    if weak.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!(
        "the tests of {} notice less than {LEAST} % of the mutants: add tests for those that are listed as missed",
        weak.join(" and ")
    )))
}

/// The directory of the program, which is built from crates.io if missing.
fn install(root: &Path) -> Result<PathBuf> {
    let home = process::target_dir(root)?.join(format!("cargo-mutants-{VERSION}"));
    let directory = home.join("bin");
    if !directory.join(format!("cargo-mutants{}", env::consts::EXE_SUFFIX)).is_file() {
        let mut cargo = process::cargo();
        cargo.args(["install", "--locked", "--version", VERSION, "--root"]).arg(&home);
        process::must_run(cargo.arg("cargo-mutants")).context("cargo-mutants from crates.io")?;
    }
    Ok(directory)
}

/// Runs the tests of a crate against a sample of its mutants, in a copy of the source.
fn sample(stage: &Stage<'_>, tool: &Path, subject: &Subject, day: i64) -> Result<Counts> {
    let target = process::target_dir(stage.root)?.join("mutants");
    let output = target.join(subject.package);
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let shard = format!("{}/{}", day.rem_euclid(subject.samples), subject.samples);
    let mut command = stage.cargo(&["mutants", "--package", subject.package, "--no-shuffle"]);
    command.args(["--sharding", "round-robin", "--shard", &shard, "--output"]).arg(&output);
    let path = env::var_os("PATH").unwrap_or_default();
    command.env("PATH", env::join_paths([tool.to_owned()].into_iter().chain(env::split_paths(&path)))?);
    // Dependencies are built once, and nobody debugs a mutant.
    command.env("CARGO_TARGET_DIR", target.join("target")).env("CARGO_PROFILE_DEV_DEBUG", "0");
    let status = process::show_and_run(&mut command)?;
    // 2: mutants were missed; 3: tests did not end.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo mutants ended with {status}");
    }
    let file = output.join("mutants.out").join("outcomes.json");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Counts::read(&serde_json::from_str(&text)?)
}

/// Numbers of mutants that compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    viable: u64,
    noticed: u64,
}

impl Counts {
    /// Reads `outcomes.json`. Tests that do not end have noticed something.
    fn read(outcomes: &Value) -> Result<Self> {
        let count =
            |name: &str| outcomes[name].as_u64().with_context(|| format!("outcomes.json has no {name}"));
        let noticed = count("caught")? + count("timeout")?;
        Ok(Self { viable: noticed + count("missed")?, noticed })
    }

    fn suffices(self) -> bool {
        self.noticed * 100 >= self.viable * u64::from(LEAST)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} mutants are noticed", self.noticed, self.viable)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Counts;

    #[test]
    fn what_the_tests_notice() {
        let counts = |caught: u64, timeout: u64, missed: u64| {
            let outcomes = json!({ "caught": caught, "timeout": timeout, "missed": missed, "unviable": 9 });
            Counts::read(&outcomes).unwrap()
        };
        assert_eq!(counts(94, 1, 5), Counts { viable: 100, noticed: 95 });
        assert!(counts(94, 1, 5).suffices());
        assert!(!counts(94, 0, 5).suffices());
        assert!(counts(0, 0, 0).suffices(), "a sample may hold nothing that compiles");
        assert!(Counts::read(&json!({ "caught": 1 })).is_err());
    }
}
