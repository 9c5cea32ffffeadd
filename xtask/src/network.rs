//! Real AT Protocol networks that all tests of a run share, since starting one takes seconds.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A running network. It stops when its standard input closes, which is when this is dropped.
pub(crate) struct Network {
    variable: String,
    description: String,
    process: Child,
}

/// Releases of the PDS that networks are started with.
const RELEASES: [&str; 2] = ["0.4", "0.5"];

impl Network {
    /// Starts one of each release over http, and one over https with everything that a production PDS checks.
    pub(crate) fn start_all() -> Result<Vec<Self>> {
        let kinds: [(&str, &[&str]); 2] = [("", &[]), ("_TLS", &["--tls", "--strict"])];
        let all = RELEASES.into_iter().flat_map(|release| kinds.map(|kind| (release, kind)));
        // All are started before any is waited for.
        let started: Vec<Self> =
            all.map(|(release, kind)| Self::start(release, kind)).collect::<Result<_>>()?;
        started.into_iter().map(Self::ready).collect()
    }

    fn start(release: &str, (suffix, arguments): (&str, &[&str])) -> Result<Self> {
        let process = Command::new("node")
            .args(["tests/realnet/start.mjs", "--release", release])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node tests/realnet/start.mjs")?;
        let variable = format!("CAUSEWAY_TEST_REALNET_{}{suffix}", release.replace('.', "_"));
        Ok(Self { variable, description: String::new(), process })
    }

    /// Waits until it has printed its description.
    fn ready(mut self) -> Result<Self> {
        let output = self.process.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut self.description).context("its first line")?;
        anyhow::ensure!(self.description.starts_with('{'), "an AT Protocol network did not start");
        Ok(self)
    }

    /// The environment variable by which tests find it.
    pub(crate) fn variable(&self) -> (&str, &str) {
        (&self.variable, self.description.trim())
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
