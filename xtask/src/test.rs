//! `cargo xtask test`: the one command that runs every test, with what they need.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::fuzz;
use crate::network::Network;
use crate::postgres::{self, Postgres};
use crate::process;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only the tests whose name contains this
    #[arg(long, value_name = "STR")]
    filter: Option<String>,
    /// Leave out the tests against a real AT Protocol network, which need Node
    #[arg(long)]
    no_realnet: bool,
    /// Add requests that are made up from the OpenAPI document; this needs Python and PyPI, and minutes
    #[arg(long)]
    fuzz: bool,
}

/// Set for the tests when there is no AT Protocol network for them.
const NO_REALNET: &str = "CAUSEWAY_TEST_NO_REALNET";

pub(crate) fn run(arguments: &Arguments, root: &Path) -> Result<ExitCode> {
    let mut skipped = Vec::new();
    if arguments.no_realnet {
        skipped.push("the tests against a real AT Protocol network: --no-realnet".to_owned());
    } else {
        process::must_run(Command::new("node").arg("tests/realnet/install.mjs"))
            .context("the AT Protocol network for the tests (--no-realnet leaves it out)")?;
    }
    let binary = process::build_server(root)?;
    let postgres = Postgres::find().context("PostgreSQL for the tests")?;
    if let Postgres::Missing { reason } = &postgres {
        skipped.push(format!("PostgreSQL: {reason}"));
    }
    let schemathesis = arguments.fuzz.then(|| fuzz::install(root)).transpose()?;
    if schemathesis.is_none() {
        skipped.push("the made-up requests: --fuzz adds them".to_owned());
    }
    announce(&skipped);

    let networks = if arguments.no_realnet { Vec::new() } else { Network::start_all()? };
    let setup = Setup { binary, postgres, networks, schemathesis };
    let code = setup.run_all(arguments.filter.as_deref());
    // Before the last words: stopping the server may take a moment.
    drop(setup);
    announce(&skipped);
    code
}

/// Says loudly what is not tested; a green run must not look like a whole one.
fn announce(skipped: &[String]) {
    for what in skipped {
        eprintln!("\n*** SKIPPED: {what}\n");
    }
}

struct Setup {
    binary: PathBuf,
    postgres: Postgres,
    networks: Vec<Network>,
    schemathesis: Option<PathBuf>,
}

impl Setup {
    fn run_all(&self, filter: Option<&str>) -> Result<ExitCode> {
        let filter = filter.into_iter();
        if process::find_in_path("cargo-nextest").is_none() {
            let mut command = self.command(&["test", "--workspace"]);
            return Ok(exit_code(process::show_and_run(command.args(filter))?));
        }
        let filtered = filter.len() > 0;
        let mut command = self.command(&["nextest", "run", "--workspace", "--no-fail-fast"]);
        let status = process::show_and_run(command.args(filter))?;
        if !status.success() || filtered {
            return Ok(exit_code(status));
        }
        // nextest leaves the examples in the documentation out.
        Ok(exit_code(process::show_and_run(&mut self.command(&["test", "--workspace", "--doc"]))?))
    }

    /// A cargo command whose tests find what they need.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::cargo();
        command.args(arguments).env("CAUSEWAY_BIN", &self.binary);
        match self.postgres.url() {
            Some(url) => command.env(postgres::VARIABLE, url),
            None => command.env_remove(postgres::VARIABLE),
        };
        match &self.schemathesis {
            Some(program) => command.env(fuzz::VARIABLE, program),
            None => command.env_remove(fuzz::VARIABLE),
        };
        if self.networks.is_empty() {
            command.env(NO_REALNET, "1");
        } else {
            command.env_remove(NO_REALNET);
        }
        command.envs(self.networks.iter().map(Network::variable));
        command
    }
}

/// The tests' own code, or 1 when a signal ended them.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    ExitCode::from(code)
}
