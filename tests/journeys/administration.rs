//! The operator's commands beside a running server.

use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine as _;
use causeway_testkit::{Agent, Causeway, OauthClient, ScriptedUpstream, Tokens};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::support::{DID, HANDLE, upstream_arguments, within_a_second};

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

/// What an operator ends is over at once, for one session, and for everything of a person.
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

/// A rotated key signs within a second, and the old one verifies until it is retired.
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
    let new = kid_of(&deployment.sign_in().await?);
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

/// The doctor finds a healthy deployment healthy, and says what is wrong with another.
#[tokio::test]
async fn doctor_looks() -> Result<()> {
    let deployment = Deployment::start().await?;
    let directory = deployment.directory.path();
    let plc = format!("--plc-url={}", deployment.upstream.origin);
    let healthy = run(directory, &["doctor", "--dev-mode", &plc]).await?;
    for line in ["ok    database", "ok    sealing key", "ok    PLC directory", "ok    clock"] {
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
    let json = async |arguments: &[&str]| -> Result<Value> {
        Ok(serde_json::from_str(&run(directory, arguments).await?)?)
    };
    let created = json(&[
        "clients",
        "create",
        "--name",
        "App",
        "--redirect-uri",
        "https://app.example/cb",
        "--allow-background-access",
        "--post-logout-redirect-uri",
        "https://app.example/out",
        "--backchannel-logout-uri",
        "https://app.example/told",
        "--backchannel-logout-session-required",
    ])
    .await?;
    let id = created["client_id"].as_str().expect("client_id");
    let old = created["client_secret"].as_str().expect("client_secret");
    assert_eq!(created["post_logout_redirect_uris"], serde_json::json!(["https://app.example/out"]));
    let mut updated =
        json(&["clients", "update", id, "--name", "Other", "--redirect-uri", "https://b.example/cb"]).await?;
    assert_eq!(
        (&updated["client_name"], &updated["redirect_uris"][0]),
        (&"Other".into(), &"https://b.example/cb".into())
    );
    let mut before = created.clone();
    for named in ["client_name", "redirect_uris", "client_secret"] {
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
    let rotated = json(&["clients", "rotate-secret", id]).await?;
    let new = rotated["client_secret"].as_str().expect("client_secret");
    within_a_second(async || Ok(status(old).await? == 401 && status(new).await? == 200)).await?;
    let public =
        json(&["clients", "create", "--auth-method", "none", "--redirect-uri", "https://app.example/cb"])
            .await?;
    let public = public["client_id"].as_str().expect("client_id");
    let output = Causeway::run(directory, &["clients", "rotate-secret", public]).await?;
    ensure!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("has no secret"));
    Ok(())
}
