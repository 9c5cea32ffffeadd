//! A rolling upgrade: an earlier version of the binary and this one run on the same PostgreSQL database, one server is
//! replaced by the other under load, and no request fails. `docs/src/operating.md` has the steps, in "One server after
//! the other".

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_store::StoreError;
use causeway_store::testing::find_number;
use causeway_testkit::{Agent, Causeway, OauthClient, ScriptedUpstream, TestDatabase, Tokens};
use futures_util::future::try_join_all;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::start_and_stop::signal;
use crate::support::{DID, HANDLE, database_arguments, upstream_arguments, within_a_second};

/// Environment variable that names the binary of the earlier version.
const OLD_PROGRAM: &str = "CAUSEWAY_TEST_OLD_BIN";
/// Users at work.
const USERS: usize = 4;
/// How long the load may take for two rounds.
const STANDSTILL: Duration = Duration::from_mins(2);

mod extended {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn under_load() -> anyhow::Result<()> {
        super::upgrade().await
    }
}

async fn upgrade() -> Result<()> {
    let (old, new) = (old_program()?, Causeway::program()?);
    let Some(database) = TestDatabase::empty_postgres() else { return Ok(()) };
    let deployment = Deployment::new(&database).await?;
    deployment.migrate(&old, "up").await?;
    let a = deployment.serve(&old).await?;
    deployment.front.add(&a);
    let agent = Agent::default();
    let client = OauthClient::register_with(&agent, &deployment.front.origin, "client_secret_post").await?;
    let idle = client.sign_in(&agent, &deployment.upstream, HANDLE).await?;
    let begun = get(&client, "/api/session", &idle.access_token).await?;

    let known = deployment.migrate(&old, "status").await?;
    let b = if known.contains(&schema_floor().await?.to_string()) {
        replace_under_load(&deployment, &client, a, &new).await?
    } else {
        replace_after_refusal(&deployment, a, &old, &new).await?
    };

    // A session that was in no use meanwhile: its tokens, its browser, and its refresh token at the PDS.
    let session = get(&client, "/api/session", &idle.access_token).await?;
    assert_eq!(session["session_id"], begun["session_id"]);
    let url = format!("{}/api/session/refresh", client.issuer);
    let refreshed = agent.send(agent.request("POST".parse()?, &url).bearer_auth(&idle.access_token)).await?;
    assert_eq!(refreshed.json()["head_iteration"], 2, "{refreshed:?}");
    let account = agent.get(&format!("{}/account", client.issuer)).await?;
    let id = begun["session_id"].as_str().context("session_id")?;
    assert!(account.status == 200 && account.text.contains(id), "{account:?}");
    let tokens = Tokens::read(&client.refresh(&agent, &idle.refresh_token).await?)?;
    get(&client, "/xrpc/com.atproto.repo.describeRepo?repo=x", &tokens.access_token).await?;
    b.server.kill().await
}

/// Replaces a server by the steps of a rolling upgrade, while users are at work. Returns the new one.
async fn replace_under_load(
    deployment: &Deployment,
    client: &OauthClient,
    a: Node,
    new: &Path,
) -> Result<Node> {
    let load = Load::new(client, &deployment.upstream);
    let upgrade = async {
        load.two_rounds().await.context("the old server alone")?;
        deployment.migrate(new, "up").await?;
        assert_eq!(a.readiness().await?, 200, "the old server is ready after the migration");
        load.two_rounds().await.context("the old server, after the migration")?;

        let (code, authorization) =
            client.obtain_code(&Agent::default(), &deployment.upstream, HANDLE).await?;
        let b = deployment.serve(new).await?;
        assert_eq!((a.readiness().await?, b.readiness().await?), (200, 200));
        let through_b = OauthClient { issuer: format!("http://{}", b.bound), ..client.clone() };
        let redeemed = through_b.redeem(&Agent::default(), &code, &authorization.verifier).await?;
        assert_eq!(redeemed.status, 200, "a code of the old server at the new one: {redeemed:?}");
        deployment.front.add(&b);
        load.two_rounds().await.context("both servers")?;

        signal(&a.server, "TERM").await?;
        within_a_second(async || Ok(a.readiness().await? == 503)).await?;
        deployment.front.remove(&a);
        load.two_rounds().await.context("the old server is drained")?;
        // A second signal ends the wait: nobody has a connection to it any more.
        a.server.stop().await?;
        load.two_rounds().await.context("the new server alone")?;
        load.has_ended.store(true, Ordering::Relaxed);
        anyhow::Ok(b)
    };
    let users = try_join_all((0..USERS).map(|n| load.user(n)));
    let (b, _) = tokio::try_join!(upgrade, users)?;
    Ok(b)
}

/// Replaces a server that may not run beside the new schema: it is not ready after the migration, and does not start
/// again. Returns the new one.
async fn replace_after_refusal(deployment: &Deployment, a: Node, old: &Path, new: &Path) -> Result<Node> {
    deployment.migrate(new, "up").await?;
    assert_eq!(a.readiness().await?, 503, "the old server is no longer ready");
    let mut again = Causeway::command_of(old, deployment.directory.path());
    let refused = again.args(&deployment.arguments).output().await?;
    let said = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("was migrated by a newer version"), "{said}");
    deployment.front.remove(&a);
    // It serves nobody any more, so that nothing is left to be drained.
    a.server.kill().await?;
    let b = deployment.serve(new).await?;
    deployment.front.add(&b);
    Ok(b)
}

fn old_program() -> Result<PathBuf> {
    let named = std::env::var_os(OLD_PROGRAM).filter(|named| !named.is_empty()).with_context(|| {
        format!(
            "{OLD_PROGRAM} does not name the binary of an earlier version: `cargo xtask test --extended` builds one"
        )
    })?;
    Path::new(&named).canonicalize().with_context(|| format!("{OLD_PROGRAM}={}", Path::new(&named).display()))
}

/// The newest migration that a version must know to work with the schema of this one.
async fn schema_floor() -> Result<i64> {
    let migrated = TestDatabase::postgres().context("PostgreSQL")?;
    let store = migrated.store().await;
    let floor = "SELECT CAST(version AS BIGINT) AS number FROM schema_floor";
    let floor = store.read::<_, StoreError, _>(move |c| find_number(c, floor)).await?;
    store.close().await;
    Ok(floor)
}

/// Calls with an access token, on a connection of its own, so that the front chooses a server for it.
async fn get(client: &OauthClient, path: &str, token: &str) -> Result<Value> {
    let answer = Agent::default().get_with(&format!("{}{path}", client.issuer), token).await?;
    ensure!(answer.status == 200, "{path}: {answer:?}");
    Ok(answer.json())
}

/// Servers on one database, what stands before them, and the PDS of their users.
struct Deployment {
    front: Front,
    upstream: ScriptedUpstream,
    /// Arguments that name the database and its key ring.
    database: Vec<String>,
    /// Arguments of every server.
    arguments: Vec<String>,
    directory: TempDir,
}

impl Deployment {
    async fn new(database: &TestDatabase) -> Result<Self> {
        let (front, upstream) = (Front::start().await?, ScriptedUpstream::start(HANDLE, DID)?);
        // Most calls refresh their session at the PDS first.
        upstream.script(|script| script.expires_in = Some(3));
        let directory = tempfile::tempdir()?;
        let database = database_arguments(database, directory.path())?;
        let mut arguments = [&database[..], &upstream_arguments(&upstream.environment())].concat();
        arguments.push(format!("--external-url={}", front.origin));
        // Until a second signal.
        arguments.push("--drain-seconds=600".to_owned());
        // All users are behind one address.
        arguments.extend(["--sign-in-limit=off", "--authorization-limit=off"].map(str::to_owned));
        Ok(Self { front, upstream, database, arguments, directory })
    }

    /// Runs `causeway migrate` of a version, and returns what it prints.
    async fn migrate(&self, program: &Path, verb: &str) -> Result<String> {
        let mut command = Causeway::command_of(program, self.directory.path());
        let output = command.args(["migrate", verb]).args(&self.database).output().await?;
        ensure!(output.status.success(), "migrate {verb}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts a server of a version, which the front does not know yet.
    async fn serve(&self, program: &Path) -> Result<Node> {
        let directory = tempfile::tempdir()?;
        let environment = [("RUST_LOG", "info")];
        let server =
            Causeway::serve_program(program, directory.path(), &self.arguments, &environment).await?;
        let bound = server.bound()?;
        Ok(Node { bound, server, _directory: directory })
    }
}

/// A server of a deployment.
struct Node {
    /// Its own address, behind the front.
    bound: String,
    server: Causeway,
    _directory: TempDir,
}

impl Node {
    async fn readiness(&self) -> Result<u16> {
        Ok(Agent::default().get(&format!("http://{}/readyz", self.bound)).await?.status)
    }
}

/// A load balancer: servers take turns, connection by connection.
struct Front {
    origin: String,
    servers: Arc<Mutex<VecDeque<String>>>,
}

impl Front {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let front = Self { origin, servers: Arc::default() };
        let servers = Arc::clone(&front.servers);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let next = {
                    let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
                    let next = servers.pop_front();
                    servers.extend(next.clone());
                    next
                };
                tokio::spawn(async move {
                    let Some(next) = next else { return };
                    if let Ok(mut server) = TcpStream::connect(next).await {
                        // However it ends, both sides are closed.
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Ok(front)
    }

    fn add(&self, node: &Node) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).push_back(node.bound.clone());
    }

    /// No new connection goes to this server; those that are open stay.
    fn remove(&self, node: &Node) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).retain(|bound| *bound != node.bound);
    }
}

/// Users at work, in rounds, each of which has requests of every kind. Any answer but the right one ends it with an error.
struct Load<'a> {
    client: &'a OauthClient,
    upstream: &'a ScriptedUpstream,
    /// How many rounds each user has completed.
    rounds: watch::Sender<[usize; USERS]>,
    has_ended: AtomicBool,
}

impl<'a> Load<'a> {
    fn new(client: &'a OauthClient, upstream: &'a ScriptedUpstream) -> Self {
        let rounds = watch::Sender::new([0; USERS]);
        Self { client, upstream, rounds, has_ended: AtomicBool::new(false) }
    }

    /// Uses one session until the load ends.
    async fn user(&self, n: usize) -> Result<()> {
        let mut tokens = self.client.sign_in(&Agent::default(), self.upstream, HANDLE).await?;
        while !self.has_ended.load(Ordering::Relaxed) {
            tokens = self.round(&tokens).await.with_context(|| format!("user {n}"))?;
            self.rounds.send_modify(|rounds| rounds[n] += 1);
        }
        Ok(())
    }

    async fn round(&self, tokens: &Tokens) -> Result<Tokens> {
        let (client, token) = (self.client, &*tokens.access_token);
        let userinfo = get(client, "/oauth/userinfo", token).await?;
        ensure!(userinfo["sub"] == DID, "{userinfo}");
        let answer = client.post(&Agent::default(), "/oauth/introspect", &[("token", token)]).await?;
        ensure!(answer.json()["active"] == true, "introspection: {answer:?}");
        get(client, "/xrpc/com.atproto.repo.describeRepo?repo=x", token).await?;
        let another = client.sign_in(&Agent::default(), self.upstream, HANDLE).await.context("sign-in")?;
        get(client, "/oauth/userinfo", &another.access_token).await?;
        let answer = client.refresh(&Agent::default(), &tokens.refresh_token).await?;
        Tokens::read(&answer).context("refresh")
    }

    /// Waits until every user has completed two rounds, of which one began after this call.
    async fn two_rounds(&self) -> Result<()> {
        let mut rounds = self.rounds.subscribe();
        let before = *rounds.borrow_and_update();
        let passed = rounds.wait_for(|now| now.iter().zip(before).all(|(now, before)| now - before >= 2));
        tokio::time::timeout(STANDSTILL, passed).await.context("the load stands still")??;
        Ok(())
    }
}
