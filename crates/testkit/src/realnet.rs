//! A real AT Protocol network on loopback: the package in `tests/realnet`, driven over pipes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_types::{Rng as _, SystemRng};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::app::Environment;
use crate::{Agent, User};

/// An account of the network.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// Its handle.
    pub handle: String,
    /// Its password at its PDS.
    pub password: String,
    /// Its DID.
    pub did: String,
    /// Its PDS.
    pub pds: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    plc: String,
    directory: String,
    handle_resolver: String,
    accounts: Vec<Account>,
    ca: String,
}

/// Releases of the official PDS that networks are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PdsRelease {
    /// 0.4, with oauth-provider 0.15.
    V0_4,
    /// 0.5, with oauth-provider 0.22.
    V0_5,
}

impl PdsRelease {
    /// Every release.
    pub const ALL: [Self; 2] = [Self::V0_4, Self::V0_5];

    const fn name(self) -> &'static str {
        match self {
            Self::V0_4 => "0.4",
            Self::V0_5 => "0.5",
        }
    }

    /// The environment variable in which `cargo xtask test` describes a running network.
    fn variable(self, tls: bool) -> String {
        let tls = if tls { "_TLS" } else { "" };
        format!("CAUSEWAY_TEST_REALNET_{}{tls}", self.name().replace('.', "_"))
    }
}

/// A running network.
#[derive(Debug)]
pub struct RealNet {
    ready: Ready,
    driver: Driver,
    /// The network stops when this pipe closes.
    _process: Option<Child>,
}

/// Whether these tests were skipped on purpose; prints so.
#[expect(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
pub(crate) fn left_out() -> bool {
    let out = std::env::var_os("CAUSEWAY_TEST_NO_REALNET").is_some();
    if out {
        eprintln!("SKIPPED: the real AT Protocol network is left out");
    }
    out
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/realnet")
}

pub(crate) fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(directory().join(script)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) async fn first_line(child: &mut Child) -> Result<(Value, Lines<BufReader<ChildStdout>>)> {
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    let line = tokio::time::timeout(Duration::from_mins(2), lines.next_line()).await??;
    Ok((serde_json::from_str(&line.context("it ended at once")?)?, lines))
}

/// Https, and everything that a production PDS checks.
const STRICT: [&str; 2] = ["--tls", "--strict"];

/// Permissions that the scope package of this PDS release derives: see `tests/realnet/scope-reference.mjs`.
/// `None` when these tests are skipped.
///
/// # Errors
/// When it does not answer.
pub async fn scope_reference(release: PdsRelease, input: &Value) -> Result<Option<Value>> {
    if left_out() {
        return Ok(None);
    }
    let mut process = node("scope-reference.mjs")
        .args(["--release", release.name()])
        .spawn()
        .context("node: is it installed?")?;
    let mut pipe = process.stdin.take().context("stdin")?;
    pipe.write_all(format!("{input}\n").as_bytes()).await?;
    drop(pipe);
    Ok(Some(first_line(&mut process).await?.0))
}

impl RealNet {
    /// The network over http: the one that `cargo xtask test` started, or one for this test alone. `None`
    /// when these tests are skipped.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(release: PdsRelease) -> Result<Option<Self>> {
        Self::start_as(release, &[], Some(release.variable(false))).await
    }

    /// The same for this test alone, for tests that change how its PDSes behave.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_own(release: PdsRelease) -> Result<Option<Self>> {
        Self::start_as(release, &[], None).await
    }

    /// The network over https, with everything that a production PDS checks.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_tls(release: PdsRelease) -> Result<Option<Self>> {
        Self::start_as(release, &STRICT, Some(release.variable(true))).await
    }

    /// As [`RealNet::start_tls`], for a test that depends on what the PDSes cache about clients.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_own_tls(release: PdsRelease) -> Result<Option<Self>> {
        Self::start_as(release, &STRICT, None).await
    }

    async fn start_as(
        release: PdsRelease,
        arguments: &[&str],
        variable: Option<String>,
    ) -> Result<Option<Self>> {
        if left_out() {
            return Ok(None);
        }
        let running = variable.and_then(|variable| std::env::var(variable).ok());
        let (ready, process) = if let Some(running) = running {
            (serde_json::from_str(&running)?, None)
        } else {
            let mut command = node("start.mjs");
            command.args(["--release", release.name()]).args(arguments);
            let mut child = command.spawn().context("node: is it installed?")?;
            (first_line(&mut child).await.context("the network")?.0, Some(child))
        };
        let ready: Ready = serde_json::from_value(ready)?;
        let driver = Driver::start(&ready.ca)?;
        Ok(Some(Self { ready, driver, _process: process }))
    }

    /// Where a server under test finds its accounts.
    pub fn environment(&self) -> Environment {
        Environment {
            plc_url: self.ready.plc.clone(),
            handle_resolver: self.ready.handle_resolver.clone(),
            timeout: Duration::from_secs(10),
        }
    }

    /// An account by the first part of its handle.
    ///
    /// # Errors
    /// When there is none.
    pub fn account(&self, name: &str) -> Result<&Account> {
        let handle = format!("{name}.test");
        self.ready.accounts.iter().find(|account| account.handle == handle).context("no such account")
    }

    /// A user at their browser.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn user(&self, name: &str) -> Result<UserAt<'_>> {
        Ok(self.user_of(self.account(name)?))
    }

    /// The owner of an account at their browser.
    pub const fn user_of<'a>(&'a self, account: &'a Account) -> UserAt<'a> {
        UserAt { driver: &self.driver, account }
    }

    /// Creates an account for this test, on the PDS of the account `beside`.
    ///
    /// # Errors
    /// When the PDS does not create it.
    pub async fn new_account(&self, beside: &str) -> Result<Account> {
        let mut random = [0_u8; 6];
        SystemRng.fill(&mut random);
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let (handle, password) = (format!("n{name}.test"), format!("{name}-password"));
        let pds = self.account(beside)?.pds.clone();
        let body = json!({"handle": handle, "password": password, "email": format!("{name}@mail.test")});
        let url = format!("{pds}/xrpc/com.atproto.server.createAccount");
        let agent = Agent::new(Some(&self.ca()?));
        let answer = agent.post_body(&url, "application/json", body.to_string()).await?;
        let did = answer.json()["did"].as_str().with_context(|| format!("{answer:?}"))?.to_owned();
        Ok(Account { handle, password, did, pds })
    }

    /// Number of OAuth sessions that the PDSes hold for an account.
    ///
    /// # Errors
    /// When the network does not say.
    pub async fn sessions(&self, did: &str) -> Result<u64> {
        let counted = self.control("age-sessions", &json!({"seconds": 0, "did": did})).await?;
        counted["sessions"].as_u64().context("sessions")
    }

    /// The certificate authority of the network, PEM.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ca(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(&self.ready.ca)?)
    }

    /// The file of [`RealNet::ca`].
    pub fn ca_path(&self) -> &str {
        &self.ready.ca
    }

    /// The folder with the certificates, for a [`TlsProxy`].
    ///
    /// # Errors
    /// When the network has none.
    pub fn tls_directory(&self) -> Result<PathBuf> {
        let folder = Path::new(&self.ready.ca).parent().and_then(Path::parent);
        Ok(folder.context("the network has no certificates")?.to_owned())
    }

    /// Sends the network a command, such as `age-sessions`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn control(&self, command: &str, input: &Value) -> Result<Value> {
        let agent = Agent::new(Some(&self.ca()?));
        let url = format!("{}/control/{command}", self.ready.directory);
        let answer = agent.post_body(&url, "application/json", input.to_string()).await?;
        ensure!(answer.status == 200, "{command}: {answer:?}");
        Ok(answer.json())
    }
}

/// A user with an account, at their browser.
#[derive(Debug)]
pub struct UserAt<'a> {
    driver: &'a Driver,
    account: &'a Account,
}

impl UserAt<'_> {
    /// Signs in and declines.
    ///
    /// # Errors
    /// When the PDS does not respond as expected.
    pub async fn reject(&self, authorize_url: &str) -> Result<String> {
        self.driver.authorize(authorize_url, self.account, "reject").await
    }
}

impl User for UserAt<'_> {
    async fn approve(&self, authorize_url: &str) -> Result<String> {
        self.driver.authorize(authorize_url, self.account, "consent").await
    }
}

/// Signs users in at their PDSes over plain HTTP, as a browser would.
#[derive(Debug)]
pub struct Driver {
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    next: AtomicU64,
    _process: Child,
}

impl Driver {
    fn start(ca: &str) -> Result<Self> {
        let mut process = node("driver.mjs").env("NODE_EXTRA_CA_CERTS", ca).spawn()?;
        let input = process.stdin.take().context("stdin")?;
        let output = BufReader::new(process.stdout.take().context("stdout")?).lines();
        Ok(Self { pipes: Mutex::new((input, output)), next: AtomicU64::new(1), _process: process })
    }

    async fn authorize(&self, url: &str, account: &Account, decision: &str) -> Result<String> {
        let command = json!({
            "id": self.next.fetch_add(1, Ordering::Relaxed),
            "cmd": "authorize",
            "url": url,
            "handle": account.handle,
            "password": account.password,
            "decision": decision,
        });
        let mut pipes = self.pipes.lock().await;
        pipes.0.write_all(format!("{command}\n").as_bytes()).await?;
        pipes.0.flush().await?;
        let line = pipes.1.next_line().await?.context("the driver ended")?;
        let answer: Value = serde_json::from_str(&line)?;
        answer["redirect"].as_str().map(str::to_owned).with_context(|| format!("at the PDS: {answer}"))
    }
}

/// A TLS front for a server under test, under a name that PDSes accept.
#[derive(Debug)]
pub struct TlsProxy {
    /// Its origin.
    pub url: String,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl TlsProxy {
    /// Starts it without a target.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(net: &RealNet) -> Result<Self> {
        let mut process = node("tls-proxy.mjs")
            .args(["--name", "causeway.apps.internal", "--tls-dir"])
            .arg(net.tls_directory()?)
            .spawn()?;
        let (ready, output) = first_line(&mut process).await.context("the TLS proxy")?;
        let input = process.stdin.take().context("stdin")?;
        let url = ready["url"].as_str().context("url")?.trim_end_matches('/').to_owned();
        Ok(Self { url, input, output, _process: process })
    }

    /// Points it at a server.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn point_at(&mut self, address: &str) -> Result<()> {
        self.send(&json!({"to": address})).await
    }

    /// Blocks one path from now on, like a proxy that was not configured to pass it on.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn block(&mut self, path: &str) -> Result<()> {
        self.send(&json!({"block": path})).await
    }

    async fn send(&mut self, what: &Value) -> Result<()> {
        self.input.write_all(format!("{what}\n").as_bytes()).await?;
        self.input.flush().await?;
        self.output.next_line().await?.context("the TLS proxy ended")?;
        Ok(())
    }
}
