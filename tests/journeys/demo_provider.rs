//! The demo provider: an account is connected and called with nothing registered anywhere, as the chapter on connecting
//! describes it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_testkit::{Agent, Answer, Causeway};
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;
use url::Url;

use crate::support::connecting::{param, press};

/// Address of the definition `demo`.
const ADDRESS: &str = "http://127.0.0.1:8099";

/// Starts the provider on a free port: the process, and its origin.
async fn demo_upstream(directory: &std::path::Path) -> Result<(Child, String)> {
    let mut process = Causeway::command(directory)?
        .args(["demo-upstream", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(process.stdout.take().context("stdout")?).lines();
    let line = timeout(Duration::from_secs(30), lines.next_line()).await??.context("it did not start")?;
    let origin = line.split_whitespace().find(|word| word.starts_with("http://")).context(line.clone())?;
    Ok((process, origin.trim_end_matches('.').to_owned()))
}

struct App<'a> {
    server: &'a Causeway,
    agent: Agent,
    id: String,
    secret: String,
}

impl App<'_> {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Answer> {
        let url = format!("{}{path}", self.server.address);
        let request = self.agent.request(method.parse()?, &url).basic_auth(&self.id, Some(&self.secret));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        self.agent.send(request).await
    }
}

/// Connects, posts, is asked for nothing when its token of two minutes is over, and disconnects.
#[tokio::test]
async fn connected_called_and_ended_with_nothing_registered() -> Result<()> {
    let directory = tempdir()?;
    let (_demo, origin) = demo_upstream(directory.path()).await?;
    let shown = Causeway::run(directory.path(), &["providers", "show", "demo"]).await?;
    std::fs::create_dir(directory.path().join("providers"))?;
    let definition = String::from_utf8(shown.stdout)?.replace(ADDRESS, &origin);
    std::fs::write(directory.path().join("providers/demo.toml"), definition)?;
    let server = Causeway::serve(
        directory.path(),
        &["--listen=127.0.0.1:0", "--dev-mode", "--providers-dir=providers"],
    )
    .await?;
    let redirect_uri = "--redirect-uri=http://127.0.0.1:49152/callback";
    let created = ["clients", "create", "--name=My app", redirect_uri, "--provider=demo"];
    let created = Causeway::run(directory.path(), &created).await?;
    let client: Value = serde_json::from_slice(&created.stdout)
        .with_context(|| String::from_utf8_lossy(&created.stderr).into_owned())?;
    let text = |name: &str| client[name].as_str().map(str::to_owned).context(name.to_owned());
    let app = App {
        server: &server,
        agent: Agent::default(),
        id: text("client_id")?,
        secret: text("client_secret")?,
    };

    let asked = json!({
        "user_id": "17", "providers": ["demo"], "session_kind": "device",
        "return_uri": "http://127.0.0.1:49152/callback", "state": "xyz",
    });
    let session = app.ask("POST", "/api/connect-sessions", Some(asked)).await?;
    ensure!(session.status == 201, "{session:?}");
    let connect_url = session.json()["connect_url"].as_str().context("connect_url")?.to_owned();
    let browser = Agent::default();
    let to_provider = press(&browser, &connect_url, &[("provider", "demo")]).await?.location()?;
    let page = browser.get(&to_provider).await?;
    ensure!(page.status == 200 && page.text.contains("Demo User"), "{page:?}");
    let callback = browser.post(&to_provider, &[("decision", "allow")]).await?.location()?;
    let back = Url::parse(&browser.get(&callback).await?.location()?)?;
    ensure!(param(&back, "state").as_deref() == Some("xyz"), "{back}");
    let code = param(&back, "connect_code").context("connect_code")?;
    let confirmation = json!({"connect_code": code, "user_id": "17"});
    let confirmed = app.ask("POST", "/api/connections/confirm", Some(confirmation)).await?;
    ensure!(confirmed.status == 200, "{confirmed:?}");
    let id = confirmed.json()["connection_id"].as_str().context("connection_id")?.to_owned();

    let relay = format!("/relay/{id}/posts");
    let posted = app.ask("POST", &relay, Some(json!({"text": "Hello"}))).await?;
    ensure!(posted.status == 201, "{posted:?}");
    let refreshed = app.ask("POST", &format!("/api/connections/{id}/refresh"), None).await?;
    ensure!(refreshed.status == 200, "{refreshed:?}");
    let posts = app.ask("GET", &relay, None).await?;
    assert_eq!(posts.json()["posts"][0]["text"], "Hello", "{posts:?}");

    let ended = app.ask("DELETE", &format!("/api/connections/{id}"), None).await?;
    ensure!(ended.status == 204, "{ended:?}");
    assert_eq!(app.ask("GET", &relay, None).await?.status, 404);
    Ok(())
}
