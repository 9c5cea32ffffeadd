//! The parts of a run. To add one, add an entry to [`PARTS`].

use std::process::Command;

use anyhow::Result;

use super::report::Outcome;
use super::stage::Stage;
use super::{mutants, package, previous};
use crate::{fuzz, process};

/// When a part runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// Always, and alone when a filter is given.
    Tests,
    /// Always, unless a filter is given.
    Always,
    /// With `--fuzz`; `--extended` has a longer one.
    Fuzz,
    /// With `--extended`.
    Extended,
}

/// A part: its name in the table, its description, when it runs, and how.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) tier: Tier,
    pub(super) run: fn(&Stage<'_>) -> Result<Outcome>,
}

/// Every part, in the order in which they run.
pub(super) const PARTS: &[Part] = &[
    Part { name: "tests", about: "every test of the workspace", tier: Tier::Tests, run: tests },
    Part {
        name: "examples",
        about: "the examples in the documentation of the crates",
        tier: Tier::Always,
        run: examples,
    },
    Part {
        name: "fuzz",
        about: "a few generated requests to every endpoint",
        tier: Tier::Fuzz,
        run: short_fuzz,
    },
    Part {
        name: "all pairs",
        about: "the journeys with every release of the PDS on every database",
        tier: Tier::Extended,
        run: all_pairs,
    },
    Part {
        name: "kills",
        about: "kills the server 200 times around a refresh, and repeatedly during two minutes of load",
        tier: Tier::Extended,
        run: kills,
    },
    Part {
        name: "rolling upgrade",
        about: "an earlier version is replaced by this one on a database that both use, under load",
        tier: Tier::Extended,
        run: rolling_upgrade,
    },
    Part {
        name: "long fuzz",
        about: "ten minutes of generated requests, on each database",
        tier: Tier::Extended,
        run: long_fuzz,
    },
    Part {
        name: "package",
        about: "the published crate by itself, with dependencies for its oldest Rust",
        tier: Tier::Extended,
        run: package::run,
    },
    Part {
        name: "mutants",
        about: "a tenth of the small changes that the tests of the lower crates have to notice",
        tier: Tier::Extended,
        run: mutants::run,
    },
];

/// Tests in modules of this name run with `--extended` only.
const EXTENDED: &str = "::extended::";

/// The test of a rolling upgrade, which needs the binary of an earlier version.
const ROLLING_UPGRADE: &str = "rolling_upgrade::extended::";

fn tests(stage: &Stage<'_>) -> Result<Outcome> {
    let filter = stage.arguments.filter.as_deref();
    // A separate part runs them, unless a filter names some.
    let leave_out = !(stage.arguments.extended && filter.is_some());
    let mut command;
    if has_nextest() {
        command = stage.cargo(&NEXTEST);
        if leave_out {
            skip(&mut command, EXTENDED);
        }
        command.args(filter);
    } else {
        command = stage.cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast", "--"]);
        if leave_out {
            skip(&mut command, EXTENDED);
        }
        command.args(filter);
    }
    ended(&mut command)
}

/// Runs the doc tests, which nextest does not support.
fn examples(stage: &Stage<'_>) -> Result<Outcome> {
    ended(&mut stage.cargo(&["test", "--quiet", "--workspace", "--doc"]))
}

fn short_fuzz(stage: &Stage<'_>) -> Result<Outcome> {
    made_up(stage, 0)
}

fn long_fuzz(stage: &Stage<'_>) -> Result<Outcome> {
    made_up(stage, 600)
}

/// Runs generated requests on each database for at least this many seconds; 0 is one short round.
fn made_up(stage: &Stage<'_>, seconds: u32) -> Result<Outcome> {
    let mut command = suite(stage, &["made_up::"]);
    command.env(fuzz::VARIABLE, stage.schemathesis()?);
    ended(command.env("CAUSEWAY_FUZZ_SECONDS", seconds.to_string()))
}

fn all_pairs(stage: &Stage<'_>) -> Result<Outcome> {
    if stage.arguments.no_realnet {
        return Ok(Outcome::Skipped("--no-realnet".to_owned()));
    }
    let mut command = suite(stage, &[EXTENDED]);
    skip(&mut command, ROLLING_UPGRADE);
    ended(&mut command)
}

fn kills(stage: &Stage<'_>) -> Result<Outcome> {
    let mut command = suite(stage, &["killed_at_every_step", "crash::soak"]);
    ended(command.env("CAUSEWAY_CRASH_ROUNDS", "200").env("CAUSEWAY_SOAK_SECONDS", "120"))
}

/// Builds the earlier version, once, and replaces a server of it by one of this version.
fn rolling_upgrade(stage: &Stage<'_>) -> Result<Outcome> {
    if !stage.has_postgres() {
        return Ok(Outcome::Skipped(
            "there is no PostgreSQL, and servers share no other database".to_owned(),
        ));
    }
    let old = match previous::build(stage.root) {
        Ok(old) => old,
        // The parts after this one run all the same.
        Err(error) => return Ok(Outcome::Failed(format!("{error:#}"))),
    };
    ended(suite(stage, &[ROLLING_UPGRADE]).env(previous::VARIABLE, old))
}

/// Leaves out the tests whose names contain this.
fn skip(command: &mut Command, name: &str) {
    if has_nextest() {
        command.args(["-E", &format!("not test({name})")]);
    } else {
        command.args(["--skip", name]);
    }
}

const NEXTEST: [&str; 6] =
    ["nextest", "run", "--workspace", "--no-fail-fast", "--status-level=slow", "--final-status-level=slow"];

fn has_nextest() -> bool {
    process::find_in_path("cargo-nextest").is_some()
}

/// Tests of the whole server whose names contain one of these, with their output. The whole workspace is
/// built: tests built alone would get other features, and rebuild everything below them.
fn suite(stage: &Stage<'_>, names: &[&str]) -> Command {
    if has_nextest() {
        let mut command = stage.cargo(&NEXTEST);
        command.args(["--test", "suite", "--success-output=final"]).args(names);
        return command;
    }
    let mut command = stage.cargo(&["test", "--workspace", "--test", "suite", "--", "--nocapture"]);
    command.args(names);
    command
}

fn ended(command: &mut Command) -> Result<Outcome> {
    let status = process::show_and_run(command)?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed(format!("it ended with {status}")) })
}
