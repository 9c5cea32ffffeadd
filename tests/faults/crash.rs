//! The server is killed, as by a power cut, at every step of a refresh, and while hundreds of sessions are in
//! use.
//!
//! One loss cannot be avoided: the authorization server has consumed the old token and responded, and the
//! process dies before the response is committed. It is counted. Everything else has to recover, and no
//! session may ever be left with an access token of one response and a refresh token of another.
//!
//! `CAUSEWAY_CRASH_ROUNDS` and `CAUSEWAY_SOAK_SECONDS` make these longer than they are by default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use causeway_domain::session::Credentials;
use causeway_domain::token::AccessSubject;
use causeway_domain::{Clock as _, SystemClock};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::testing::{expire_leases, leased_until, stop_hearts};
use causeway_store::{Store, StoreError, sessions, tokens};
use causeway_testkit::{Agent, Answer, Causeway, Fault, OauthClient, ScriptedUpstream, TestDatabase, Tokens};
use causeway_types::{PlainToken, Rng as _, SessionState, SystemRng, TenantId, UpstreamSessionId};
use tempfile::TempDir;

use crate::support::{DID, HANDLE, database_arguments, on_each_database, upstream_arguments};

/// How often or how long, unless somebody asks for more.
fn asked_for(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Less than `below`, by chance.
fn by_chance(below: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRng.fill(&mut bytes);
    u64::from_le_bytes(bytes) % below
}

/// A binary that is killed and restarted, and its database.
struct Rig {
    directory: TempDir,
    arguments: Vec<String>,
    upstream: ScriptedUpstream,
    store: Store,
    ring: Arc<EncryptionKeyRing>,
    issuer: String,
    server: Option<Causeway>,
}

impl Rig {
    async fn set(database: &TestDatabase) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let mut arguments = database_arguments(database, directory.path())?;
        let key: PathBuf = directory.path().join("ring.key");
        let ring = Arc::new(EncryptionKeyRing::parse(&std::fs::read_to_string(key)?)?);
        arguments.extend(upstream_arguments(&upstream.environment()));
        // Hundreds of users behind one address.
        arguments.extend(["--sign-in-limit=off", "--authorization-limit=off"].map(str::to_owned));
        let server = Causeway::serve(directory.path(), &arguments).await?;
        let issuer = server.address.clone();
        let port = issuer.rsplit_once(':').context("port")?.1.to_owned();
        arguments.retain(|argument| argument != "--listen=127.0.0.1:0");
        arguments.push(format!("--listen=127.0.0.1:{port}"));
        let store = database.store().await;
        Ok(Self { directory, arguments, upstream, store, ring, issuer, server: Some(server) })
    }

    async fn kill(&mut self) -> Result<()> {
        self.server.take().context("it runs")?.kill().await
    }

    async fn start(&mut self) -> Result<()> {
        self.server = Some(Causeway::serve(self.directory.path(), &self.arguments).await?);
        Ok(())
    }

    /// Expires the leases of dead processes, as 120 seconds would.
    async fn let_leases_run_out(&self) -> Result<()> {
        Ok(self.store.write::<_, StoreError, _>(expire_leases).await?)
    }

    /// The state of a session, and the tokens that its head names.
    async fn look(&self, id: &UpstreamSessionId) -> Result<(SessionState, i64, Credentials)> {
        let (id, ring, tenant) = (id.clone(), Arc::clone(&self.ring), TenantId::default_tenant());
        let found = self
            .store
            .read::<_, StoreError, _>(move |c| {
                let Some(head) = sessions::find_session_of_token(c, &tenant, &id)? else { return Ok(None) };
                let set = sessions::find_credentials(c, &ring, &head)?;
                Ok(set.map(|set| (head.state, head.iteration, set)))
            })
            .await?;
        found.context("a head without tokens")
    }

    /// The session behind an access token.
    async fn session_of(&self, tokens: &Tokens) -> Result<UpstreamSessionId> {
        let hash = PlainToken::presented(&*tokens.access_token).hash();
        let found = self.store.read::<_, StoreError, _>(move |c| tokens::find_access_token(c, &hash)).await?;
        match found.context("the token")?.subject {
            AccessSubject::User(user) => Ok(user.session_id),
            AccessSubject::Client => bail!("the client's own token"),
        }
    }

    /// Refreshes a session at its authorization server.
    fn refresh(&self, token: &str) -> impl Future<Output = Result<Answer>> + Send + 'static {
        let (url, token) = (format!("{}/api/session/refresh", self.issuer), token.to_owned());
        async move {
            let agent = Agent::default();
            agent.send(agent.request("POST".parse()?, &url).bearer_auth(token)).await
        }
    }

    /// Waits until the authorization server has counted one more request.
    async fn until_one_more(&self, what: &str, before: usize) -> Result<()> {
        let waited = async {
            while self.upstream.hits(what) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waited).await.with_context(|| format!("no {what}"))
    }

    /// Whether a session is lost; it is checked that whatever is not lost works, and that no pair is mixed.
    async fn is_lost(&self, id: &UpstreamSessionId, token: &str) -> Result<bool> {
        let (state, iteration, set) = self.look(id).await?;
        let refresh = set.refresh_token.as_ref().context("a refresh token")?;
        ensure!(
            self.upstream.is_pair(set.dpop_bound()?.token.expose(), refresh.expose()),
            "iteration {iteration} holds tokens of two answers"
        );
        let takes = self.upstream.takes(refresh.expose());
        let mut answer = self.refresh(token).await?;
        if answer.status == 503 {
            // A pause after a failure that the kill made.
            let pause: u64 = answer.header("retry-after").parse()?;
            tokio::time::sleep(Duration::from_secs(pause)).await;
            answer = self.refresh(token).await?;
        }
        if takes {
            ensure!(state == SessionState::Active, "{state:?}, and the refresh token is good");
            ensure!(answer.status == 200, "iteration {iteration}: the refresh token is good, but {answer:?}");
            ensure!(answer.json()["head_iteration"] == iteration + 1, "{answer:?}");
            return Ok(false);
        }
        ensure!(answer.refusal() == "401 reauth_required", "{answer:?}");
        Ok(true)
    }
}

/// When the server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Around the time at which it takes the lease.
    Before,
    /// The request has arrived, and nothing was done with it.
    Asked,
    /// The authorization server has consumed the token; its response is on the way.
    Answered,
    /// The answer has arrived; it is being committed, or was just now.
    Committing,
    /// The caller has a response.
    Done,
}

const MOMENTS: [Moment; 5] =
    [Moment::Before, Moment::Asked, Moment::Answered, Moment::Committing, Moment::Done];

/// Begins a refresh and kills the server at this moment of it; returns how many responses the authorization
/// server had given by then.
async fn kill_at(rig: &mut Rig, moment: Moment, token: &str) -> Result<usize> {
    let (asked, issued) = (rig.upstream.hits("token"), rig.upstream.hits("issued"));
    let (fault, holds_answer) = match moment {
        Moment::Before | Moment::Asked => (Fault::Silence, None),
        Moment::Answered => (Fault::None, Some(Duration::from_mins(1))),
        Moment::Committing | Moment::Done => (Fault::None, None),
    };
    rig.upstream.script(|script| (script.token, script.holds_answer) = (fault, holds_answer));
    let refresh = tokio::spawn(rig.refresh(token));
    match moment {
        Moment::Before => tokio::time::sleep(Duration::from_millis(by_chance(15))).await,
        Moment::Asked => rig.until_one_more("token", asked).await?,
        Moment::Answered => rig.until_one_more("issued", issued).await?,
        Moment::Committing => {
            rig.until_one_more("issued", issued).await?;
            tokio::time::sleep(Duration::from_micros(by_chance(12_000))).await;
        }
        Moment::Done => {
            rig.until_one_more("issued", issued).await?;
            let waited = tokio::time::timeout(Duration::from_secs(10), async {
                while !refresh.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            waited.await?;
        }
    }
    rig.kill().await?;
    let issued = rig.upstream.hits("issued");
    let answer = refresh.await?;
    if moment == Moment::Done {
        ensure!(answer?.status == 200);
    }
    Ok(issued)
}

on_each_database! {
    /// Stopped while the authorization server is slow: the refresh in progress completes and nothing is lost,
    /// whether its caller still waits or has disconnected. The connection was opened for a request, by a
    /// worker that may be idle by now.
    async fn told_to_stop_in_the_middle(database) {
        let mut rig = Rig::set(database).await?;
        let client = OauthClient::register(&Agent::default(), &rig.issuer).await?;
        for caller_stays in [false, true] {
            let tokens = client.sign_in(&Agent::default(), &rig.upstream, HANDLE).await?;
            let id = rig.session_of(&tokens).await?;
            rig.upstream.script(|script| script.holds_answer = Some(Duration::from_millis(700)));
            let issued = rig.upstream.hits("issued");
            let refresh = tokio::spawn(rig.refresh(&tokens.access_token));
            rig.until_one_more("issued", issued).await?;
            if caller_stays {
                rig.server.take().context("it runs")?.stop().await?;
                let answer = refresh.await??;
                assert_eq!(answer.status, 200, "{answer:?}");
            } else {
                refresh.abort();
                rig.server.take().context("it runs")?.stop().await?;
            }
            let (state, iteration, _) = rig.look(&id).await?;
            assert_eq!((state, iteration), (SessionState::Active, 2), "the caller stays: {caller_stays}");
            rig.upstream.script(|script| script.holds_answer = None);
            rig.start().await?;
            assert!(!rig.is_lost(&id, &tokens.access_token).await?, "the caller stays: {caller_stays}");
        }
        Ok(())
    }

    /// Killed at every step around a refresh.
    async fn killed_at_every_step(database) {
        let rounds = asked_for("CAUSEWAY_CRASH_ROUNDS", 10);
        let mut rig = Rig::set(database).await?;
        let client = OauthClient::register(&Agent::default(), &rig.issuer).await?;
        let sign_in = async |rig: &Rig| client.sign_in(&Agent::default(), &rig.upstream, HANDLE).await;
        let mut tokens = sign_in(&rig).await?;
        let mut lost: BTreeMap<Moment, usize> = BTreeMap::new();
        let mut outlived = 0;
        for round in 0..rounds {
            let moment = MOMENTS[usize::try_from(round)? % MOMENTS.len()];
            let issued = kill_at(&mut rig, moment, &tokens.access_token).await?;
            rig.start().await?;
            rig.upstream.script(|script| (script.token, script.holds_answer) = (Fault::None, None));
            rig.let_leases_run_out().await?;
            let id = rig.session_of(&tokens).await?;
            let outcome = rig.is_lost(&id, &tokens.access_token).await;
            if outcome.with_context(|| format!("round {round}, {moment:?}"))? {
                if moment == Moment::Before && rig.upstream.hits("issued") > issued {
                    // Its request had left it, and was read when it was dead: nobody can help that either.
                    outlived += 1;
                } else {
                    *lost.entry(moment).or_default() += 1;
                }
                tokens = sign_in(&rig).await?;
            }
        }
        eprintln!("{}: {rounds} rounds, lost without remedy: {lost:?} and {outlived} to a request that outlived its sender", database.kind());
        for moment in [Moment::Before, Moment::Asked, Moment::Done] {
            assert_eq!(lost.get(&moment), None, "nothing was spent, or everything was committed: {lost:?}");
        }
        assert_eq!(
            lost.get(&Moment::Answered).copied().unwrap_or_default() as u64,
            (0..rounds).filter(|round| round % 5 == 2).count() as u64,
            "the one case that nobody can help: {lost:?}"
        );
        Ok(())
    }

    /// Killed while the authorization server is slow: nobody waits for the lease of the dead process. On the
    /// embedded database it is void when the next process starts, on a shared one when the heartbeat stops.
    async fn a_lease_does_not_outlive_its_server(database) {
        let mut rig = Rig::set(database).await?;
        let client = OauthClient::register(&Agent::default(), &rig.issuer).await?;
        let tokens = client.sign_in(&Agent::default(), &rig.upstream, HANDLE).await?;
        kill_at(&mut rig, Moment::Asked, &tokens.access_token).await?;
        let held = rig.store.read(leased_until).await?;
        assert!(held > SystemClock.now().as_secs() + 60, "{held}");
        if database.kind() == "postgres" {
            rig.store.write::<_, StoreError, _>(stop_hearts).await?;
        }
        rig.start().await?;
        rig.upstream.script(|script| script.token = Fault::None);
        let started = Instant::now();
        let answer = rig.refresh(&tokens.access_token).await?;
        assert_eq!(answer.json()["head_iteration"], 2, "{answer:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        Ok(())
    }

    /// Sessions at work, whose tokens live three seconds, and a server that is killed again and again. Lost are
    /// those alone whose answer was under way when it died.
    async fn soak(database) {
        let seconds = asked_for("CAUSEWAY_SOAK_SECONDS", 5);
        let count = if seconds < 60 { 20 } else { 200 };
        let mut rig = Rig::set(database).await?;
        rig.upstream.script(|script| script.expires_in = Some(3));
        let client = OauthClient::register(&Agent::default(), &rig.issuer).await?;
        let mut all = Vec::new();
        for _ in 0..count {
            let tokens = client.sign_in(&Agent::default(), &rig.upstream, HANDLE).await?;
            all.push((rig.session_of(&tokens).await?, tokens.access_token));
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let tally = Arc::new(Tally::default());
        let workers: Vec<_> = all
            .iter()
            .map(|(_, token)| tokio::spawn(work(rig.issuer.clone(), token.clone(), end, Arc::clone(&tally))))
            .collect();
        let mut killed = Vec::new();
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1500 + by_chance(4000))).await;
            rig.kill().await?;
            killed.push(Instant::now());
            rig.start().await?;
        }
        for worker in workers {
            worker.await??;
        }
        // Wait until work in progress ends, and the leases of dead processes expire.
        tokio::time::sleep(Duration::from_secs(2)).await;
        rig.let_leases_run_out().await?;
        let refreshes = rig.upstream.hits("issued") - count;
        let mut lost = 0;
        for (id, token) in &all {
            let (_, iteration, set) = rig.look(id).await?;
            let refresh = set.refresh_token.context("a refresh token")?;
            if rig.is_lost(id, token).await.with_context(|| format!("session {id}"))? {
                lost += 1;
                let spent = rig.upstream.spent_at(refresh.expose()).context("never spent")?;
                let by_a_kill = killed.iter().any(|at| spent <= *at && *at - spent < Duration::from_secs(1));
                ensure!(by_a_kill, "session {id} at iteration {iteration} was lost, and nobody was killed");
            }
        }
        eprintln!(
            "{}: {count} sessions, {seconds} s, {} kills, {refreshes} refreshes, {} calls answered, {} put off, \
             {} without a server; lost to the one unavoidable case: {lost}",
            database.kind(),
            killed.len(),
            tally.answered.load(Ordering::Relaxed),
            tally.put_off.load(Ordering::Relaxed),
            tally.unreachable.load(Ordering::Relaxed),
        );
        ensure!(tally.answered.load(Ordering::Relaxed) > count && refreshes > 0, "it was at work");
        Ok(())
    }
}

/// Outcomes of the calls.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    put_off: AtomicUsize,
    unreachable: AtomicUsize,
}

/// Calls a method of the PDS repeatedly.
async fn work(issuer: String, token: String, end: Instant, tally: Arc<Tally>) -> Result<()> {
    let agent = Agent::default();
    let url = format!("{issuer}/xrpc/com.atproto.server.getSession");
    while Instant::now() < end {
        let counter = match agent.get_with(&url, &token).await {
            Ok(answer) if answer.status == 200 => &tally.answered,
            // Overload: this machine, the server, or the scripted upstream.
            Ok(answer) if [408, 502, 503, 504].contains(&answer.status) => &tally.put_off,
            // Lost; whether it had to be is judged at the end.
            Ok(answer) if answer.refusal() == "401 reauth_required" => return Ok(()),
            Ok(answer) => anyhow::bail!("{answer:?}"),
            Err(_) => &tally.unreachable,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300 + by_chance(300))).await;
    }
    Ok(())
}
