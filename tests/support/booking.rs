//! A client whose users have accounts at a booking site that knows no OAuth.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use causeway_flow::CtxParts;
use causeway_testkit::{
    Agent, Answer, BookingSite, MockClock, OauthClient, ScriptedUpstream, TestApp, TestDatabase,
};
use serde_json::{Value, json};
use url::Url;

use super::connecting::{PROVIDER, ask, catalog, client, param};
use super::{DID, HANDLE, hidden};

/// A server that knows the site, and a client that may use it.
pub(crate) struct Booking {
    pub(crate) app: TestApp,
    pub(crate) site: BookingSite,
    pub(crate) client: OauthClient,
    pub(crate) agent: Agent,
    upstream: ScriptedUpstream,
}

/// The user of the site.
pub(crate) const EMAIL: &str = "Ann@Gym.example";

impl Booking {
    pub(crate) async fn set(database: &TestDatabase) -> Result<Self> {
        Self::with(database, |definition| definition).await
    }

    /// With the definition that `of` makes of the usual one.
    pub(crate) async fn with(database: &TestDatabase, of: impl FnOnce(String) -> String) -> Result<Self> {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let site = BookingSite::start(Arc::new(MockClock::now_or_never()))?;
        let definitions = catalog(&of(site.definition()))?;
        let tune = |parts: &mut CtxParts| parts.providers = definitions;
        let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
        site.set_clock(Arc::new(app.clock.clone()));
        let agent = Agent::default();
        let client = client(&app, &agent).await?;
        Ok(Self { app, site, client, agent, upstream })
    }

    /// A server beside this one, on the same database.
    pub(crate) async fn beside(&self, database: &TestDatabase) -> Result<TestApp> {
        let providers = (*self.app.ctx.providers()).clone();
        let tune = |parts: &mut CtxParts| {
            parts.providers = providers;
            self.app.share_with(parts);
            parts.issuer.clone_from(&self.app.issuer);
        };
        TestApp::start_tuned(database, &self.upstream.environment(), tune).await
    }

    /// Makes a connect session, and returns its address; `more` are further members of the request.
    pub(crate) async fn open(&self, more: Value) -> Result<String> {
        let mut body = json!({
            "user_id": "17", "providers": [PROVIDER], "session_kind": "device",
            "return_uri": self.client.redirect_uri, "state": "their-state",
        });
        for (name, value) in more.as_object().context("an object")? {
            body[name] = value.clone();
        }
        let request = ask(&self.app, &self.client, "POST", "/api/connect-sessions");
        let request = request.header("content-type", "application/json").body(body.to_string());
        let made = self.agent.send(request).await?;
        ensure!(made.status == 201, "{made:?}");
        made.json()["connect_url"].as_str().map(str::to_owned).context("connect_url")
    }

    /// Types into the form of a page, and sends it.
    pub(crate) async fn fill(&self, agent: &Agent, url: &str, typed: &[(&str, &str)]) -> Result<Answer> {
        let page = agent.get(url).await?;
        ensure!(page.status == 200, "{page:?}");
        self.go_on(agent, url, &page, typed).await
    }

    /// The same on a page that is shown already.
    pub(crate) async fn go_on(
        &self,
        agent: &Agent,
        url: &str,
        page: &Answer,
        typed: &[(&str, &str)],
    ) -> Result<Answer> {
        let token = hidden(page, "form_token");
        let step = page.text.contains("name=\"step\"").then(|| hidden(page, "step"));
        let mut form = typed.to_vec();
        form.extend([("form_token", &*token), ("provider", PROVIDER)]);
        form.extend(step.as_deref().map(|step| ("step", step)));
        agent.post(url, &form).await
    }

    /// Signs in with the password: the client's address.
    pub(crate) async fn sign_in(&self, agent: &Agent, url: &str) -> Result<Url> {
        let typed = [("typed.email", EMAIL), ("typed.password", BookingSite::PASSWORD)];
        Ok(Url::parse(&self.fill(agent, url, &typed).await?.location()?)?)
    }

    /// Confirms what a user has connected.
    pub(crate) async fn confirm(&self, back: &Url) -> Result<Answer> {
        let code = param(back, "connect_code").unwrap_or_default();
        let request = ask(&self.app, &self.client, "POST", "/api/connections/confirm");
        let body = json!({"connect_code": code, "user_id": "17"}).to_string();
        self.agent.send(request.header("content-type", "application/json").body(body)).await
    }

    /// A confirmed connection: its identifier.
    pub(crate) async fn connect(&self, more: Value) -> Result<String> {
        let url = self.open(more).await?;
        let confirmed = self.confirm(&self.sign_in(&Agent::default(), &url).await?).await?;
        ensure!(confirmed.status == 200, "{confirmed:?}");
        Ok(confirmed.json()["connection_id"].as_str().context("connection_id")?.to_owned())
    }

    /// Calls the site.
    pub(crate) async fn call(&self, method: &str, id: &str, path: &str) -> Result<Answer> {
        self.call_at(&self.app, method, id, path).await
    }

    /// The same by a server.
    pub(crate) async fn call_at(&self, app: &TestApp, method: &str, id: &str, path: &str) -> Result<Answer> {
        self.agent.send(ask(app, &self.client, method, &format!("/relay/{id}{path}"))).await
    }

    /// The class list, with those who attend.
    pub(crate) async fn attendees(&self, id: &str) -> Result<usize> {
        let list = self.call("GET", id, "/api/classes").await?;
        ensure!(list.status == 200, "{list:?}");
        Ok(list.json()["classes"][0]["attendees"].as_array().map_or(0, Vec::len))
    }

    /// A connection as its client sees it.
    pub(crate) async fn shown(&self, id: &str) -> Result<Value> {
        let request = ask(&self.app, &self.client, "GET", &format!("/api/connections/{id}"));
        Ok(self.agent.send(request).await?.json())
    }
}
