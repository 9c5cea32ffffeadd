//! MCP servers and clients that this project did not write: both TypeScript SDKs, the Python SDK, fastmcp and mcp-remote. Each
//! client is pointed at our endpoint and is otherwise unmodified; each server has its own authorization server, or none.

use anyhow::{Context as _, Result};
use causeway_testkit::{
    Agent, McpClientPeer, McpPeer, McpServerPeer, ScriptedUpstream, TestApp, TestDatabase, User as _, decide,
};
use serde_json::{Value, json};
use url::Url;

use crate::support::mcp_scene::{SERVER, start};
use crate::support::{DID, HANDLE, on_each_database};

/// A server of ours in front of another's, and the browser of the user.
struct Front {
    app: TestApp,
    upstream: ScriptedUpstream,
    browser: Agent,
    /// The server behind.
    behind: McpPeer,
    origin: String,
}

impl Front {
    /// `None`: the server is not installed.
    async fn of(database: &TestDatabase, server: McpServerPeer, arguments: &[&str]) -> Result<Option<Self>> {
        let Some((behind, url)) = McpPeer::server(server, arguments).await? else { return Ok(None) };
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let app = start(database, &upstream.environment(), &url, |_| {}).await?;
        let origin = Url::parse(&url)?.origin().ascii_serialization();
        Ok(Some(Self { app, upstream, browser: Agent::default(), behind, origin }))
    }

    fn endpoint(&self) -> String {
        self.app.at(&format!("/mcp/{SERVER}"))
    }

    /// The user's steps in their browser from an authorization request on, until it is sent back to the client.
    async fn authorize(&self, url: &str) -> Result<String> {
        let mut url = Url::parse(url)?;
        url.query_pairs_mut().append_pair("login_hint", HANDLE);
        let to_upstream = self.browser.set_out(url.as_str()).await?.location()?;
        let callback = self.upstream.approve(&to_upstream).await?;
        let consent = self.browser.get(&callback).await?.location()?;
        let mut location = decide(&self.browser, &consent, "allow").await?.location()?;
        for _ in 0..10 {
            if !location.starts_with(&self.app.issuer) && !location.starts_with(&self.origin) {
                return Ok(location);
            }
            let next = self.browser.get(&location).await?.location()?;
            location = Url::parse(&location)?.join(&next)?.into();
        }
        anyhow::bail!("too many redirects")
    }

    /// Runs a client until it has called the server's tools.
    async fn first_call(&self, client: &mut McpPeer) -> Result<Value> {
        let mut said = client.next().await?;
        while let Some(url) = said["authorize"].as_str().map(str::to_owned) {
            let back = self.authorize(&url).await?;
            client.say(&back).await?;
            said = client.next().await?;
        }
        Ok(said)
    }

    async fn seen(&self) -> Result<Value> {
        Ok(self.browser.get(&format!("{}/seen", self.origin)).await?.json())
    }
}

/// Every client against one server. Whether there is a second sign-in at the server, is the user's one connection.
async fn each_client(database: &TestDatabase, server: McpServerPeer, echo: &str) -> Result<()> {
    let Some(front) = Front::of(database, server, &[]).await? else { return Ok(()) };
    for peer in [McpClientPeer::TypeScript, McpClientPeer::TypeScriptModern, McpClientPeer::Python] {
        let Some(mut client) = McpPeer::client(peer, &front.endpoint())? else { continue };
        let said = front.first_call(&mut client).await.with_context(|| format!("{peer:?}"))?;
        assert_eq!(said, json!({"tools": ["echo", "slow"], "echo": echo, "slow": "done"}), "{peer:?}");
        client.say("again").await?;
        assert_eq!(client.next().await?["echo"], echo, "{peer:?}");
    }
    Ok(())
}

on_each_database! {
    async fn a_typescript_server(database) {
        each_client(database, McpServerPeer::TypeScript, "echo, with a token").await
    }

    async fn a_typescript_server_without_sessions(database) {
        each_client(database, McpServerPeer::TypeScriptModern, "echo, with a token").await
    }

    async fn a_fastmcp_server(database) {
        each_client(database, McpServerPeer::FastMcp, "echo from Python").await
    }

    async fn a_python_server_without_authorization(database) {
        each_client(database, McpServerPeer::Python, "echo from Python").await
    }

    /// Access tokens of a few seconds: the client notices nothing, and the server's tokens are renewed behind it.
    async fn tokens_are_renewed_behind_the_client(database) {
        let Some(front) = Front::of(database, McpServerPeer::TypeScript, &["--ttl", "4"]).await? else { return Ok(()) };
        let Some(mut client) = McpPeer::client(McpClientPeer::TypeScript, &front.endpoint())? else { return Ok(()) };
        let said = front.first_call(&mut client).await?;
        assert_eq!(said["echo"], "echo, with a token", "{said}");
        for _ in 0..2 {
            front.app.clock.advance(90);
            tokio::time::sleep(std::time::Duration::from_millis(4100)).await;
            client.say("again").await?;
            let said = client.next().await?;
            assert_eq!(said["echo"], "echo, with a token", "{said}");
        }
        let seen = front.seen().await?;
        assert!(seen["refreshes"].as_u64().unwrap() >= 2, "{seen}");
        let requests = seen["seen"].as_array().unwrap();
        let authorizations = requests.iter().filter(|request| request["path"] == "/authorize").count();
        assert_eq!(authorizations, 1, "{seen}");
        let mut calls = requests.iter().filter(|request| request["path"] == "/mcp");
        assert!(calls.all(|request| request["cookie"].is_null()), "{seen}");
        Ok(())
    }

    /// A client in the middle: it signs in by its own browser flow, and an agent speaks to it on standard input.
    async fn mcp_remote(database) {
        let Some(mut front) = Front::of(database, McpServerPeer::TypeScript, &[]).await? else { return Ok(()) };
        let Some(mut client) = McpPeer::client(McpClientPeer::McpRemote, &front.endpoint())? else { return Ok(()) };
        let line = client.error_with("/oauth/authorize?").await?;
        let url = line.split_whitespace().find(|word| word.starts_with("http")).context(line.clone())?;
        let back = front.authorize(url).await?;
        assert_eq!(front.browser.get(&back).await?.status, 200, "its page");
        let capabilities = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}});
        let initialized = client.request(1, "initialize", &capabilities).await?;
        assert!(initialized["result"]["serverInfo"].is_object(), "{initialized}");
        client.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string()).await?;
        let called = client.request(2, "tools/call", &json!({"name": "echo", "arguments": {}})).await?;
        assert_eq!(called["result"]["content"][0]["text"], "echo, with a token", "{called}");
        assert!(client.is_running() && front.behind.is_running());
        Ok(())
    }
}
