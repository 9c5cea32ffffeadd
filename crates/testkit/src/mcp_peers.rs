//! MCP servers and clients that this project did not write, on loopback: the packages in `tests/mcp`. They speak in lines of
//! JSON, and end when their pipe closes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The environment variable with the Python interpreter that has the packages of `tests/mcp/requirements.txt`.
const PYTHON: &str = "CAUSEWAY_TEST_MCP_PYTHON";
/// How long a peer may take to say something.
const LINE_TIMEOUT: Duration = Duration::from_secs(90);

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpServerPeer {
    /// The TypeScript SDK with its authorization server; revision 2025-11-25, with sessions.
    TypeScript,
    /// The same with revision 2026-07-28.
    TypeScriptModern,
    /// fastmcp with its authorization server.
    FastMcp,
    /// The Python SDK without authorization.
    Python,
}

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpClientPeer {
    /// The TypeScript SDK; revision 2025-11-25.
    TypeScript,
    /// The same with revision 2026-07-28.
    TypeScriptModern,
    /// The Python SDK.
    Python,
    /// mcp-remote, a program between a client on standard input and a remote server.
    McpRemote,
}

/// A running peer.
#[derive(Debug)]
pub struct McpPeer {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/mcp")
}

#[expect(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("SKIPPED: {reason}");
    None
}

fn node(script: &str) -> Option<Command> {
    if !directory().join("node_modules").is_dir() {
        return skip("tests/mcp/node_modules is missing: cargo xtask test installs it");
    }
    let mut command = Command::new("node");
    command.arg(directory().join(script));
    Some(command)
}

fn python(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os(PYTHON) else {
        return skip(
            "CAUSEWAY_TEST_MCP_PYTHON names no Python with mcp and fastmcp: cargo xtask test installs them",
        );
    };
    let mut command = Command::new(python);
    command.arg(directory().join(script));
    Some(command)
}

impl McpPeer {
    /// Starts a server; returns its address. `None`: what it needs is not installed, which is printed.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn server(peer: McpServerPeer, arguments: &[&str]) -> Result<Option<(Self, String)>> {
        let (command, kind): (_, &[&str]) = match peer {
            McpServerPeer::TypeScript => (node("server.mjs"), &[]),
            McpServerPeer::TypeScriptModern => (node("server.mjs"), &["--modern"]),
            McpServerPeer::FastMcp => (python("server.py"), &["--kind", "fastmcp"]),
            McpServerPeer::Python => (python("server.py"), &["--kind", "mcp"]),
        };
        let Some(mut command) = command else { return Ok(None) };
        let mut peer = Self::start(command.args(kind).args(arguments))?;
        let url = peer.next().await?["url"].as_str().context("url")?.to_owned();
        Ok(Some((peer, url)))
    }

    /// Starts a client of a server. `None`: what it needs is not installed, which is printed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn client(peer: McpClientPeer, url: &str) -> Result<Option<Self>> {
        let (command, arguments): (_, &[&str]) = match peer {
            McpClientPeer::TypeScript => (node("client.mjs"), &["--sdk", "1", "--url", url]),
            McpClientPeer::TypeScriptModern => (node("client.mjs"), &["--sdk", "2", "--url", url]),
            McpClientPeer::Python => (python("client.py"), &["--url", url]),
            McpClientPeer::McpRemote => {
                (node("node_modules/mcp-remote/dist/proxy.js"), &[url, "--transport", "http-only"])
            }
        };
        let Some(mut command) = command else { return Ok(None) };
        if peer == McpClientPeer::McpRemote {
            // Nothing of it stays, and nothing opens a browser.
            let home = tempfile::tempdir()?.keep();
            command.env("MCP_REMOTE_CONFIG_DIR", home).env("PATH", node_path()).env_remove("DISPLAY");
        }
        Ok(Some(Self::start(command.args(arguments))?))
    }

    fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("is it installed?")?;
        let input = process.stdin.take().context("stdin")?;
        let output = BufReader::new(process.stdout.take().context("stdout")?).lines();
        let errors = BufReader::new(process.stderr.take().context("stderr")?).lines();
        Ok(Self { process, input, output, errors })
    }

    /// The next line.
    ///
    /// # Errors
    /// When there is none.
    pub async fn next(&mut self) -> Result<Value> {
        let line = timeout(LINE_TIMEOUT, self.output.next_line()).await.context("it says nothing")??;
        if let Some(line) = line {
            return serde_json::from_str(&line).with_context(|| line);
        }
        let mut errors = Vec::new();
        while let Some(line) = self.errors.next_line().await? {
            errors.push(line);
        }
        anyhow::bail!("it has ended: {}", errors.join("\n"))
    }

    /// The first line on its standard error that has this text.
    ///
    /// # Errors
    /// When there is none.
    pub async fn error_with(&mut self, text: &str) -> Result<String> {
        let finding = async {
            while let Some(line) = self.errors.next_line().await? {
                if line.contains(text) {
                    return Ok(line);
                }
            }
            anyhow::bail!("it has ended")
        };
        timeout(LINE_TIMEOUT, finding).await.context("it says nothing")?
    }

    /// Writes a line to it.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn say(&mut self, line: &str) -> Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    /// Sends a JSON-RPC request and returns the answer with its identifier.
    ///
    /// # Errors
    /// When there is none.
    pub async fn request(&mut self, id: u32, method: &str, params: &Value) -> Result<Value> {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())
            .await?;
        loop {
            let message = self.next().await?;
            if message["id"] == id && message.get("method").is_none() {
                return Ok(message);
            }
        }
    }

    /// Whether it is running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

/// The directory of `node` alone, so that no program that opens a browser is found.
fn node_path() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find(|directory| directory.join("node").is_file()).unwrap_or_default()
}
