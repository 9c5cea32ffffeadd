//! The binary under an operator's signals, and what it says to browsers and proxies from the start.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::{StoreError, testing};
use causeway_testkit::{Agent, Causeway, Fault, OauthClient, ScriptedUpstream};
use causeway_types::SystemRng;
use tempfile::tempdir;
use tokio::process::Command;

use crate::support::{
    DID, HANDLE, database_arguments, on_each_database, upstream_arguments, within_a_second,
};

/// Sends the server a signal.
pub(super) async fn signal(server: &Causeway, name: &str) -> Result<()> {
    let pid = server.pid().context("it runs")?;
    ensure!(Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await?.success());
    Ok(())
}

/// While draining, `/readyz` answers 503, so that load balancers notice, and all other requests are served. A
/// second signal ends the wait.
#[tokio::test]
async fn drains_before_it_stops() -> Result<()> {
    let directory = tempdir()?;
    let server = Causeway::serve(directory.path(), &["--listen=127.0.0.1:0", "--drain-seconds=600"]).await?;
    let agent = Agent::default();
    let ready = format!("{}/readyz", server.address);
    assert_eq!(agent.get(&ready).await?.status, 200);
    signal(&server, "TERM").await?;
    within_a_second(async || Ok(agent.get(&ready).await?.refusal() == "503 temporarily_unavailable")).await?;
    let metadata = agent.get(&format!("{}/.well-known/oauth-authorization-server", server.address)).await?;
    assert_eq!((metadata.status, metadata.header("connection")), (200, "close"));
    let begun = Instant::now();
    server.stop().await?;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    Ok(())
}

/// Idle connections are kept for longer than proxies pool them, and as long as the operator says; they do not delay the
/// end.
#[tokio::test]
async fn idle_connections_are_kept() -> Result<()> {
    let directories = [tempdir()?, tempdir()?];
    let short = ["--listen=127.0.0.1:0", "--keep-alive-seconds=7"];
    let short = Causeway::serve(directories[0].path(), &short).await?;
    let long = Causeway::serve(directories[1].path(), &["--listen=127.0.0.1:0"]).await?;
    let ask = |stream: &mut TcpStream| -> Result<bool> {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let (mut answer, mut part) = (Vec::new(), [0; 1024]);
        while !answer.ends_with(b"ok\n") {
            let read = stream.read(&mut part)?;
            if read == 0 {
                return Ok(false);
            }
            answer.extend_from_slice(&part[..read]);
        }
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    let (bound, pooled) = (short.bound()?, long.bound()?);
    let pooled = tokio::task::spawn_blocking(move || -> Result<TcpStream> {
        let (mut ends, mut pooled) = (TcpStream::connect(bound)?, TcpStream::connect(pooled)?);
        ensure!(ask(&mut ends)? && ask(&mut pooled)?);
        ends.set_read_timeout(Some(Duration::from_secs(20)))?;
        ensure!(ends.read(&mut [0; 16])? == 0, "it ends after its time");
        ensure!(ask(&mut pooled)?, "the other one is still there");
        Ok(pooled)
    });
    let pooled = pooled.await??;
    let begun = Instant::now();
    long.stop().await?;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(pooled);
    Ok(())
}

/// A stream of events does not delay the end: it ends with the signal.
#[tokio::test]
async fn open_streams_end_with_the_server() -> Result<()> {
    let directory = tempdir()?;
    let server = Causeway::serve(directory.path(), &["--listen=127.0.0.1:0"]).await?;
    let agent = Agent::default();
    let client = OauthClient::register_with(&agent, &server.address, "client_secret_basic").await?;
    let subscribed = Causeway::run(directory.path(), &["events", "subscribe", &client.client_id]).await?;
    ensure!(subscribed.status.success(), "{subscribed:?}");
    let request = agent.request("GET".parse()?, &format!("{}/api/events", server.address));
    let request = request.basic_auth(&client.client_id, client.client_secret.clone());
    let mut stream = request.send().await?;
    assert_eq!(stream.status(), 200);
    let begun = Instant::now();
    let (stopped, last) = tokio::join!(server.stop(), stream.chunk());
    stopped?;
    assert_eq!(last?, None, "it ends, and does not break");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    Ok(())
}

/// Requests that fail again and again: some lines are logged, and then how many were omitted.
#[tokio::test]
async fn a_flood_of_failures_does_not_fill_the_log() -> Result<()> {
    let directory = tempdir()?;
    let server = Causeway::serve(directory.path(), &["--listen=127.0.0.1:0", "--drain-seconds=600"]).await?;
    let agent = Agent::default();
    let ready = format!("{}/readyz", server.address);
    signal(&server, "TERM").await?;
    within_a_second(async || Ok(agent.get(&ready).await?.status == 503)).await?;
    for _ in 0..60 {
        assert_eq!(agent.get(&ready).await?.status, 503);
    }
    let lines = |text: &str| anyhow::Ok(server.log()?.lines().filter(|line| line.contains(text)).count());
    let failed = lines("request failed")?;
    assert!((10..=30).contains(&failed), "{failed} lines of 60");
    // Reported every ten seconds.
    let begun = Instant::now();
    while lines("repeated lines were omitted")? == 0 {
        ensure!(begun.elapsed() < Duration::from_secs(20), "nothing is said of the others");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.stop().await?;
    Ok(())
}

on_each_database! {
    /// Mistakes of clients and failures of upstream servers are no errors of ours: nobody is called at night for
    /// them.
    async fn errors_of_others_are_not_logged_as_ours(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let directory = tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        let run: Vec<&str> = arguments.iter().map(String::as_str).chain(["migrate", "up"]).collect();
        Causeway::run(directory.path(), &run).await?;
        let server = Causeway::serve_with(directory.path(), &arguments, &[]).await?;
        let agent = Agent::default();
        let at = |path: &str| format!("{}{path}", server.address);
        let client = OauthClient::register(&agent, &server.address).await?;
        let tokens = client.sign_in(&agent, &upstream, HANDLE).await?;

        let nonsense = [("grant_type", "authorization_code"), ("code", "a\0b"), ("client_id", "nobody")];
        for path in ["/oauth/token", "/oauth/par", "/oauth/introspect", "/oauth/revoke", "/oauth/device_authorization"] {
            assert!((400..500).contains(&agent.post(&at(path), &nonsense).await?.status), "{path}");
            assert!((400..500).contains(&agent.post_body(&at(path), "text/plain", "{").await?.status), "{path}");
        }
        let registered = agent.post_body(&at("/oauth/register"), "application/json", "{\"redirect_uris\": 7}").await?;
        assert_eq!(registered.status, 400);
        for malformed in ["\x16\x03\x01 TLS\r\n\r\n", "GET / HTTP/1.1\r\nhost\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
            let mut stream = std::net::TcpStream::connect(server.address.trim_start_matches("http://"))?;
            std::io::Write::write_all(&mut stream, malformed.as_bytes())?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            std::io::Read::read_to_end(&mut stream, &mut Vec::new())?;
        }
        for path in ["/nowhere", "/oauth/authorize?client_id=nobody", "/oauth/userinfo", "/callback?state=x&code=y"] {
            assert!((400..500).contains(&agent.get(&at(path)).await?.status), "{path}");
        }
        let call = at("/xrpc/com.atproto.repo.listRecords?repo=x&collection=y");
        let refresh = at("/api/session/refresh");
        for fault in [Fault::Status(500), Fault::Page(503), Fault::HangUp] {
            upstream.script(|script| {
                (script.xrpc, script.token, script.metadata) = (fault.clone(), fault.clone(), fault.clone());
            });
            assert!(agent.get_with(&call, &tokens.access_token).await?.status >= 500);
            let request = agent.request("POST".parse()?, &refresh).bearer_auth(&tokens.access_token);
            assert!(agent.send(request).await?.status >= 400);
        }
        let log = server.log()?;
        server.stop().await?;
        let ours: Vec<&str> = log.lines().filter(|line| line.contains("\"level\":\"ERROR\"")).collect();
        assert!(ours.is_empty(), "{ours:#?}");
        ensure!(log.contains("\"level\":\"WARN\""), "something was said");
        Ok(())
    }

    /// SIGHUP does not stop the server: it reloads the log level, the key ring and providers, and ignores an invalid
    /// configuration or definition.
    async fn reads_anew(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let directory = tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        let (ring, file) = (directory.path().join("ring.key"), directory.path().join("causeway.toml"));
        std::fs::write(&file, "log-level = \"warn\"\n")?;
        arguments.push(format!("--config={}", file.display()));
        let run: Vec<&str> = arguments.iter().map(String::as_str).chain(["migrate", "up"]).collect();
        Causeway::run(directory.path(), &run).await?;
        let server = Causeway::serve_with(directory.path(), &arguments, &[]).await?;
        let agent = Agent::default();
        let healthy = async || {
            anyhow::Ok(agent.get(&format!("{}/readyz", server.address)).await?.status == 200)
        };
        ensure!(healthy().await?);
        let before = server.log()?;
        ensure!(!before.contains("listening"), "{before}");
        let client = OauthClient::register(&agent, &server.address).await?;
        let signed_in = client.sign_in(&agent, &upstream, HANDLE).await?;
        let inspected = database.store().await;
        let encrypted_by = async |kid: &str| {
            let text = inspected.read::<_, StoreError, _>(testing::dump_text).await?;
            anyhow::Ok(text.contains(&format!("v1.{kid}.")))
        };

        let (old, new) = (std::fs::read_to_string(&ring)?, EncryptionKeyRing::generate(&SystemRng));
        let kid = EncryptionKeyRing::parse(&new)?.active_kid().to_owned();
        ensure!(encrypted_by(EncryptionKeyRing::parse(&old)?.active_kid()).await? && !encrypted_by(&kid).await?);
        std::fs::write(&ring, format!("{new}\n{old}"))?;
        std::fs::write(&file, "log-level = \"debug\"\n")?;
        signal(&server, "HUP").await?;
        within_a_second(async || Ok(server.log()?.contains(&format!("\"kid\":\"{kid}\"")))).await?;
        ensure!(healthy().await?);
        within_a_second(async || Ok(server.log()?.contains("request served"))).await?;
        // The new key encrypts from now on, and the old one decrypts what it encrypted.
        client.sign_in(&Agent::default(), &upstream, HANDLE).await?;
        ensure!(encrypted_by(&kid).await?, "the new key encrypts nothing");
        let url = format!("{}/api/session/refresh", server.address);
        let refresh = agent.request("POST".parse()?, &url).bearer_auth(&signed_in.access_token);
        assert_eq!(agent.send(refresh).await?.status, 200);

        let definition = directory.path().join("providers/linear.toml");
        std::fs::create_dir(directory.path().join("providers"))?;
        std::fs::write(&definition, "kind = \"mcp\"\ntitle = \"Linear\"\nmcp_url = \"https://mcp.linear.app/mcp\"\n")?;
        let providers = definition.parent().map(|path| path.display().to_string()).unwrap_or_default();
        std::fs::write(&file, format!("log-level = \"debug\"\nproviders-dir = \"{providers}\"\n"))?;
        signal(&server, "HUP").await?;
        within_a_second(async || Ok(server.log()?.matches("configuration reloaded").count() == 2)).await?;

        for (broken, name) in [
            ("no key ring", &ring),
            ("log-level = \"loud\"\n", &file),
            ("kind = \"mcp\"\n", &definition),
        ] {
            let good = std::fs::read(name)?;
            std::fs::write(name, broken)?;
            let failures = async || anyhow::Ok(server.log()?.matches("was not reloaded").count());
            let so_far = failures().await?;
            signal(&server, "HUP").await?;
            within_a_second(async || Ok(failures().await? == so_far + 1)).await?;
            ensure!(healthy().await?);
            std::fs::write(name, good)?;
        }
        server.stop().await?;
        Ok(())
    }
}

/// The log lines of the servers of a directory so far.
fn server_log(directory: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(directory.join(format!("causeway-{}.log", std::process::id())))?)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

/// Keys and tokens that every user of the machine can read, each by itself: a warning on loopback, a line of the
/// doctor, and no start elsewhere.
#[tokio::test]
async fn secrets_that_everybody_can_read() -> Result<()> {
    let directory = tempdir()?;
    let listen = "--listen=127.0.0.1:0";
    Causeway::serve(directory.path(), &[listen]).await?.stop().await?;
    let in_here = |name: &str| directory.path().join(name);
    std::fs::copy(in_here("causeway.key"), in_here("named.key"))?;
    for name in ["admin.token", "registration.token"] {
        std::fs::write(in_here(name), "more-than-enough-characters\n")?;
    }
    let files = [
        ("causeway.key", None),
        ("named.key", Some("secret-key-file")),
        ("admin.token", Some("admin-token-file")),
        ("registration.token", Some("registration-token-file")),
    ];
    for (exposed, setting) in files {
        for (name, _) in files {
            set_mode(&in_here(name), if name == exposed { 0o644 } else { 0o640 })?;
        }
        let named: Vec<String> = setting.iter().map(|setting| format!("--{setting}={exposed}")).collect();
        let arguments: Vec<&str> = [listen].into_iter().chain(named.iter().map(String::as_str)).collect();
        let before = server_log(directory.path())?.len();
        Causeway::serve(directory.path(), &arguments).await?.stop().await?;
        let log = server_log(directory.path())?.split_off(before);
        let warned = |line: &&str| line.contains("WARN") && line.contains("secrets file");
        let warnings: Vec<&str> = log.lines().filter(warned).collect();
        ensure!(warnings.len() == 1 && warnings[0].contains(exposed), "{exposed}: {warnings:?} in {log}");

        let mut doctor = vec!["doctor", "--dev-mode", "--plc-url=http://127.0.0.1:1"];
        doctor.extend(&arguments[1..]);
        let said = String::from_utf8(Causeway::run(directory.path(), &doctor).await?.stdout)?;
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("secrets file")).collect();
        ensure!(lines.len() == 1 && lines[0].starts_with("note") && lines[0].contains(exposed), "{said}");

        let Some(setting) = setting else { continue };
        let mut public = arguments.clone();
        public.push("--external-url=https://auth.example");
        if setting != "secret-key-file" {
            public.push("--secret-key-file=named.key");
        }
        let output = Causeway::run(directory.path(), &public).await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{said}");
        ensure!(said.contains(setting) && said.contains(&format!("chmod o= {exposed}")), "{said}");
    }
    Ok(())
}

/// Over https, responses set HSTS, isolate pages from other windows, and turn off browser features that no
/// page needs; on loopback none of these headers is sent.
#[tokio::test]
async fn https_is_said_to_browsers() -> Result<()> {
    let directory = tempdir()?;
    let ring = directory.path().join("ring.key");
    std::fs::write(&ring, EncryptionKeyRing::generate(&SystemRng))?;
    set_mode(&ring, 0o600)?;
    let agent = Agent::default();
    let local = Causeway::serve(directory.path(), &["--listen=127.0.0.1:0"]).await?;
    let names = ["strict-transport-security", "cross-origin-opener-policy", "permissions-policy"];
    let account = agent.get(&format!("http://{}/account", local.bound()?)).await?;
    assert_eq!((account.status, names.map(|name| account.header(name))), (200, [""; 3]));
    local.stop().await?;
    let public =
        ["--listen=127.0.0.1:0", "--external-url=https://auth.example", "--secret-key-file=ring.key"];
    let public = Causeway::serve(directory.path(), &public).await?;
    let at = |path: &str| Ok::<_, anyhow::Error>(format!("http://{}{path}", public.bound()?));
    let account = agent.get(&at("/account")?).await?;
    let [transport, opener, permissions] = names.map(|name| account.header(name).to_owned());
    assert_eq!((account.status, &*transport, &*opener), (200, "max-age=31536000", "same-origin"));
    assert!(permissions.contains("camera=()") && permissions.contains("geolocation=()"), "{permissions}");
    let json = agent.get(&at("/.well-known/oauth-authorization-server")?).await?;
    assert_eq!(names.map(|name| json.header(name)), ["max-age=31536000", "", ""]);
    Ok(())
}
