//! Connections at the scripted provider, and clients that call with them.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use causeway_domain::connection::ConnectionAccess;
use causeway_flow::CtxParts;
use causeway_store::{StoreError, clients};
use causeway_testkit::{
    Agent, Answer, Environment, OauthClient, RequestBuilder, ScriptedProvider, ScriptedUpstream, TestApp,
    TestConnection, TestDatabase,
};
use causeway_types::{ClientId, SessionKind, TenantId};
use serde_json::{Value, json};

use super::{DID, HANDLE};

/// A server that knows a scripted provider, and a client that may use it.
pub(crate) struct Relay {
    pub(crate) app: TestApp,
    pub(crate) provider: ScriptedProvider,
    pub(crate) agent: Agent,
    pub(crate) client: OauthClient,
    lines: String,
    environment: Environment,
    _upstream: ScriptedUpstream,
}

impl Relay {
    /// With these lines of the provider's definition.
    pub(crate) async fn with(database: &TestDatabase, lines: &str) -> Result<Self> {
        let (upstream, provider) = (ScriptedUpstream::start(HANDLE, DID)?, ScriptedProvider::start()?);
        let environment = upstream.environment();
        let mut defined = Ok(());
        let tune = |parts: &mut CtxParts| defined = TestApp::with_provider(parts, &provider, lines);
        let app = TestApp::start_tuned(database, &environment, tune).await?;
        defined?;
        let agent = Agent::default();
        let client = Self::client_of(&app, &agent).await?;
        Ok(Self { app, provider, agent, client, lines: lines.to_owned(), environment, _upstream: upstream })
    }

    /// A second server over the same database.
    pub(crate) async fn beside(&self, database: &TestDatabase) -> Result<TestApp> {
        let tune = |parts: &mut CtxParts| {
            self.app.share_with(parts);
            TestApp::with_provider(parts, &self.provider, &self.lines).expect("it was valid before");
        };
        TestApp::start_tuned(database, &self.environment, tune).await
    }

    /// A client that authenticates and is entitled to the provider.
    pub(crate) async fn client_of(app: &TestApp, agent: &Agent) -> Result<OauthClient> {
        let client = OauthClient::register_with(agent, &app.issuer, "client_secret_basic").await?;
        Self::entitle(app, &client, |client| {
            client.entitlements.providers = vec!["scripted".to_owned()];
            client.entitlements.background_access = true;
        })
        .await?;
        Ok(client)
    }

    /// Changes a client as the operator does.
    pub(crate) async fn entitle(
        app: &TestApp,
        client: &OauthClient,
        change: impl Fn(&mut causeway_domain::client::Client) + Send + 'static,
    ) -> Result<()> {
        let id = ClientId::new(&*client.client_id);
        let write = move |c: &mut causeway_store::AnyConnection| {
            let mut client = clients::find_client(c, &TenantId::default_tenant(), &id)?.unwrap();
            client.registration_access_token = None;
            change(&mut client);
            clients::update_client(c, &client)
        };
        app.store().write::<_, StoreError, _>(write).await?;
        Ok(())
    }

    /// A connection of the client's user at the provider.
    pub(crate) async fn connect(&self, user: &str) -> Result<TestConnection> {
        self.app.add_connection(&self.provider, &self.client.client_id, user, SessionKind::Background).await
    }

    /// Lets another client use a connection.
    pub(crate) async fn share(&self, connection: &TestConnection, client: &OauthClient) -> Result<()> {
        let access = ConnectionAccess {
            connection_id: connection.head.session_id.clone(),
            client_id: ClientId::new(&*client.client_id),
            granted_by: causeway_domain::connection::GrantedBy::Operator,
            created_at: self.app.ctx.now(),
        };
        let store = self.app.store().in_tenant(&connection.head.tenant_id);
        store.write(move |scope| causeway_store::connections::access::put_access(scope, &access)).await?;
        Ok(())
    }

    /// A request of the client to this server.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        Self::request_to(&self.app, &self.agent, &self.client, method, path)
    }

    pub(crate) fn request_to(
        app: &TestApp,
        agent: &Agent,
        client: &OauthClient,
        method: &str,
        path: &str,
    ) -> RequestBuilder {
        let request = agent.request(method.parse().expect("a method"), &app.at(path));
        request.basic_auth(&client.client_id, client.client_secret.as_ref())
    }

    /// Calls the provider's API with a connection.
    pub(crate) async fn call(&self, method: &str, connection: &TestConnection, path: &str) -> Result<Answer> {
        self.agent.send(self.request(method, &format!("/relay/{}{path}", connection.id()))).await
    }

    /// The status and the error of a GET whose path is sent byte for byte.
    pub(crate) async fn refusal_of_raw(&self, connection: &TestConnection, path: &str) -> Result<String> {
        let secret = self.client.client_secret.clone().context("a secret")?;
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("{}:{secret}", self.client.client_id));
        let host = self.app.issuer.trim_start_matches("http://").to_owned();
        let request = format!(
            "GET /relay/{}{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Basic {basic}\r\nconnection: close\r\n\r\n",
            connection.id()
        );
        let answer = tokio::task::spawn_blocking(move || -> Result<String> {
            let mut stream = std::net::TcpStream::connect(host)?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = answer.await??;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({}));
        Ok(format!("{status} {}", body["error"].as_str().unwrap_or_default()))
    }
}
