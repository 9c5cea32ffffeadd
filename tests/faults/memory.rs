//! Memory: what strangers send and PDSes answer is held within a budget, and nobody else notices.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_testkit::{Agent, Answer, Causeway, OauthClient, ScriptedUpstream, TestDatabase, XrpcReply};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{DID, HANDLE, database_arguments, upstream_arguments};

const MIB: usize = 1024 * 1024;
/// Maximum resident memory of the process, in bytes.
const MAX_RESIDENT: u64 = 250_000_000;
/// Maximum delay of other requests, at the 99th percentile.
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
        Self::start_with(&[]).await
    }

    async fn start_with(more: &[&str]) -> Result<Self> {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let directory = tempfile::tempdir()?;
        let database = TestDatabase::sqlite();
        let mut arguments = database_arguments(&database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
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

    /// Watches it while something goes on: from a thread that does nothing else.
    async fn fares<T>(&self, work: impl Future<Output = T>) -> Result<(T, Fared)> {
        let ended = Arc::new(AtomicBool::new(false));
        let address = self.server.address.trim_start_matches("http://").to_owned();
        let (pid, end) = (self.server.pid().context("it runs")?, Arc::clone(&ended));
        let watching = std::thread::spawn(move || watch(&address, pid, &end));
        let done = work.await;
        ended.store(true, Ordering::Relaxed);
        let fared = tokio::task::spawn_blocking(|| watching.join()).await?;
        Ok((done, fared.map_err(|_| anyhow::anyhow!("the watch ended early"))??))
    }

    /// That it fares well, compared with how it fares when the processors are just as busy with something else.
    async fn fares_well<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T> {
        let busy = Arc::new(AtomicBool::new(true));
        for _ in 0..8 {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || while busy.load(Ordering::Relaxed) {});
        }
        let ((), usual) = self.fares(async {}).await?;
        busy.store(false, Ordering::Relaxed);
        let (done, fared) = self.fares(work).await?;
        println!("{what}: {} MiB, {:?} (usual: {usual:?})", fared.resident / MIB as u64, fared.wait);
        assert!(fared.resident < MAX_RESIDENT, "{what}: {fared:?}");
        assert!(fared.wait < MAX_WAIT.max(usual.wait * 2), "{what}: {fared:?}, usual {usual:?}");
        Ok(done)
    }
}

/// Probes a process until this has ended, a hundred times at least.
fn watch(address: &str, pid: u32, ended: &AtomicBool) -> Result<Fared> {
    let (mut waits, mut most) = (Vec::new(), 0);
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    while !ended.load(Ordering::Relaxed) || waits.len() < 100 {
        let asked = Instant::now();
        stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer)?;
        anyhow::ensure!(
            answer[..length].starts_with(b"HTTP/1.1 200"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
        waits.push(asked.elapsed());
        most = most.max(resident(pid)?);
        std::thread::sleep(Duration::from_millis(5));
    }
    waits.sort();
    Ok(Fared { resident: most, wait: waits[waits.len() * 99 / 100] })
}

/// The memory of a process, in bytes.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
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
        let is_announced = what == "16 MiB";
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
            // Of the others the process may have had enough before any one was too long.
            if is_announced {
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
        let judged = if refused { 413 } else { 200 };
        assert!(statuses.iter().all(|status| [judged, 503].contains(status)), "{what}: {statuses:?}");
        // Read side by side, they may have left no room for any one of them. Alone, it is read to its end.
        assert_eq!(process.ask(body).await?.status, judged, "{what}, alone");
    }
    let viewer = process.ask(json!({"query": "{viewer{did}}"}).to_string()).await?.json();
    assert_eq!(viewer["data"]["viewer"]["did"], Value::from(DID));
    Ok(())
}

/// An address that never finishes its requests is refused; others notice nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_of_one_address() -> Result<()> {
    let process = Process::start_with(&["--trusted-proxies=127.0.0.1/32"]).await?;
    let host = process.server.address.trim_start_matches("http://");
    let mut open = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(host)?;
        let body = format!("grant_type={}", "x".repeat(60_000));
        let head = format!(
            "POST /oauth/token HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 198.51.100.1\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len() + 1
        );
        // One that has been refused is closed.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        open.push(stream);
    }
    let agent = Agent::default();
    let ask = async |address: &str| {
        let request = agent.request("POST".parse()?, &format!("{}/oauth/token", process.server.address));
        let request = request.header("x-forwarded-for", address).form(&[("grant_type", "x".repeat(60_000))]);
        anyhow::Ok(agent.send(request).await?.status)
    };
    let begun = Instant::now();
    while ask("198.51.100.1").await? != 503 {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(8), "its share does not end");
    }
    assert_eq!(ask("198.51.100.2").await?, 401, "another one is heard: it names no client");
    drop(open);
    Ok(())
}
