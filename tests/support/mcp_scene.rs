//! A server of ours that knows a scripted MCP server by the name `tools`, and an MCP client.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_flow::CtxParts;
use causeway_providers::Catalog;
use causeway_testkit::{
    Agent, Answer, Authorization, Environment, OauthClient, ProxiedMcp, RequestBuilder, ScriptedUpstream,
    TestApp, TestDatabase, Tokens, decide,
};
use serde_json::{Value, json};
use url::Url;

use super::{DID, HANDLE};

/// The name of the provider.
pub(crate) const SERVER: &str = "tools";

/// A server of ours with the scripted one among its providers, and an MCP client that registered itself.
pub(crate) struct McpScene {
    pub(crate) app: TestApp,
    pub(crate) server: ProxiedMcp,
    pub(crate) upstream: ScriptedUpstream,
    pub(crate) agent: Agent,
    pub(crate) client: OauthClient,
}

/// The definitions of a server at this address.
pub(crate) fn catalog(url: &str) -> Result<Catalog> {
    let directory = tempfile::tempdir()?;
    let text = format!("kind = \"mcp\"\ntitle = \"The Tools\"\nmcp_url = \"{url}\"\n");
    std::fs::write(directory.path().join(format!("{SERVER}.toml")), &text)?;
    std::fs::write(directory.path().join("others.toml"), text.replace("The Tools", "The Others"))?;
    Ok(Catalog::load(Some(directory.path()))?)
}

impl McpScene {
    pub(crate) async fn set(database: &TestDatabase) -> Result<Self> {
        let server = ProxiedMcp::start()?;
        Self::of(database, server).await
    }

    async fn of(database: &TestDatabase, server: ProxiedMcp) -> Result<Self> {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let app = start(database, &upstream.environment(), &server.url, |_| {}).await?;
        let agent = Agent::default();
        let client = OauthClient::register_as(&agent, &app.issuer, json!({})).await?;
        Ok(Self { app, server, upstream, agent, client })
    }

    /// A server beside this one, on the same database.
    pub(crate) async fn beside(&self, database: &TestDatabase) -> Result<TestApp> {
        let (ring, clock, issuer) = (self.app.ring.clone(), self.app.clock.clone(), self.app.issuer.clone());
        start(database, &self.upstream.environment(), &self.server.url, |parts| {
            (parts.ring, parts.clock, parts.issuer) = (ring, std::sync::Arc::new(clock), issuer);
        })
        .await
    }

    /// The address of an endpoint.
    pub(crate) fn endpoint(&self, name: &str) -> String {
        self.app.at(&format!("/mcp/{name}"))
    }

    /// The answer of the consent page to "allow", from the beginning of an authorization on.
    pub(crate) async fn allow(
        &self,
        agent: &Agent,
        client: &OauthClient,
        authorization: &Authorization,
    ) -> Result<Answer> {
        let consent = client.reach_consent(agent, &self.upstream, authorization).await?;
        decide(agent, &consent, "allow").await
    }

    /// Follows redirects until the browser is back at the client.
    pub(crate) async fn follow(
        &self,
        agent: &Agent,
        client: &OauthClient,
        mut answer: Answer,
    ) -> Result<Url> {
        for _ in 0..10 {
            let location = answer.location()?;
            if location.starts_with(client.redirect_uri.as_str()) {
                return Ok(Url::parse(&location)?);
            }
            answer = agent.get(&location).await?;
        }
        anyhow::bail!("too many redirects")
    }

    /// A token of the client for the server, connected on the way.
    pub(crate) async fn token(&self) -> Result<String> {
        self.token_of(&self.agent, &self.client).await
    }

    pub(crate) async fn token_of(&self, agent: &Agent, client: &OauthClient) -> Result<String> {
        Ok(self.tokens_for(agent, client, &self.endpoint(SERVER)).await?.access_token)
    }

    pub(crate) async fn tokens_for(
        &self,
        agent: &Agent,
        client: &OauthClient,
        resource: &str,
    ) -> Result<Tokens> {
        let authorization = authorization_for(client, resource);
        let answer = self.allow(agent, client, &authorization).await?;
        let back = self.follow(agent, client, answer).await?;
        let code = param(&back, "code").with_context(|| back.to_string())?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", client.redirect_uri.as_str()),
            ("code_verifier", authorization.verifier.expose()),
            ("resource", resource),
        ];
        Tokens::read(&client.post(agent, "/oauth/token", &form).await?)
    }

    /// A request to the server's endpoint.
    pub(crate) fn ask(&self, method: &str, token: &str) -> RequestBuilder {
        let request = self.agent.request(method.parse().unwrap(), &self.endpoint(SERVER)).bearer_auth(token);
        request.header("accept", "application/json, text/event-stream")
    }

    /// Sends a message of a revision.
    pub(crate) async fn send(&self, token: &str, version: Option<&str>, message: &Value) -> Result<Answer> {
        let mut request = self.ask("POST", token).json(message);
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version);
        }
        self.agent.send(request).await
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, token: &str) -> Result<Answer> {
        self.send(token, None, &call_of("read")).await
    }
}

/// An authorization request for an endpoint.
pub(crate) fn authorization_for(client: &OauthClient, resource: &str) -> Authorization {
    let mut authorization = client.authorization(Some(HANDLE));
    authorization.params.push(("resource".to_owned(), resource.to_owned()));
    authorization
}

/// A call of a tool.
pub(crate) fn call_of(tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 17, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
}

/// A query parameter.
pub(crate) fn param(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Waits for a condition, for a few seconds.
pub(crate) async fn until(condition: impl Fn() -> bool) -> Result<()> {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    ensure!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "it never came");
    Ok(())
}

/// Starts a server with a provider `tools` at this address.
pub(crate) async fn start(
    database: &TestDatabase,
    environment: &Environment,
    url: &str,
    tune: impl FnOnce(&mut CtxParts),
) -> Result<TestApp> {
    let catalog = catalog(url)?;
    TestApp::start_tuned(database, environment, |parts| {
        parts.providers = catalog;
        tune(parts);
    })
    .await
}

impl McpScene {
    /// The servers of the user, by a token for the server itself.
    pub(crate) async fn servers(&self) -> Result<Value> {
        let client = OauthClient::register_as(&self.agent, &self.app.issuer, json!({})).await?;
        let token = client.sign_in(&Agent::default(), &self.upstream, HANDLE).await?.access_token;
        let answer = self.agent.get_with(&self.app.at("/api/mcp"), &token).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json())
    }

    /// The user connects on our page, in the browser in which they are signed in.
    pub(crate) async fn reconnect(&self, connect_url: &str) -> Result<()> {
        let page = self.agent.get(connect_url).await?;
        ensure!(page.status == 200, "{page:?}");
        let token =
            page.text.split("name=\"form_token\"").nth(1).and_then(|rest| rest.split("value=\"").nth(1));
        let token = token.and_then(|rest| rest.split('"').next()).context("form token")?;
        let mut answer =
            self.agent.post(connect_url, &[("form_token", token), ("decision", "allow")]).await?;
        for _ in 0..5 {
            let Ok(location) = answer.location() else { break };
            answer = self.agent.get(&location).await?;
        }
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }
}
