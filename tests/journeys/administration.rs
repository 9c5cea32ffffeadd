//! The operator's commands beside a running server.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine as _;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_testkit::{Agent, Causeway, OauthClient, ScriptedUpstream, Tokens};
use causeway_types::{SessionKind, SystemRng};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    DID, HANDLE, Scene, database_arguments, on_each_database, upstream_arguments, within_a_second,
};

struct Deployment {
    directory: TempDir,
    server: Causeway,
    upstream: ScriptedUpstream,
    agent: Agent,
}

impl Deployment {
    async fn start() -> Result<Self> {
        let directory = tempdir()?;
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let arguments = upstream_arguments(&upstream.environment());
        let server = Causeway::serve(directory.path(), &arguments).await?;
        Ok(Self { directory, server, upstream, agent: Agent::default() })
    }

    async fn sign_in(&self) -> Result<Tokens> {
        let client = OauthClient::register(&self.agent, &self.server.address).await?;
        let client = OauthClient { scope: "openid atproto".to_owned(), ..client };
        client.sign_in(&self.agent, &self.upstream, HANDLE).await
    }

    async fn userinfo(&self, tokens: &Tokens) -> Result<u16> {
        let url = format!("{}/oauth/userinfo", self.server.address);
        Ok(self.agent.get_with(&url, &tokens.access_token).await?.status)
    }

    async fn kids(&self) -> Result<Vec<String>> {
        let jwks = self.agent.get(&format!("{}/oauth/jwks", self.server.address)).await?.json();
        let keys = jwks["keys"].as_array().expect("keys");
        Ok(keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect())
    }
}

async fn run(directory: &Path, arguments: &[&str]) -> Result<String> {
    let output = Causeway::run(directory, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Ending by the operator takes effect at once, for one session and for all sessions of a user.
#[tokio::test]
async fn sessions_end() -> Result<()> {
    let deployment = Deployment::start().await?;
    let directory = deployment.directory.path();
    let (first, second, third) =
        (deployment.sign_in().await?, deployment.sign_in().await?, deployment.sign_in().await?);
    let url = format!("{}/api/session", deployment.server.address);
    let session = deployment.agent.get_with(&url, &first.access_token).await?.json();
    let id = session["session_id"].as_str().expect("session_id");

    let listed = run(directory, &["sessions", "list", "--user", DID]).await?;
    ensure!(listed.lines().count() == 3 && listed.contains(id) && listed.contains("device"), "{listed}");
    let shown: Value = serde_json::from_str(&run(directory, &["sessions", "show", id]).await?)?;
    assert_eq!((&shown["did"], &shown["session_state"]), (&DID.into(), &"active".into()));
    for secret in ["cw_at_", "cw_rt_", "cw_bs_"] {
        assert!(!shown.to_string().contains(secret), "{shown}");
    }

    run(directory, &["sessions", "revoke", id]).await?;
    assert_eq!(deployment.userinfo(&first).await?, 401);
    assert_eq!(deployment.userinfo(&second).await?, 200, "no other session");
    assert!(run(directory, &["sessions", "revoke", id]).await.is_err());
    assert!(run(directory, &["sessions", "show", "nonsense"]).await.is_err());

    assert!(run(directory, &["tokens", "revoke"]).await.is_err(), "of nobody");
    assert!(run(directory, &["tokens", "revoke", "--user", DID]).await?.contains("Ended 2"));
    assert_eq!(deployment.userinfo(&second).await?, 401);
    assert_eq!(deployment.userinfo(&third).await?, 401);
    assert!(run(directory, &["sessions", "list"]).await?.is_empty());
    assert_eq!(run(directory, &["sessions", "list", "--ended"]).await?.lines().count(), 3);
    Ok(())
}

on_each_database! {
    /// A session at another provider is shown by its account there, and ends like any other.
    async fn a_session_at_another_provider(database) {
        let scene = Scene::set(database).await?;
        let session =
            scene.app.connect_bearer(&scene.client.client_id, "user-17", SessionKind::Background).await?;
        let directory = tempdir()?;
        let arguments = database_arguments(database, directory.path())?;
        let run = async |command: &[&str]| {
            let all: Vec<_> = command.iter().copied().chain(arguments.iter().map(String::as_str)).collect();
            run(directory.path(), &all).await
        };
        let id = session.session_id.as_str();
        let listed = run(&["sessions", "list"]).await?;
        ensure!(listed.lines().count() == 1 && listed.contains(id) && listed.contains("user-17"), "{listed}");
        let shown: Value = serde_json::from_str(&run(&["sessions", "show", id]).await?)?;
        assert_eq!((&shown["provider"], &shown["subject"]), (&json!("bearer"), &json!("user-17")));
        assert_eq!((&shown["credential_kind"], &shown["did"]), (&json!("user"), &Value::Null));
        run(&["sessions", "revoke", id]).await?;
        let shown: Value = serde_json::from_str(&run(&["sessions", "show", id]).await?)?;
        assert_eq!(shown["session_state"], "ended");
        Ok(())
    }
}

/// A rotated key is published within a second and signs soon after, and the old one verifies until it is retired.
#[tokio::test]
async fn keys_rotate() -> Result<()> {
    let deployment = Deployment::start().await?;
    let directory = deployment.directory.path();
    let kid_of = |tokens: &Tokens| {
        let id_token = tokens.answer["id_token"].as_str().expect("an id_token");
        let header = id_token.split('.').next().expect("a header");
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).expect("base64url");
        let header: Value = serde_json::from_slice(&header).expect("JSON");
        header["kid"].as_str().expect("a kid").to_owned()
    };
    let old = kid_of(&deployment.sign_in().await?);
    assert_eq!(deployment.kids().await?.len(), 2);
    assert!(run(directory, &["keys", "retire", &old]).await.is_err(), "it signs");

    run(directory, &["keys", "rotate", "--alg", "RS256"]).await?;
    within_a_second(async || Ok(deployment.kids().await?.len() == 3)).await?;
    let (begun, mut new) = (Instant::now(), old.clone());
    while new == old && begun.elapsed() < Duration::from_secs(10) {
        new = kid_of(&deployment.sign_in().await?);
    }
    assert_ne!(new, old);
    assert!(deployment.kids().await?.contains(&old), "what it signed verifies");
    let listed = run(directory, &["keys", "list"]).await?;
    assert!(listed.contains(&format!("{new}\tRS256\tsigns")), "{listed}");
    assert!(listed.contains(&format!("{old}\tRS256\tpublished for")), "{listed}");

    run(directory, &["keys", "retire", &old]).await?;
    within_a_second(async || Ok(!deployment.kids().await?.contains(&old))).await?;
    assert!(run(directory, &["keys", "rotate", "--alg", "none"]).await.is_err());
    Ok(())
}

/// Values encrypted with an old key are re-encrypted with a new one beside a running server, without loss; a
/// server with the new key alone then works.
#[tokio::test]
async fn the_encryption_key_changes() -> Result<()> {
    let Deployment { directory, server, upstream, agent } = Deployment::start().await?;
    let path = directory.path();
    let key_file = path.join("causeway.key");
    let line = |text: &str| text.lines().last().expect("a line").to_owned();
    let old = line(&std::fs::read_to_string(&key_file)?);
    let new = line(&EncryptionKeyRing::generate(&SystemRng));
    let (old_kid, new_kid) = (kid(&old), kid(&new));
    let mut arguments = upstream_arguments(&upstream.environment());
    arguments.retain(|argument| argument != "--listen=127.0.0.1:0");
    arguments.push(format!("--listen={}", server.address.trim_start_matches("http://")));
    let reencrypt = async |more: &[&str]| Causeway::run(path, &[&["keys", "reencrypt"], more].concat()).await;

    let client = OauthClient::register(&agent, &server.address).await?;
    let tokens = client.sign_in(&agent, &upstream, HANDLE).await?;
    server.stop().await?;
    std::fs::write(&key_file, format!("{new}\n{old}\n"))?;
    let server = Causeway::serve(path, &arguments).await?;
    let refresh = async |server: &Causeway| {
        let url = format!("{}/api/session/refresh", server.address);
        agent.send(agent.request("POST".parse()?, &url).bearer_auth(&tokens.access_token)).await
    };

    let looked = String::from_utf8(reencrypt(&["--dry-run"]).await?.stdout)?;
    ensure!(
        looked.contains(&format!("{old_kid}\tencrypts")) && !looked.contains("No value needs"),
        "{looked}"
    );
    let output = reencrypt(&[]).await?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.contains("oauth_atp_session.access_token\t1 re-encrypted"), "{said}");
    ensure!(said.contains(&format!("No value needs {old_kid} any more")), "{said}");
    ensure!(
        said.contains(&format!("{new_kid}\tencrypts")) && !said.contains(&format!("{old_kid}\tencrypts")),
        "{said}"
    );
    let audited = run(path, &["audit", "list", "--event", "secrets_reencrypted"]).await?;
    ensure!(audited.contains("\"begun\"") && audited.contains("\"ok\""), "{audited}");
    assert_eq!(refresh(&server).await?.json()["head_iteration"], 2, "the running server");
    server.stop().await?;

    std::fs::write(&key_file, format!("{new}\n"))?;
    let server = Causeway::serve(path, &arguments).await?;
    assert_eq!(refresh(&server).await?.json()["head_iteration"], 3, "with the new key alone");
    let again = reencrypt(&[]).await?;
    ensure!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));

    // A key removed from the ring too early: nothing encrypted with it is dropped.
    let newest = line(&EncryptionKeyRing::generate(&SystemRng));
    std::fs::write(&key_file, format!("{newest}\n{new}\n"))?;
    for alg in ["RS256", "ES256"] {
        run(path, &["keys", "rotate", "--alg", alg]).await?;
    }
    std::fs::write(&key_file, format!("{newest}\n"))?;
    let refused = reencrypt(&[]).await?;
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    let said = String::from_utf8(refused.stdout)?;
    ensure!(said.contains("cannot be decrypted") && said.contains(&format!("{new_kid}\tencrypts")), "{said}");
    std::fs::write(&key_file, format!("{newest}\n{new}\n"))?;
    ensure!(reencrypt(&[]).await?.status.success());
    server.stop().await?;
    std::fs::write(&key_file, format!("{newest}\n"))?;
    let server = Causeway::serve(path, &arguments).await?;
    assert_eq!(refresh(&server).await?.json()["head_iteration"], 4);
    Ok(())
}

/// The name of a key of a ring.
fn kid(line: &str) -> String {
    line.split(':').next().unwrap_or_default().to_owned()
}

/// The doctor finds a healthy deployment healthy, and says what is wrong with another.
#[tokio::test]
async fn doctor_looks() -> Result<()> {
    let deployment = Deployment::start().await?;
    let directory = deployment.directory.path();
    let plc = format!("--plc-url={}", deployment.upstream.origin);
    let healthy = run(directory, &["doctor", "--dev-mode", &plc]).await?;
    for line in ["ok    database", "ok    encryption key", "ok    PLC directory", "ok    clock"] {
        assert!(healthy.contains(line), "{healthy}");
    }
    assert!(healthy.contains("two weeks") && !healthy.contains("BAD"), "{healthy}");

    let broken = ["doctor", "--dev-mode", "--plc-url=http://127.0.0.1:1", "--external-url=https://auth.test"];
    let mut broken = broken.to_vec();
    broken.push("--secret-key-file=causeway.key");
    let output = Causeway::run(directory, &broken).await?;
    let said = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(1));
    for line in ["BAD   PLC directory", "BAD   external URL", "BAD   upstream client"] {
        assert!(said.contains(line), "{said}");
    }
    Ok(())
}

/// A client is changed, and its secret replaced: what is not named stays, the old secret is refused.
#[tokio::test]
async fn clients_change() -> Result<()> {
    let deployment = Deployment::start().await?;
    let directory = deployment.directory.path();
    let read = async |arguments: &[&str]| -> Result<Value> {
        Ok(serde_json::from_str(&run(directory, arguments).await?)?)
    };
    let created = read(&[
        "clients",
        "create",
        "--name",
        "App",
        "--redirect-uri",
        "https://app.example/cb",
        "--allow-background-access",
        "--auth-method",
        "client_secret_post",
        "--post-logout-redirect-uri",
        "https://app.example/out",
        "--backchannel-logout-uri",
        "https://app.example/told",
        "--backchannel-logout-session-required",
    ])
    .await?;
    let id = created["client_id"].as_str().expect("client_id");
    let old = created["client_secret"].as_str().expect("client_secret");
    assert_eq!(created["post_logout_redirect_uris"], json!(["https://app.example/out"]));
    let mut updated =
        read(&["clients", "update", id, "--name", "Other", "--redirect-uri", "https://b.example/cb"]).await?;
    assert_eq!(
        (&updated["client_name"], &updated["redirect_uris"][0]),
        (&"Other".into(), &"https://b.example/cb".into())
    );
    let mut before = created.clone();
    for named in ["client_name", "redirect_uris", "client_secret", "updated_at"] {
        for value in [&mut updated, &mut before] {
            value.as_object_mut().expect("an object").remove(named);
        }
    }
    assert_eq!(updated, before, "what is not named stays");
    for bad in
        [["--redirect-uri", "javascript:alert(1)"], ["--backchannel-logout-uri", "http://app.example/"]]
    {
        let output = Causeway::run(directory, &["clients", "update", id, bad[0], bad[1]]).await?;
        ensure!(!output.status.success(), "{bad:?}");
    }

    let endpoint = format!("{}/oauth/introspect", deployment.server.address);
    let status = async |secret: &str| {
        let form = [("client_id", id), ("client_secret", secret), ("token", "x")];
        anyhow::Ok(deployment.agent.post(&endpoint, &form).await?.status)
    };
    assert_eq!(status(old).await?, 200);
    let rotated = read(&["clients", "rotate-secret", id]).await?;
    let new = rotated["client_secret"].as_str().expect("client_secret");
    within_a_second(async || Ok(status(old).await? == 401 && status(new).await? == 200)).await?;
    let public =
        read(&["clients", "create", "--auth-method", "none", "--redirect-uri", "https://app.example/cb"])
            .await?;
    let public = public["client_id"].as_str().expect("client_id");
    let output = Causeway::run(directory, &["clients", "rotate-secret", public]).await?;
    ensure!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("has no secret"));
    Ok(())
}

/// A document describes a client here as it does over HTTP: all of it, by the same checks; flags win over it.
#[tokio::test]
async fn clients_by_document() -> Result<()> {
    let directory = tempdir()?;
    run(directory.path(), &["migrate", "up"]).await?;
    let write = |document: &Value| std::fs::write(directory.path().join("client.json"), document.to_string());
    let read = async |arguments: &[&str]| -> Result<Value> {
        Ok(serde_json::from_str(&run(directory.path(), arguments).await?)?)
    };
    let document = json!({
        "client_name": "Documented", "client_uri": "https://app.example/",
        "redirect_uris": ["https://app.example/cb"], "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post", "scope": "atproto openid",
        "dpop_bound_access_tokens": true, "access_token_format": "jwt",
        "id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "RS256",
        "introspection_signed_response_alg": "ES256", "require_pushed_authorization_requests": true,
        "require_signed_request_object": false, "post_logout_redirect_uris": ["https://app.example/out"],
        "backchannel_logout_uri": "https://app.example/told", "backchannel_logout_session_required": true,
        "allow_background_access": true, "allow_session_export": true,
        "allowed_resources": ["https://api.example/v1"], "access_token_expiration": 60,
        "refresh_token_expiration": 0, "contacts": ["ops@app.example"],
    });
    write(&document)?;
    let created = read(&[
        "clients",
        "create",
        "--metadata",
        "client.json",
        "--name",
        "Named",
        "--allow-session-export=false",
    ])
    .await?;
    let id = created["client_id"].as_str().expect("client_id");
    assert!(created["client_secret"].as_str().is_some_and(|secret| secret.starts_with("cw_cs_")));
    let shown = read(&["clients", "show", id]).await?;
    assert_eq!(shown.get("client_secret"), None);
    let mut expected = document.clone();
    (expected["client_name"], expected["allow_session_export"]) = (json!("Named"), json!(false));
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!((name, &shown[name]), (name, value), "{name}");
    }

    // The output describes the same client; standard input counts as a file.
    let arguments = ["clients", "update", id, "--metadata", "-", "--refresh-token-expiration", "3600"];
    let mut update = Causeway::command(directory.path())?
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    update.stdin.take().expect("stdin").write_all(shown.to_string().as_bytes()).await?;
    let updated: Value = serde_json::from_slice(&update.wait_with_output().await?.stdout)?;
    expected["refresh_token_expiration"] = json!(3600);
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!((name, &updated[name]), (name, value), "{name}");
    }
    assert_eq!(updated.get("client_secret"), None, "it has one");

    // Omitted members are unchanged, `null` removes one; a public client no longer has a secret.
    write(&json!({
        "client_uri": null, "scope": null, "token_endpoint_auth_method": "none", "allowed_resources": [],
    }))?;
    let updated = read(&["clients", "update", id, "--metadata", "client.json"]).await?;
    for (name, value) in [
        ("client_uri", Value::Null),
        ("scope", Value::Null),
        ("token_endpoint_auth_method", json!("none")),
        ("allowed_resources", json!([])),
        ("contacts", document["contacts"].clone()),
        ("access_token_expiration", json!(60)),
    ] {
        assert_eq!((name, &updated[name]), (name, &value));
    }
    let again = read(&["clients", "update", id, "--auth-method", "client_secret_basic"]).await?;
    assert!(again["client_secret"].as_str().is_some_and(|secret| secret.starts_with("cw_cs_")), "{again}");

    // Another document's defaults are those of RFC 7591, as over HTTP.
    write(&json!({ "redirect_uris": ["https://app.example/cb"] }))?;
    let plain = read(&["clients", "create", "--metadata", "client.json"]).await?;
    assert_eq!(plain["grant_types"], json!(["authorization_code"]));
    Ok(())
}

/// An invalid document is refused with the name of the member at fault.
#[tokio::test]
async fn client_documents_refused() -> Result<()> {
    let directory = tempdir()?;
    run(directory.path(), &["migrate", "up"]).await?;
    let read = async |arguments: &[&str]| -> Result<Value> {
        Ok(serde_json::from_str(&run(directory.path(), arguments).await?)?)
    };
    let created = read(&["clients", "create", "--redirect-uri", "https://app.example/cb"]).await?;
    let id = created["client_id"].as_str().expect("client_id");
    for (document, more, reason) in [
        (json!({ "client_secret": "of-my-own" }), &[][..], "client_secret is set by this server"),
        (json!({ "client_id": "another" }), &[], "client_id"),
        (json!({ "scope": "atproto identity:*" }), &[], "atp-scopes is"),
        (json!({ "refresh_token_expiration": -1 }), &[], "refresh_token_expiration"),
        (
            json!({ "token_endpoint_auth_method": "none" }),
            &["--allow-session-export"],
            "allow_session_export",
        ),
        (json!([]), &[], "JSON object"),
        (json!({ "redirect_uris": 1 }), &[], "metadata of the client"),
    ] {
        std::fs::write(directory.path().join("client.json"), document.to_string())?;
        for command in [&["create", "--redirect-uri", "https://app.example/cb"][..], &["update", id]] {
            let arguments = [&["clients"], command, &["--metadata", "client.json"], more].concat();
            if reason.starts_with("metadata of") && command[0] == "create" {
                continue;
            }
            let output = Causeway::run(directory.path(), &arguments).await?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.code() == Some(1) && said.contains(reason),
                "{arguments:?} {document}: {said}"
            );
        }
    }
    let wider =
        ["clients", "update", id, "--scope", "atproto identity:*", "--atp-scopes", "atproto identity:*"];
    assert_eq!(read(&wider).await?["scope"], "atproto identity:*");
    let renamed = read(&["clients", "update", id, "--name", "Third"]).await?;
    assert_eq!(
        renamed["scope"], "atproto identity:*",
        "what it had is no reason not to change something else"
    );
    Ok(())
}

/// Access tokens of the client itself are revoked with its sessions, and the audit log says so.
#[tokio::test]
async fn tokens_of_a_client() -> Result<()> {
    let deployment = Deployment::start().await?;
    let (directory, agent) = (deployment.directory.path(), &deployment.agent);
    let create =
        ["clients", "create", "--grant-type", "client_credentials", "--auth-method", "client_secret_post"];
    let created = run(directory, &[&create[..], &["--name", "Job"]].concat()).await?;
    let created: Value = serde_json::from_str(&created)?;
    let id = created["client_id"].as_str().expect("client_id");
    let secret = created["client_secret"].as_str().expect("client_secret");
    let post = async |path: &str, name: &str, value: &str| -> Result<Value> {
        let form = [("client_id", id), ("client_secret", secret), (name, value)];
        Ok(agent.post(&format!("{}{path}", deployment.server.address), &form).await?.json())
    };
    let token = post("/oauth/token", "grant_type", "client_credentials").await?;
    let token = token["access_token"].as_str().expect("a token");
    assert_eq!(post("/oauth/introspect", "token", token).await?["active"], true);
    assert!(run(directory, &["tokens", "revoke", "--client", id]).await?.contains("Revoked 1"));
    assert_eq!(post("/oauth/introspect", "token", token).await?["active"], false);
    let written = run(directory, &["audit", "list", "--client", id, "--event", "revocation"]).await?;
    let written: Value = serde_json::from_str(&written)?;
    assert_eq!(written["details"], json!({ "by": "command line", "client_tokens": 1 }));
    Ok(())
}
