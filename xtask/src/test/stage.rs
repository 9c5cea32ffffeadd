//! Prerequisites of the tests: the server's binary, PostgreSQL, AT Protocol networks, schemathesis.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Arguments;
use super::report::{Outcome, Report};
use crate::fuzz;
use crate::mcp_peers;
use crate::network::Network;
use crate::postgres::{self, Postgres};
use crate::process;

/// Environment variable that tells the tests to skip those against an AT Protocol network.
const NO_REALNET: &str = "CAUSEWAY_TEST_NO_REALNET";

/// Programs without which some tests skip themselves, which is easy to miss: name in the table, path where
/// the tests look, and description of the tests that are skipped.
const PROGRAMS: [(&str, &str, &str); 2] = [
    ("Chromium", "/usr/bin/chromium", "the journeys in a browser"),
    ("PgBouncer", "/usr/sbin/pgbouncer", "the tests behind a transaction pooler"),
];

/// Everything set up for the tests, as long as this value lives.
pub(super) struct Stage<'a> {
    pub(super) root: &'a Path,
    pub(super) arguments: &'a Arguments,
    binary: PathBuf,
    postgres: Postgres,
    networks: Vec<Network>,
    schemathesis: Option<PathBuf>,
    mcp_python: Option<PathBuf>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(root: &'a Path, arguments: &'a Arguments) -> Self {
        let postgres = Postgres::Missing { reason: "not looked for".to_owned() };
        Self {
            root,
            arguments,
            binary: PathBuf::new(),
            postgres,
            networks: Vec::new(),
            schemathesis: None,
            mcp_python: None,
        }
    }

    /// Sets all of it up.
    pub(super) fn prepare(&mut self, report: &mut Report) -> Result<()> {
        let realnet = !self.arguments.no_realnet;
        if realnet {
            report.run("install", "the AT Protocol networks, from npm", || {
                process::must_run(Command::new("node").arg("tests/realnet/install.mjs"))
                    .context("the AT Protocol networks for the tests (--no-realnet skips them)")?;
                Ok(Outcome::Passed)
            })?;
        } else {
            report.skip("networks", "the tests against real AT Protocol networks: --no-realnet");
        }
        report.run("mcp", "MCP servers and clients, from npm and PyPI", || {
            mcp_peers::install(self.root)?;
            if process::find_in_path("python3").is_none() {
                return Ok(Outcome::Skipped(
                    "python3 is not installed: the Python SDK and fastmcp".to_owned(),
                ));
            }
            self.mcp_python = Some(mcp_peers::install_python(self.root)?);
            Ok(Outcome::Passed)
        })?;
        if self.arguments.fuzz || self.arguments.extended {
            report.run("schemathesis", "the request generator, from PyPI", || {
                self.schemathesis = Some(fuzz::install(self.root)?);
                Ok(Outcome::Passed)
            })?;
        }
        report.run("build", "the server and every test", || {
            self.binary = process::build_all(self.root)?;
            Ok(Outcome::Passed)
        })?;
        self.postgres = Postgres::find().context("PostgreSQL for the tests")?;
        if let Postgres::Missing { reason } = &self.postgres {
            report.skip("PostgreSQL", reason);
        }
        for (name, place, tests) in PROGRAMS {
            let named = (name == "Chromium").then(|| env::var_os("CHROMIUM")).flatten();
            if !named.map_or_else(|| PathBuf::from(place), PathBuf::from).exists() {
                report.skip(name, format!("{place} is not installed: {tests}"));
            }
        }
        if realnet {
            report.run("networks", "two releases of the PDS, over http and over https", || {
                self.networks = Network::start_all()?;
                Ok(Outcome::Passed)
            })?;
        }
        Ok(())
    }

    /// A cargo command whose environment tells tests where everything is.
    pub(super) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = process::cargo();
        command.args(arguments).env(process::BINARY, &self.binary);
        match self.postgres.url() {
            Some(url) => command.env(postgres::VARIABLE, url),
            None => command.env_remove(postgres::VARIABLE),
        };
        command.env_remove(fuzz::VARIABLE);
        match &self.mcp_python {
            Some(python) => command.env(mcp_peers::PYTHON, python),
            None => command.env_remove(mcp_peers::PYTHON),
        };
        if self.networks.is_empty() {
            command.env(NO_REALNET, "1");
        } else {
            command.env_remove(NO_REALNET);
        }
        command.envs(self.networks.iter().map(Network::variable));
        command
    }

    /// Whether there is a PostgreSQL server for the tests.
    pub(super) fn has_postgres(&self) -> bool {
        self.postgres.url().is_some()
    }

    /// Path of schemathesis.
    pub(super) fn schemathesis(&self) -> Result<&Path> {
        self.schemathesis.as_deref().context("schemathesis is not installed")
    }
}
