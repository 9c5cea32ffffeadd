//! Real AT Protocol networks that all tests of a run share: starting one takes seconds.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A running network. It stops when its standard input closes, which is when this is dropped.
pub(crate) struct Network {
    variable: &'static str,
    description: String,
    process: Child,
}

impl Network {
    /// Starts one over http, and one over https with everything that a production PDS checks.
    pub(crate) fn start_all() -> Result<Vec<Self>> {
        let kinds: [(&'static str, &[&str]); 2] =
            [("CAUSEWAY_TEST_REALNET", &[]), ("CAUSEWAY_TEST_REALNET_TLS", &["--tls", "--strict"])];
        kinds.into_iter().map(|(variable, arguments)| Self::start(variable, arguments)).collect()
    }

    fn start(variable: &'static str, arguments: &[&str]) -> Result<Self> {
        let mut process = Command::new("node")
            .arg("tests/realnet/start.mjs")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node tests/realnet/start.mjs")?;
        let mut description = String::new();
        let output = process.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut description).context("its first line")?;
        anyhow::ensure!(description.starts_with('{'), "the AT Protocol network did not start");
        Ok(Self { variable, description: description.trim().to_owned(), process })
    }

    /// The environment variable by which tests find it.
    pub(crate) fn variable(&self) -> (&'static str, &str) {
        (self.variable, &self.description)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if let Err(error) = self.process.wait() {
            eprintln!("an AT Protocol network did not stop: {error}");
        }
    }
}
