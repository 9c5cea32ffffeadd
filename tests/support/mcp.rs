//! Users who signed in here, and connect at the scripted MCP server.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use causeway_domain::client::Client;
use causeway_flow::CtxParts;
use causeway_flow::connection::coalesce::AskedBy;
use causeway_flow::connection::error::UseError;
use causeway_flow::connection::mcp::{self, McpAccess, McpUser, Need, Prompt, PromptError};
use causeway_flow::upstream::relay::{RelayAnswer, RelayRequest};
use causeway_store::{DatabaseUrl, StoreError, clients};
use causeway_testkit::{Agent, Answer, OauthClient, ScriptedMcp, ScriptedUpstream, TestApp, TestDatabase};
use causeway_types::{ClientId, Did, TenantId};
use serde_json::{Value, json};

use super::connecting::{PROVIDER, approve, catalog, press};
use super::{DID, HANDLE};

/// Another database of the same kind.
pub(crate) fn like(database: &TestDatabase) -> TestDatabase {
    match database.url() {
        DatabaseUrl::Sqlite { .. } => TestDatabase::sqlite(),
        DatabaseUrl::Postgres(_) => TestDatabase::postgres().expect("PostgreSQL runs"),
    }
}

/// A server with a definition of the scripted MCP server, a client that registered itself, and a browser in which the user
/// is signed in.
pub(crate) struct McpScene {
    pub(crate) app: TestApp,
    pub(crate) mcp: ScriptedMcp,
    pub(crate) client: OauthClient,
    pub(crate) agent: Agent,
    pub(crate) upstream: ScriptedUpstream,
}

impl McpScene {
    pub(crate) async fn set(database: &TestDatabase) -> Result<Self> {
        Self::with(database, "").await
    }

    /// `lines` belong to the definition.
    pub(crate) async fn with(database: &TestDatabase, lines: &str) -> Result<Self> {
        let (mcp, upstream) = (ScriptedMcp::start()?, ScriptedUpstream::start(HANDLE, DID)?);
        let providers = catalog(&mcp.definition(lines))?;
        let tune = |parts: &mut CtxParts| parts.providers = providers;
        let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        client.sign_in(&agent, &upstream, HANDLE).await?;
        Ok(Self { app, mcp, client, agent, upstream })
    }

    /// A server beside this one, on the same database.
    pub(crate) async fn beside(&self, database: &TestDatabase) -> Result<TestApp> {
        let providers = (*self.app.ctx.providers()).clone();
        let (ring, clock, issuer) = (self.app.ring.clone(), self.app.clock.clone(), self.app.issuer.clone());
        let tune = |parts: &mut CtxParts| {
            parts.providers = providers;
            (parts.ring, parts.clock, parts.issuer) = (ring, Arc::new(clock), issuer);
        };
        TestApp::start_tuned(database, &self.upstream.environment(), tune).await
    }

    /// The user, as a client of theirs asks for them.
    pub(crate) async fn user_of(&self, client: &OauthClient, did: &str) -> Result<McpUser> {
        let id = ClientId::new(&*client.client_id);
        let find = move |c: &mut _| clients::find_client(c, &TenantId::default_tenant(), &id);
        let client: Client = self.app.store().read::<_, StoreError, _>(find).await?.context("the client")?;
        Ok(McpUser { tenant_id: TenantId::default_tenant(), did: Did::parse(did)?, client: Arc::new(client) })
    }

    pub(crate) async fn user(&self) -> Result<McpUser> {
        self.user_of(&self.client, DID).await
    }

    /// Asks for a connection, or for more of it.
    pub(crate) async fn prompt(&self, need: Need<'_>, by: AskedBy) -> Result<Prompt, PromptError> {
        let user = self.user().await.expect("the user");
        mcp::prompt(&self.app.ctx, &user, PROVIDER, need, by).await
    }

    /// From the page to where the user is sent.
    pub(crate) async fn leave(&self, prompt: &Prompt) -> Result<Answer> {
        press(&self.agent, &prompt.connect_url, &[("provider", PROVIDER)]).await
    }

    /// From the page to its end: the answer of the callback.
    pub(crate) async fn finish(&self, prompt: &Prompt) -> Result<Answer> {
        let to_provider = self.leave(prompt).await?.location()?;
        self.agent.get(&approve(&to_provider).await?).await
    }

    /// The outcome of a prompt, as everybody who waits is told.
    pub(crate) async fn outcome(&self, prompt: &Prompt) -> Result<String> {
        let found = mcp::outcome(&self.app.ctx, &self.user().await?, &prompt.connect_session_id).await?;
        Ok(found.map_or_else(|| "-".to_owned(), |found| found.outcome))
    }

    /// Connects the user.
    pub(crate) async fn connect(&self) -> Result<()> {
        let prompt = self.prompt(Need::Connection, AskedBy::Hand).await?;
        let done = self.finish(&prompt).await?;
        ensure!(done.status == 200, "{done:?}");
        let outcome = self.outcome(&prompt).await?;
        ensure!(outcome == "connected", "{outcome}");
        Ok(())
    }

    /// Calls the MCP server at `app`.
    pub(crate) async fn call_at(&self, app: &TestApp, method: &str) -> Result<Result<RelayAnswer, UseError>> {
        let user = self.user().await?;
        let found = mcp::find_for(&app.ctx, &user, PROVIDER).await?;
        let McpAccess::Ready(open) = found else { anyhow::bail!("{found:?}") };
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": {"arguments": {}}});
        Ok(open.call(&app.ctx, RelayRequest::mcp(message.to_string().into())).await)
    }

    pub(crate) async fn call(&self, method: &str) -> Result<Result<RelayAnswer, UseError>> {
        self.call_at(&self.app, method).await
    }

    /// Calls, and takes nothing but a result.
    pub(crate) async fn works(&self) -> Result<()> {
        let answer = self.call("tools/list").await??;
        ensure!(answer.status() == 200, "{answer:?}");
        Ok(())
    }

    /// A parameter of the last request to an endpoint.
    pub(crate) fn last(&self, endpoint: &str, name: &str) -> Option<String> {
        self.mcp.seen(endpoint).last()?.parameters.get(name).cloned()
    }

    /// A second client that registered itself.
    pub(crate) async fn another_client(&self) -> Result<OauthClient> {
        OauthClient::register_as(&Agent::default(), &self.app.issuer, Value::Object(serde_json::Map::new()))
            .await
    }
}
