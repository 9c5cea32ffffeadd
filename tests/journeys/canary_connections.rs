//! No secret of a connection leaks: connected, called, refreshed and ended at TRACE, every log line and answer, the
//! metrics, what a trace collector and a webhook received, and the database are searched for every secret there was.

use anyhow::{Context as _, Result, ensure};
use causeway_store::testing;
use causeway_testkit::{Agent, Answer, Causeway, Collector, Hook, ScriptedProvider, SeenSpan, TestDatabase};
use serde_json::{Value, json};
use tempfile::tempdir;
use url::Url;

use crate::support::connecting::{ACCOUNT, PROVIDER, ROTATING, approve, param, press};
use crate::support::{database_arguments, on_each_database};

const RELAY: &str = "[relay]\norigins = [\"ORIGIN\"]\nstrip_members = [\"access_token\"]\n\
    strip_urls = [{ member = \"next\", parameters = [\"access_token\"] }]\n";

struct App<'a> {
    server: &'a Causeway,
    agent: Agent,
    id: String,
    secret: String,
}

impl App<'_> {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        account: Option<&str>,
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.server.address);
        let request = self.agent.request(method.parse()?, &url).basic_auth(&self.id, Some(&self.secret));
        let request =
            account.iter().fold(request, |request, account| request.header("causeway-account", *account));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        self.agent.send(request).await
    }
}

/// Runs a command on the database: what it prints, as JSON if it is.
async fn run(directory: &std::path::Path, command: &str, database: &[String]) -> Result<Value> {
    let arguments: Vec<&str> = command.split(' ').chain(database.iter().map(String::as_str)).collect();
    let done = Causeway::run(directory, &arguments).await?;
    ensure!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(serde_json::from_slice(&done.stdout).unwrap_or_else(|_| String::from_utf8_lossy(&done.stdout).into()))
}

on_each_database! {
    /// From the connect session to the end: pages with tokens of their own, a refresh after a refusal, a code that does
    /// not work, and a connection that nobody confirms.
    async fn no_secret_of_a_connection_leaks(database) {
        let (provider, directory) = (ScriptedProvider::start()?, tempdir()?);
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("providers"))?;
        let definition = provider.definition(ROTATING) + ACCOUNT + RELAY;
        let definition = definition.replace("ORIGIN", &provider.origin);
        std::fs::write(path("providers").join(format!("{PROVIDER}.toml")), definition)?;
        std::fs::write(path("secret"), ScriptedProvider::CLIENT_SECRET)?;
        std::fs::set_permissions(path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let on_database = database_arguments(database, directory.path())?;
        let mut arguments = on_database.clone();
        arguments.extend(
            ["--listen=127.0.0.1:0", "--dev-mode", "--metrics-listen=127.0.0.1:0", "--providers-dir=providers"]
                .map(str::to_owned),
        );
        let (collector, hook) = (Collector::start()?, Hook::start()?);
        let environment = [
            ("RUST_LOG", "trace"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.origin.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let server = Causeway::serve_with(directory.path(), &arguments, &environment).await?;
        // Its redirect URI is at the server's own address.
        let settings = ["--providers-dir=providers".to_owned(), format!("--external-url={}", server.address)];
        let with_providers: Vec<_> = on_database.iter().cloned().chain(settings).collect();
        let register = format!(
            "providers register {PROVIDER} --client-id {} --client-secret-file secret",
            ScriptedProvider::CLIENT_ID
        );
        run(directory.path(), &register, &with_providers).await?;
        let create = format!(
            "clients create --name=App --redirect-uri=http://127.0.0.1:49152/callback --provider={PROVIDER} \
             --allow-background-access"
        );
        let client = run(directory.path(), &create, &on_database).await?;
        let text = |name: &str| client[name].as_str().map(str::to_owned).context(name.to_owned());
        let (id, secret) = (text("client_id")?, text("client_secret")?);
        run(directory.path(), &format!("events subscribe {id} --dev-mode --webhook {}", hook.url), &on_database).await?;
        let app = App { server: &server, agent: Agent::default(), id, secret };

        let mut secrets = vec![("client secret", app.secret.clone()), ("our secret", ScriptedProvider::CLIENT_SECRET.to_owned())];
        let mut answers = Vec::new();
        let mut connection = String::new();
        for is_confirmed in [false, true] {
            let asked = json!({
                "user_id": "17", "providers": [PROVIDER], "session_kind": "background",
                "return_uri": "http://127.0.0.1:49152/callback", "state": "xyz",
            });
            let session = app.ask("POST", "/api/connect-sessions", Some(asked), None).await?;
            ensure!(session.status == 201, "{session:?}");
            let connect_url = session.json()["connect_url"].as_str().context("connect_url")?.to_owned();
            let browser = Agent::default();
            let to_provider = press(&browser, &connect_url, &[("provider", PROVIDER)]).await?.location()?;
            let callback = approve(&to_provider).await?;
            let back = Url::parse(&browser.get(&callback).await?.location()?)?;
            let code = param(&back, "connect_code").context("connect_code")?;
            secrets.push(("connect token", connect_url.rsplit('/').next().unwrap().to_owned()));
            secrets.push(("connect code", code.clone()));
            secrets.push(("state", param(&Url::parse(&to_provider)?, "state").context("state")?));
            answers.push(browser.get(&callback).await?);
            let guess = json!({"connect_code": "canary-code", "user_id": "17"});
            answers.push(app.ask("POST", "/api/connections/confirm", Some(guess), None).await?);
            if is_confirmed {
                let confirmation = json!({"connect_code": code, "user_id": "17"});
                let confirmed = app.ask("POST", "/api/connections/confirm", Some(confirmation), None).await?;
                ensure!(confirmed.status == 200, "{confirmed:?}");
                connection = confirmed.json()["connection_id"].as_str().context("connection_id")?.to_owned();
                answers.push(confirmed);
            }
        }
        let (relay, shown) = (format!("/relay/{connection}"), format!("/api/connections/{connection}"));
        let listed = app.ask("GET", &format!("{relay}/me/accounts?canary-query=1"), None, None).await?;
        ensure!(listed.status == 200, "{listed:?}");
        answers.push(listed);
        let body = json!({"text": "canary-body"});
        let posted = app.ask("POST", &format!("{relay}/api/posts"), Some(body), Some("page-1")).await?;
        ensure!(posted.status == 200 && posted.json()["by"] == "page-1", "{posted:?}");
        provider.expire_access_tokens();
        let refreshed = app.ask("GET", &format!("{relay}/api/x"), None, None).await?;
        ensure!(refreshed.status == 200, "{refreshed:?}");
        answers.extend([posted, refreshed]);
        for (method, path) in [("POST", format!("{shown}/refresh")), ("POST", format!("{shown}/verify")), ("GET", shown.clone())] {
            let answer = app.ask(method, &path, None, None).await?;
            ensure!(answer.status == 200, "{path}: {answer:?}");
            answers.push(answer);
        }
        answers.push(app.agent.get(&server.metrics_url()?).await?);
        let ended = app.ask("DELETE", &shown, None, None).await?;
        ensure!(ended.status == 204, "{ended:?}");
        while !hook.told().iter().any(|told| told.body.contains("\"ended\"")) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        search(database, &server, &collector, &hook, &provider, secrets, &answers).await
    }
}

async fn search(
    database: &TestDatabase,
    server: &Causeway,
    collector: &Collector,
    hook: &Hook,
    provider: &ScriptedProvider,
    mut secrets: Vec<(&'static str, String)>,
    answers: &[Answer],
) -> Result<()> {
    secrets.extend(provider.secrets().into_iter().map(|secret| ("secret of the provider", secret)));
    for prefix in ["access-", "refresh-", "page-token-", "code-"] {
        assert!(secrets.iter().any(|(_, secret)| secret.starts_with(prefix)), "{prefix} was seen");
    }
    secrets.push(("body of a call", "canary-body".to_owned()));
    secrets.push(("query of a call", "canary-query".to_owned()));
    secrets.push(("a wrong code", "canary-code".to_owned()));
    let log = server.log()?;
    for part in ["TRACE", "account connected", "user redirected to the provider"] {
        assert!(log.contains(part), "the log is whole: {part}");
    }
    let dump = database.store().await.read(testing::dump_text).await?;
    let relayed = |spans: &[SeenSpan]| spans.iter().any(|span| span.name.contains("/relay/"));
    collector.until(relayed).await?;
    let traces = String::from_utf8_lossy(&collector.bytes()).into_owned();
    let told: String = hook.told().into_iter().map(|told| told.body).collect();
    assert!(told.contains("connection_id"), "events were delivered");
    for (name, secret) in &secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{name} in the log");
        for (place, text) in [("the traces", &traces), ("the database", &dump), ("an event", &told)] {
            assert!(!text.contains(secret.as_str()), "{name} in {place}");
        }
        // The provider answers a call with its own path.
        for answer in answers.iter().filter(|_| *name != "query of a call") {
            assert!(!answer.text.contains(secret.as_str()), "{name} in an answer: {answer:?}");
        }
    }
    Ok(())
}
