//! Memory: what strangers send and PDSes answer is held within a budget, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_testkit::{Agent, Answer, Causeway, OauthClient, ScriptedUpstream, TestDatabase, XrpcReply};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{DID, HANDLE, database_arguments, upstream_arguments};

const MIB: usize = 1024 * 1024;
/// What the process may take, in bytes.
const MAX_RESIDENT: u64 = 250 * MIB as u64;
/// What others may have to wait, one in a hundred.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// The binary, with a user who has signed in.
struct Process {
    _kept: (TempDir, TestDatabase),
    server: Causeway,
    upstream: ScriptedUpstream,
    token: String,
}

/// How a process fared for a while.
#[derive(Debug)]
struct Fared {
    /// The most memory that it had, in bytes.
    resident: u64,
    /// How long 99 of 100 probes waited at most.
    wait: Duration,
}

impl Process {
    async fn start() -> Result<Self> {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let directory = tempfile::tempdir()?;
        let database = TestDatabase::sqlite();
        let mut arguments = database_arguments(&database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        let server = Causeway::serve_with(directory.path(), &arguments, &[("RUST_LOG", "info")]).await?;
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &server.address).await?;
        let token = client.sign_in(&agent, &upstream, HANDLE).await?.access_token;
        Ok(Self { _kept: (directory, database), server, upstream, token })
    }

    async fn ask(&self, body: String) -> Result<Answer> {
        let agent = Agent::default();
        let request = agent.request("POST".parse()?, &format!("{}/graphql", self.server.address));
        let request = request.bearer_auth(&self.token).header("content-type", "application/json");
        agent.send(request.body(body)).await
    }

    fn resident(&self) -> Result<u64> {
        let pid = self.server.pid().context("it runs")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    /// Watches it while something goes on.
    async fn fares<T>(&self, work: impl Future<Output = T>) -> Result<(T, Fared)> {
        let (ended, most) = (AtomicBool::new(false), AtomicU64::new(0));
        let agent = Agent::default();
        let url = format!("{}/healthz", self.server.address);
        let probing = async {
            let mut waits = Vec::new();
            while !ended.load(Ordering::Relaxed) || waits.len() < 100 {
                let asked = Instant::now();
                let status = agent.get(&url).await?.status;
                anyhow::ensure!(status == 200, "/healthz: {status}");
                waits.push(asked.elapsed());
                most.fetch_max(self.resident()?, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            waits.sort();
            Ok(waits[waits.len() * 99 / 100])
        };
        let working = async {
            let done = work.await;
            ended.store(true, Ordering::Relaxed);
            done
        };
        let (done, wait) = tokio::join!(working, probing);
        Ok((done, Fared { resident: most.into_inner(), wait: wait? }))
    }

    /// That it fares well: on a machine that is busy with other things, as well as without what goes on.
    async fn fares_well<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T> {
        let ((), idle) = self.fares(async {}).await?;
        let (done, fared) = self.fares(work).await?;
        println!("{what}: {} MiB, {:?} (idle: {idle:?})", fared.resident / MIB as u64, fared.wait);
        assert!(fared.resident < MAX_RESIDENT, "{what}: {fared:?}");
        assert!(fared.wait < MAX_WAIT.max(idle.wait * 4), "{what}: {fared:?}, idle {idle:?}");
        Ok(done)
    }
}

/// A query of twelve pages, of which it wants this.
fn pages(selection: &str) -> String {
    let page = |n| format!("p{n}: records(collection: \"app.bsky.feed.post\") {{ {selection} }}");
    let pages: Vec<String> = (0..12).map(page).collect();
    json!({ "query": format!("{{ {} }}", pages.join(" ")) }).to_string()
}

/// The codes of an answer's errors, each once.
fn codes(answer: &Answer) -> Vec<String> {
    let said = answer.json();
    let errors = said["errors"].as_array().cloned().unwrap_or_default();
    let mut codes: Vec<String> =
        errors.iter().filter_map(|error| error["extensions"]["code"].as_str()).map(str::to_owned).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// Ten queries of twelve pages each, at once, against a PDS that answers with as much as it likes: what is too large is
/// not held, what is held is not made into a tree, and `/healthz` answers meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_answers() -> Result<()> {
    let process = Arc::new(Process::start().await?);
    // Numbers: each takes two bytes of text, and seventy in a tree.
    let dense = |bytes: usize| format!("[{}0]", "0,".repeat(bytes / 2));
    let page = |bytes: usize| {
        format!(r#"{{"records":[{{"uri":"at://x","cid":"c","value":{}}}],"cursor":"next"}}"#, dense(bytes))
    };
    let endless = XrpcReply { body: page(MIB), filler: 16 * MIB, ..XrpcReply::default() };
    let announced = XrpcReply { body: page(16 * MIB), ..XrpcReply::default() };
    let fitting = XrpcReply { body: page(7 * MIB), ..XrpcReply::default() };
    for (what, reply, selection) in [
        ("without an end", endless, "cursor"),
        ("16 MiB", announced, "cursor records { value }"),
        ("7 MiB, cursor alone", fitting.clone(), "cursor"),
        ("7 MiB, all of it", fitting, "cursor records { uri value }"),
    ] {
        let is_held = what.starts_with('7');
        process.upstream.script(|script| script.answer = Some(reply));
        let asking = join_all((0..10).map(|_| process.ask(pages(selection))));
        for answer in process.fares_well(what, asking).await? {
            let answer = answer?;
            assert_eq!(answer.status, 200);
            let codes = codes(&answer);
            let known = ["answer_too_large", "temporarily_unavailable"];
            assert!(
                !codes.is_empty() && codes.iter().all(|code| known.contains(&code.as_str())),
                "{codes:?}"
            );
            if !is_held {
                assert!(codes.contains(&"answer_too_large".to_owned()), "{what}: {codes:?}");
            }
        }
    }
    // Alone, an answer of that size is passed on whole.
    let query =
        json!({"query": "{ records(collection: \"a.b.c\") { cursor records { value } } }"}).to_string();
    let alone = process.ask(query).await?;
    assert_eq!(codes(&alone), Vec::<String>::new());
    assert_eq!(alone.json()["data"]["records"]["cursor"], "next");
    assert!(alone.text.len() > 7 * MIB);
    Ok(())
}

/// Many bodies as large as they may be, each of which would be a tree of a hundred times its size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests() -> Result<()> {
    let process = Process::start().await?;
    let bytes = 2 * MIB - 1024;
    let body = |variables: String| {
        format!("{{\"query\":\"{{viewer{{did}}}}\",\"variables\":{{\"v\":{variables}}}}}")
    };
    for (what, body, refused) in [
        ("numbers", body(format!("[{}0]", "0,".repeat(bytes / 2))), true),
        ("objects", body(format!("[{}0]", "{\"\":0},".repeat(bytes / 7))), true),
        ("text", body(format!("{:?}", "x".repeat(bytes))), false),
    ] {
        let asking = join_all((0..48).map(|_| process.ask(body.clone())));
        let answers = process.fares_well(what, asking).await?;
        let statuses: Vec<u16> =
            answers.into_iter().map(|answer| answer.map(|answer| answer.status)).collect::<Result<_>>()?;
        let allowed: &[u16] = if refused { &[413, 503] } else { &[200, 503] };
        assert!(statuses.iter().all(|status| allowed.contains(status)), "{what}: {statuses:?}");
        assert!(statuses.contains(&allowed[0]), "{what}: {statuses:?}");
    }
    let viewer = process.ask(json!({"query": "{viewer{did}}"}).to_string()).await?.json();
    assert_eq!(viewer["data"]["viewer"]["did"], Value::from(DID));
    Ok(())
}
