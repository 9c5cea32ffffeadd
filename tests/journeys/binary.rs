//! The binary as an operator meets it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_testkit::{Agent, Causeway, MockClock, OauthClient, ScriptedUpstream, TestApp};
use tempfile::tempdir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{DID, HANDLE, database_arguments, on_each_database};

/// A fresh directory and no configuration: it makes what it needs, says where it is, answers at once.
#[tokio::test]
async fn starts_from_nothing() -> Result<()> {
    let directory = tempdir()?;
    let started = Instant::now();
    let server = Causeway::serve(directory.path(), &["--listen=127.0.0.1:0"]).await?;
    let answer = Agent::default().get(&format!("{}/healthz", server.address)).await?;
    assert_eq!(answer.status, 200);
    // The goal is 300 ms for a release build on a quiet machine; this only notices a gross mistake.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(
        server.banner.contains("sqlite://causeway.db") && server.banner.contains("loopback"),
        "{}",
        server.banner
    );
    for file in ["causeway.db", "causeway.key"] {
        let mode = std::fs::metadata(directory.path().join(file))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let home = Agent::default().get(&server.address).await?;
    assert!(home.text.contains("name=\"login_hint\""));
    server.kill().await?;

    // The same again: nothing is made twice.
    let key = std::fs::read(directory.path().join("causeway.key"))?;
    Causeway::serve(directory.path(), &["--listen=127.0.0.1:0"]).await?;
    assert_eq!(std::fs::read(directory.path().join("causeway.key"))?, key);
    Ok(())
}

/// The reader of the log has exited: lines are lost, but nothing else.
#[tokio::test]
async fn a_log_that_nobody_reads() -> Result<()> {
    let directory = tempdir()?;
    let mut server = Causeway::command(directory.path())?
        .args(["--listen=127.0.0.1:0"])
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    drop(server.stderr.take());
    let mut lines = BufReader::new(server.stdout.take().context("stdout")?).lines();
    let address = loop {
        let line = lines.next_line().await?.context("it did not start")?;
        if let Some(address) = line.trim().strip_prefix("Address") {
            break address.trim().to_owned();
        }
    };
    let agent = Agent::default();
    for _ in 0..3 {
        OauthClient::register(&agent, &address).await?;
        assert_eq!(agent.get(&format!("{address}/readyz")).await?.status, 200);
    }
    server.start_kill()?;
    Ok(())
}

/// A configuration mistake: exit code 2 and one line that names the setting and the fix.
#[tokio::test]
async fn refuses_a_wrong_configuration() -> Result<()> {
    let directory = tempdir()?;
    std::fs::write(directory.path().join("typo.toml"), "external-ulr = \"https://a.example\"\n")?;
    for (arguments, setting) in [
        (&["--external-url", "http://example.com"][..], "external-url"),
        (&["--external-url", "https://example.com/path"], "external-url"),
        (&["--listen", "0.0.0.0:0"], "external-url"),
        (&["--external-url", "https://example.com"], "secret-key"),
        (&["--database-url", "mysql://x"], "database-url"),
        (&["--secret-key-file", "typo.toml"], "secret-key-file"),
        (&["config", "check", "--secret-key-file", "typo.toml"], "secret-key-file"),
        (&["--atp-scopes", "atproto repo:app.bsky"], "atp-scopes"),
        (&["--atp-scopes", "atproto openid"], "atp-scopes"),
        (&["--config", "missing.toml"], "config"),
        (&["--config", "typo.toml"], "external-ulr"),
        (&["--extra-ca", "missing.pem"], "extra-ca"),
    ] {
        let output = Causeway::run(directory.path(), arguments).await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains(setting), "{arguments:?}: {said}");
    }
    Ok(())
}

/// A misspelled variable is refused like any other mistake; Kubernetes' own are not ours.
#[tokio::test]
async fn refuses_a_variable_that_is_no_setting() -> Result<()> {
    let directory = tempdir()?;
    for (name, code, says) in [
        ("CAUSEWAY_DATABASE_ULR", 2, "did you mean CAUSEWAY_DATABASE_URL?"),
        ("CAUSEWAY_SERVICE_HOST", 0, ""),
    ] {
        let output =
            Causeway::command(directory.path())?.args(["config", "check"]).env(name, "x").output().await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(says) && said.trim_end().lines().count() <= 1, "{said}");
    }
    Ok(())
}

on_each_database! {
    /// Sessions that began under another external URL: at the start it says how many and where their documents have to
    /// stay. Under the same one, and of sessions in which nobody is looked for anywhere, it says nothing.
    async fn warns_of_sessions_that_would_be_orphaned(database) {
        let directory = tempdir()?;
        let own = database_arguments(database, directory.path())?;
        let ring = std::fs::read_to_string(directory.path().join("ring.key"))?;
        let ring = std::sync::Arc::new(EncryptionKeyRing::parse(&ring)?);
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let environment = upstream.environment();
        let before =
            TestApp::start_confidential(database, &environment, MockClock::now_or_never(), ring.clone()).await?;
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &before.issuer).await?;
        for _ in 0..2 {
            client.sign_in(&agent, &upstream, HANDLE).await?;
        }
        let issuer = before.issuer.clone();
        before.stop().await;
        let loopback =
            TestApp::start_with(database, &environment, MockClock::now_or_never(), ring, None).await?;
        OauthClient::register(&agent, &loopback.issuer).await?.sign_in(&agent, &upstream, HANDLE).await?;
        loopback.stop().await;
        let start = async |url: &str| {
            let mut arguments = own.clone();
            arguments.extend(["--listen=127.0.0.1:0".to_owned(), format!("--external-url={url}")]);
            let directory = tempdir()?;
            let log = Causeway::serve(directory.path(), &arguments).await?.log()?;
            anyhow::Ok(log.lines().find(|line| line.contains("another external URL")).map(str::to_owned))
        };
        assert_eq!(start(&issuer).await?, None);
        let warned = start("https://moved.example").await?.context("a warning")?;
        let warned: serde_json::Value = serde_json::from_str(&warned)?;
        assert_eq!((&warned["level"], &warned["sessions"]), (&"WARN".into(), &2.into()), "{warned}");
        assert_eq!((&warned["origins"], &warned["external_url"]), (&issuer.into(), &"https://moved.example".into()));
        Ok(())
    }

    /// With another key ring than the one that encrypted the data it does not start, and says which setting
    /// to change. (It would answer 500 to every user whose session it cannot decrypt.)
    async fn refuses_another_key_ring(database) {
        let directory = tempdir()?;
        let own = database_arguments(database, directory.path())?;
        let with = |own: &[String], more: &[&str]| -> Vec<String> {
            more.iter().map(|text| (*text).to_owned()).chain(own.iter().cloned()).collect()
        };
        let run = async |arguments: Vec<String>| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = Causeway::run(directory.path(), &arguments).await?;
            anyhow::Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
        };
        run(with(&own, &["migrate", "up"])).await?;
        assert_eq!(run(with(&own, &["keys", "list"])).await?.0, Some(0), "nothing is encrypted: any ring serves");
        assert_eq!(run(with(&own, &["keys", "rotate"])).await?.0, Some(0));
        let encrypted = std::fs::read_to_string(directory.path().join("ring.key"))?;
        database_arguments(database, directory.path())?;
        let other = std::fs::read_to_string(directory.path().join("ring.key"))?;
        let key = |text: &str| text.lines().last().unwrap().to_owned();
        let (encrypted, other) = (key(&encrypted), key(&other));
        let same_name = other.replacen(other.split(':').next().unwrap(), encrypted.split(':').next().unwrap(), 1);
        for (ring, good) in [(&other, false), (&same_name, false), (&format!("{other}\n{encrypted}"), true)] {
            std::fs::write(directory.path().join("ring.key"), ring)?;
            let (code, said, _) = run(with(&own, &["doctor"])).await?;
            assert_eq!(said.contains("BAD   encryption key"), !good, "{code:?} {said}");
            if good {
                Causeway::serve(directory.path(), &with(&own, &["--listen=127.0.0.1:0"])).await?;
                continue;
            }
            let (code, _, said) = run(with(&own, &["--listen=127.0.0.1:0"])).await?;
            assert_eq!(code, Some(2), "{said}");
            assert!(said.lines().last().unwrap().contains("secret-key-file"), "{said}");
            assert!(said.contains("name the key ring"), "{said}");
        }
        Ok(())
    }
}

/// In an empty directory, commands that only read create nothing.
#[tokio::test]
async fn looking_makes_nothing() -> Result<()> {
    let directory = tempdir()?;
    for arguments in [
        &["clients", "list"][..],
        &["clients", "show", "x"],
        &["sessions", "list"],
        &["audit", "list"],
        &["keys", "list"],
        &["events", "list"],
        &["doctor", "--dev-mode", "--plc-url=http://127.0.0.1:1"],
    ] {
        let output = Causeway::run(directory.path(), arguments).await?;
        let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("there is no database sqlite://causeway.db"), "{arguments:?}: {said}");
        assert_eq!(std::fs::read_dir(directory.path())?.count(), 0, "{arguments:?}");
    }
    Causeway::run(directory.path(), &["migrate", "up"]).await?;
    for arguments in [
        &["keys", "list"][..],
        &["events", "list"],
        &["doctor", "--dev-mode", "--plc-url=http://127.0.0.1:1"],
    ] {
        Causeway::run(directory.path(), arguments).await?;
        assert!(!directory.path().join("causeway.key").exists(), "{arguments:?}");
    }
    Ok(())
}

/// `causeway ... | head -1`: a closed pipe ends the command without a message.
#[tokio::test]
async fn a_closed_pipe_ends_it_quietly() -> Result<()> {
    let directory = tempdir()?;
    Causeway::run(directory.path(), &["migrate", "up"]).await?;
    for arguments in
        [&["doctor", "--dev-mode", "--plc-url=http://127.0.0.1:1"][..], &["openapi"], &["config", "print"]]
    {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = Causeway::command(directory.path())?;
        let child = command.args(arguments).stdout(writer).stderr(Stdio::piped()).spawn()?;
        let output = child.wait_with_output().await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), &*said), (Some(141), ""), "{arguments:?}");
    }
    Ok(())
}

/// Where no webhook would be sent is said when it is named.
#[tokio::test]
async fn webhooks_that_go_nowhere() -> Result<()> {
    let directory = tempdir()?;
    Causeway::run(directory.path(), &["migrate", "up"]).await?;
    let created = ["clients", "create", "--redirect-uri", "https://app.example/cb"];
    let created: serde_json::Value =
        serde_json::from_slice(&Causeway::run(directory.path(), &created).await?.stdout)?;
    let id = created["client_id"].as_str().unwrap();
    for (url, more, good) in [
        ("https://127.0.0.1/x", &[][..], false),
        ("https://[::1]/x", &[], false),
        ("https://10.0.0.1/x", &[], false),
        ("http://app.example/x", &[], false),
        ("https://a:b@app.example/x", &[], false),
        ("https://app.example/x#y", &[], false),
        ("https://app.example/x#", &["--dev-mode"], false),
        ("https://app.example/x", &[], true),
        ("http://127.0.0.1/x", &["--dev-mode"], true),
    ] {
        let arguments = [&["events", "subscribe", id, "--webhook", url][..], more].concat();
        let output = Causeway::run(directory.path(), &arguments).await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.success(), good, "{url}: {said}");
        assert!(good || said.contains("--webhook"), "{url}: {said}");
    }
    Ok(())
}

/// The commands beside `serve`.
#[tokio::test]
async fn commands() -> Result<()> {
    let directory = tempdir()?;
    let run = |arguments: &'static [&'static str]| async {
        let output = Causeway::run(directory.path(), arguments).await?;
        anyhow::Ok((
            output.status.code(),
            String::from_utf8(output.stdout)?,
            String::from_utf8(output.stderr)?,
        ))
    };
    let (code, status, _) = run(&["migrate", "status"]).await?;
    assert_eq!((code, status.contains("pending")), (Some(0), true));
    assert!(run(&["migrate", "up"]).await?.1.contains("Applied"));
    assert!(!run(&["migrate", "status"]).await?.1.contains("pending"));
    let (code, created, _) =
        run(&["clients", "create", "--name", "App", "--redirect-uri", "https://app.example/cb"]).await?;
    assert_eq!(code, Some(0));
    let created: serde_json::Value = serde_json::from_str(&created)?;
    let id = created["client_id"].as_str().unwrap().to_owned();
    assert!(created["client_secret"].as_str().unwrap().starts_with("cw_cs_"));
    assert!(run(&["clients", "list"]).await?.1.contains(&id));
    let shown = Causeway::run(directory.path(), &["clients", "show", &id]).await?;
    assert!(!String::from_utf8(shown.stdout)?.contains("cw_cs_"));
    let automation =
        ["clients", "create", "--redirect-uri", "https://app.example/cb", "--allow-background-access"];
    let automation: serde_json::Value =
        serde_json::from_slice(&Causeway::run(directory.path(), &automation).await?.stdout)?;
    assert_eq!(
        (&automation["allow_background_access"], &created["allow_background_access"]),
        (&true.into(), &false.into())
    );
    assert_eq!(Causeway::run(directory.path(), &["clients", "delete", &id]).await?.status.code(), Some(0));
    assert_eq!(Causeway::run(directory.path(), &["clients", "delete", &id]).await?.status.code(), Some(1));

    let key = causeway_testkit::DpopKey::new().0;
    std::fs::write(
        directory.path().join("keys.json"),
        serde_json::json!({"keys": [key.published_jwk()]}).to_string(),
    )?;
    let private = format!("{{\"keys\":[{}]}}", key.private_jwk().expose());
    std::fs::write(directory.path().join("private.json"), private)?;
    let base = ["clients", "create", "--redirect-uri", "https://app.example/cb"];
    let create = |more: &[&str]| {
        let arguments: Vec<String> = base.iter().chain(more).map(|text| (*text).to_owned()).collect();
        let directory = directory.path().to_owned();
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = Causeway::run(&directory, &arguments).await?;
            anyhow::Ok((
                output.status.code(),
                String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?,
            ))
        }
    };
    let (code, said) =
        create(&["--jwks", "keys.json", "--dpop-bound", "--dpop-nonce-policy", "required"]).await?;
    assert_eq!(code, Some(0), "{said}");
    let created: serde_json::Value = serde_json::from_str(&said)?;
    assert_eq!(created["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(created["jwks"]["keys"][0]["kid"], key.thumbprint());
    assert_eq!(created.get("client_secret"), None);
    assert_eq!(
        (&created["dpop_bound_access_tokens"], &created["dpop_nonce_policy"]),
        (&true.into(), &"required".into())
    );
    assert_eq!(create(&["--jwks-uri", "https://app.example/jwks"]).await?.0, Some(0));
    for (more, reason) in [
        (&["--jwks", "private.json"][..], "private key"),
        (&["--jwks", "missing.json"], "missing.json"),
        (&["--auth-method", "private_key_jwt"], "jwks"),
        (&["--dpop-nonce-policy", "sometimes"], "dpop_nonce_policy"),
    ] {
        let (code, said) = create(more).await?;
        assert!(code == Some(1) && said.contains(reason), "{more:?}: {code:?} {said}");
        assert!(!said.contains("\"d\""), "{said}");
    }
    assert!(run(&["migrate", "down"]).await?.1.contains("Reverted"));
    assert!(run(&["config", "print"]).await?.1.contains("listen"));
    assert_eq!(run(&["config", "check"]).await?.0, Some(0));
    assert!(run(&["--version"]).await?.1.contains("causeway"));
    Ok(())
}

/// The encryption key is missing but the database holds data encrypted with it: starting with a new key would
/// lose it.
#[tokio::test]
async fn does_not_replace_a_lost_key() -> Result<()> {
    let directory = tempdir()?;
    let upstream = causeway_testkit::ScriptedUpstream::start(crate::support::HANDLE, crate::support::DID)?;
    let arguments = crate::support::upstream_arguments(&upstream.environment());
    let server = Causeway::serve(directory.path(), &arguments).await?;
    let agent = Agent::default();
    let client = causeway_testkit::OauthClient::register(&agent, &server.address).await?;
    client.sign_in(&agent, &upstream, crate::support::HANDLE).await?;
    server.kill().await?;
    std::fs::remove_file(directory.path().join("causeway.key"))?;
    let Err(refused) = Causeway::serve(directory.path(), &arguments).await else {
        anyhow::bail!("it started")
    };
    assert!(refused.to_string().contains("causeway.key"), "{refused}");
    assert!(!directory.path().join("causeway.key").exists());
    Ok(())
}

/// A shared database is migrated by its operator: the server says so and does not touch it.
#[tokio::test]
async fn waits_for_the_operator_to_migrate() -> Result<()> {
    let Some(database) = causeway_testkit::TestDatabase::empty_postgres() else { return Ok(()) };
    let directory = tempdir()?;
    let arguments = crate::support::database_arguments(&database, directory.path())?;
    let run = |command: &'static [&'static str]| {
        let arguments: Vec<&str> =
            command.iter().copied().chain(arguments.iter().map(String::as_str)).collect();
        let directory = directory.path().to_owned();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        async move {
            let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Causeway::run(&directory, &borrowed).await
        }
    };
    let refused = run(&["serve", "--listen=127.0.0.1:0"]).await?;
    let said = String::from_utf8(refused.stderr)?;
    assert_eq!((refused.status.code(), said.contains("causeway migrate up")), (Some(1), true), "{said}");
    assert!(run(&["migrate", "up"]).await?.status.success());
    assert!(run(&["clients", "list"]).await?.status.success());
    assert!(run(&["migrate", "down", "--steps=1"]).await?.status.success());
    assert_eq!(run(&["clients", "list"]).await?.status.code(), Some(1), "only `serve` migrates by itself");
    Ok(())
}
