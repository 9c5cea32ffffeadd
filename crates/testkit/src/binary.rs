//! The binary itself, as an operator runs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a command may take.
const RUN_TIMEOUT: Duration = Duration::from_mins(1);

/// A running `causeway serve`. It is killed when it is dropped.
#[derive(Debug)]
pub struct Causeway {
    /// The address that it printed.
    pub address: String,
    /// Everything that it printed up to that line.
    pub banner: String,
    process: Child,
    log: PathBuf,
}

impl Causeway {
    /// The binary under test: the one that `cargo xtask test` built, or the debug build beside this test.
    ///
    /// # Errors
    /// When there is none.
    pub fn program() -> Result<PathBuf> {
        if let Some(program) = std::env::var_os("CAUSEWAY_BIN") {
            return Ok(program.into());
        }
        let here = std::env::current_exe()?;
        let program = here.parent().and_then(Path::parent).context("target directory")?.join("causeway");
        anyhow::ensure!(program.exists(), "build it first: cargo build -p causeway-server");
        Ok(program)
    }

    /// A command that runs the binary in `directory` with a clean environment.
    ///
    /// # Errors
    /// When there is no binary.
    pub fn command(directory: &Path) -> Result<Command> {
        Ok(Self::command_of(&Self::program()?, directory))
    }

    /// The same for the binary of another version.
    pub fn command_of(program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Runs it to completion, which takes a command less than a minute: a server that was to be refused would run for
    /// ever.
    ///
    /// # Errors
    /// When it cannot be run, or does not end.
    pub async fn run(directory: &Path, arguments: &[&str]) -> Result<std::process::Output> {
        let ended = Self::command(directory)?.kill_on_drop(true).args(arguments).output();
        Ok(timeout(RUN_TIMEOUT, ended).await.with_context(|| format!("{arguments:?} does not end"))??)
    }

    /// Starts the server in `directory` and waits until it reports that it is running. The log is at TRACE.
    ///
    /// # Errors
    /// When it does not start; the error has its output.
    pub async fn serve<S: AsRef<OsStr>>(directory: &Path, arguments: &[S]) -> Result<Self> {
        Self::serve_with(directory, arguments, &[("RUST_LOG", "trace")]).await
    }

    /// The same with these environment variables, without `RUST_LOG`.
    ///
    /// # Errors
    /// When it does not start; the error has its output.
    pub async fn serve_with<S: AsRef<OsStr>>(
        directory: &Path,
        arguments: &[S],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        Self::serve_program(&Self::program()?, directory, arguments, environment).await
    }

    /// The same with the binary of another version.
    ///
    /// # Errors
    /// When it does not start; the error has its output.
    pub async fn serve_program<S: AsRef<OsStr>>(
        program: &Path,
        directory: &Path,
        arguments: &[S],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let log = directory.join(format!("causeway-{}.log", std::process::id()));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut process = Self::command_of(program, directory)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("stdout")?).lines();
        let mut banner = String::new();
        let mut address = String::new();
        loop {
            let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await??;
            let Some(line) = line else {
                let said = std::fs::read_to_string(&log)?;
                anyhow::bail!("it did not start: {said}");
            };
            if let Some(found) = line.trim().strip_prefix("Address") {
                found.trim().clone_into(&mut address);
            }
            banner.push_str(&line);
            banner.push('\n');
            if line.trim().starts_with("Next") {
                return Ok(Self { address, banner, process, log });
            }
        }
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The address that it listens on, `HOST:PORT`, also behind a TLS proxy.
    ///
    /// # Errors
    /// When it has not logged it.
    pub fn bound(&self) -> Result<String> {
        self.logged("bound")
    }

    /// Where it serves its metrics, if it was asked to.
    ///
    /// # Errors
    /// When it has not logged it.
    pub fn metrics_url(&self) -> Result<String> {
        Ok(format!("http://{}/metrics", self.logged("metrics_bound")?))
    }

    /// The last value of a text member of the log.
    fn logged(&self, member: &str) -> Result<String> {
        let log = self.log()?;
        let (_, rest) = log.rsplit_once(&format!("\"{member}\":\"")).context("it is not in the log")?;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }

    /// Everything that it has logged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// Kills it at once, as a power cut would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Asks it to stop, as an operator does, and waits until it has.
    ///
    /// # Errors
    /// When it cannot be asked, or does not stop well within a minute.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.pid().context("it runs")?.to_string();
        anyhow::ensure!(
            Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().await?.success()
        );
        let ended = tokio::time::timeout(Duration::from_mins(1), self.process.wait()).await??;
        anyhow::ensure!(ended.success(), "{ended}: {}", self.log()?);
        Ok(())
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }
}
