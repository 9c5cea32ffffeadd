//! Shared setup of the tests.

pub(crate) mod booking;
pub(crate) mod connecting;
mod connections;
pub(crate) mod mcp;
pub(crate) mod mcp_scene;
mod networks;
mod tenants;
mod upstreams;

use std::path::Path;

use anyhow::Result;
use causeway_domain::client::Entitlement;
use causeway_domain::session::AccountSession;
use causeway_store::clients;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::sessions;
use causeway_store::{DatabaseUrl, Store, StoreError};
use causeway_testkit::{
    Agent, Answer, Causeway, Environment, OauthClient, RequestBuilder, ScriptedUpstream, TestApp,
    TestDatabase, Tokens,
};
use causeway_types::{
    BrowserSessionId, ClientId, GrantType, PlainToken, Scope, SessionKind, SessionState, SystemRng, TenantId,
    UpstreamSessionId,
};
use serde_json::json;
use tempfile::TempDir;

/// The one account of the scripted upstream.
pub(crate) const HANDLE: &str = "alice.test";
/// Its DID.
pub(crate) const DID: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
/// A second account, where a test adds it.
pub(crate) const OTHER_HANDLE: &str = "bob.test";
/// Another DID, of nobody unless a test says so.
pub(crate) const OTHER_DID: &str = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";

/// A server, a scripted upstream, a browser and a public client that the operator has entered.
pub(crate) struct Scene {
    pub(crate) app: TestApp,
    pub(crate) upstream: ScriptedUpstream,
    pub(crate) agent: Agent,
    pub(crate) client: OauthClient,
}

impl Scene {
    pub(crate) async fn set(database: &TestDatabase) -> Result<Self> {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let app = TestApp::start(database, &upstream.environment()).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        enter(&app, &client).await?;
        Ok(Self { app, upstream, agent, client })
    }

    /// A second server over the same database.
    pub(crate) async fn beside(&self, database: &TestDatabase) -> Result<TestApp> {
        let (clock, ring) = (self.app.clock.clone(), self.app.ring.clone());
        TestApp::start_with(database, &self.upstream.environment(), clock, ring, None).await
    }

    /// Signs in; returns an access token.
    pub(crate) async fn access_token(&self) -> Result<String> {
        Ok(self.client.sign_in(&self.agent, &self.upstream, HANDLE).await?.access_token)
    }

    /// A request to an XRPC method; the caller chooses everything else, such as the body.
    pub(crate) fn xrpc(&self, method: &str, path: &str, token: &str) -> RequestBuilder {
        let url = self.app.at(&format!("/xrpc/{path}"));
        self.agent.request(method.parse().expect("a method"), &url).bearer_auth(token)
    }

    /// Calls a method that only reads.
    pub(crate) async fn read(&self, token: &str) -> Result<Answer> {
        self.agent.send(self.xrpc("GET", "com.atproto.repo.describeRepo?repo=x", token)).await
    }

    /// With a second account.
    pub(crate) async fn with_bob(database: &TestDatabase) -> Result<Self> {
        let scene = Self::set(database).await?;
        scene.upstream.add_account(OTHER_HANDLE, OTHER_DID);
        Ok(scene)
    }

    /// The proof that nothing was lost or left half-done: a sign-in from the start.
    pub(crate) async fn still_works(&self) -> Result<()> {
        let tokens = self.client.sign_in(&self.agent, &self.upstream, HANDLE).await?;
        let answer = self.agent.get_with(&self.app.at("/oauth/userinfo"), &tokens.access_token).await?;
        anyhow::ensure!(answer.json()["sub"] == DID, "{answer:?}");
        Ok(())
    }

    /// Runs the periodic maintenance once.
    pub(crate) async fn upkeep(&self) -> Result<()> {
        causeway_flow::operations::sweep::sweep_all(&self.app.ctx).await?;
        causeway_flow::upstream::revocation::revoke_due(&self.app.ctx).await?;
        causeway_flow::logout::backchannel::deliver_due(&self.app.ctx).await?;
        Ok(())
    }

    /// The session behind tokens.
    pub(crate) async fn session_id(&self, tokens: &Tokens) -> Result<String> {
        let session = self.agent.get_with(&self.app.at("/api/session"), &tokens.access_token).await?.json();
        Ok(session["session_id"].as_str().unwrap().to_owned())
    }

    /// Whether the access token is valid.
    pub(crate) async fn works(&self, tokens: &Tokens) -> Result<bool> {
        Ok(self.agent.get_with(&self.app.at("/oauth/userinfo"), &tokens.access_token).await?.status == 200)
    }

    /// A background session beside the one that this browser has.
    pub(crate) async fn background(&self, agent: &Agent) -> Result<UpstreamSessionId> {
        let browser = BrowserSessionId::of(&PlainToken::presented(agent.cookie("causeway").unwrap()));
        let (ring, now, tenant) = (self.app.ring.clone(), self.app.ctx.now(), TenantId::default_tenant());
        let id = UpstreamSessionId::issued(&SystemRng, now.into());
        let new = id.clone();
        self.app
            .store()
            .write::<_, StoreError, _>(move |c| {
                let live = sessions::list_live_sessions_of_browser(c, &tenant, &browser, now)?;
                let AccountSession { mut head, .. } = live.into_iter().next().unwrap();
                let tokens = sessions::find_credentials(c, &ring, &head)?.unwrap();
                (head.session_id, head.kind, head.state) =
                    (new.clone(), SessionKind::Background, SessionState::Pending);
                sessions::insert_session(c, &ring, &head, &tokens)?;
                sessions::activate_session(c, &new, &Scope::atproto(), None, now)?;
                Ok(())
            })
            .await?;
        Ok(id)
    }

    /// A client that authenticates and has entitlements from the operator. It requests a background session.
    pub(crate) async fn client_with_entitlements(&self, entitlements: &[Entitlement]) -> Result<OauthClient> {
        let more = json!({
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": GrantType::NAMES,
        });
        let client = OauthClient::register_as(&self.agent, &self.app.issuer, more).await?;
        grant_entitlements(self.app.store(), &client, entitlements).await?;
        enter(&self.app, &client).await?;
        Ok(OauthClient { scope: "atproto transition:generic background_access".to_owned(), ..client })
    }

    /// How many upstream sessions are stored, of any state.
    pub(crate) async fn sessions(&self) -> Result<i64> {
        count(&self.app, "upstream_session").await
    }
}

/// Grants entitlements to a client, as the operator does.
pub(crate) async fn grant_entitlements(
    store: &Store,
    client: &OauthClient,
    entitlements: &[Entitlement],
) -> Result<()> {
    let (id, entitlements) = (ClientId::new(&*client.client_id), entitlements.to_vec());
    store
        .write::<_, StoreError, _>(move |c| {
            let mut client = clients::find_client(c, &TenantId::default_tenant(), &id)?.unwrap();
            for entitlement in &entitlements {
                client.entitlements.set(*entitlement, true);
            }
            clients::update_client(c, &client)
        })
        .await?;
    Ok(())
}

/// Marks a client as entered by the operator: it has no registration access token.
pub(crate) async fn enter(app: &TestApp, client: &OauthClient) -> Result<()> {
    let id = ClientId::new(&*client.client_id);
    app.store()
        .write::<_, StoreError, _>(move |c| {
            let mut client = clients::find_client(c, &TenantId::default_tenant(), &id)?.unwrap();
            client.registration_access_token = None;
            clients::update_client(c, &client)
        })
        .await?;
    Ok(())
}

/// The value of the first hidden field of this name.
pub(crate) fn hidden(page: &Answer, name: &str) -> String {
    let at = page.text.find(&format!("name=\"{name}\"")).expect("the field");
    let rest = &page.text[at..];
    let value = rest.split("value=\"").nth(1).expect("its value");
    value.split('"').next().unwrap_or_default().to_owned()
}

/// How many rows a table has.
pub(crate) async fn count(app: &TestApp, table: &'static str) -> Result<i64> {
    Ok(app.store().read(move |c| causeway_store::testing::count_rows(c, table)).await?)
}

/// Arguments for the binary: a database, and a key ring of its own.
pub(crate) fn database_arguments(database: &TestDatabase, directory: &Path) -> Result<Vec<String>> {
    let key = directory.join("ring.key");
    std::fs::write(&key, EncryptionKeyRing::generate(&SystemRng))?;
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let url = match database.url() {
        DatabaseUrl::Sqlite { path } => format!("sqlite://{}", path.display()),
        DatabaseUrl::Postgres(url) => url.clone(),
    };
    Ok(vec![format!("--database-url={url}"), format!("--secret-key-file={}", key.display())])
}

/// Arguments for the binary: the upstream directories.
pub(crate) fn upstream_arguments(environment: &Environment) -> Vec<String> {
    vec![
        "--listen=127.0.0.1:0".to_owned(),
        "--dev-mode".to_owned(),
        format!("--plc-url={}", environment.plc_url),
        format!("--handle-resolver={}", environment.handle_resolver),
    ]
}

/// The binary on a database, with an upstream; in a directory of its own.
pub(crate) async fn serve(database: &TestDatabase, environment: &Environment) -> Result<(TempDir, Causeway)> {
    serve_with(database, environment, &[]).await
}

/// The same, with more flags.
pub(crate) async fn serve_with(
    database: &TestDatabase,
    environment: &Environment,
    more: &[String],
) -> Result<(TempDir, Causeway)> {
    let directory = tempfile::tempdir()?;
    let mut arguments = database_arguments(database, directory.path())?;
    arguments.extend(upstream_arguments(environment));
    arguments.extend_from_slice(more);
    let server = Causeway::serve(directory.path(), &arguments).await?;
    Ok((directory, server))
}

/// Polls until the server has noticed a change of its database by others: it checks within a second.
pub(crate) async fn within_a_second(mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..40 {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("the server has not noticed")
}

/// Runs a test once on each kind of database.
macro_rules! on_each_database {
    ($($(#[$doc:meta])* async fn $name:ident($database:ident) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            #[expect(clippy::allow_attributes, reason = "not every test uses everything")]
            #[allow(unused_imports)]
            use super::*;

            async fn test($database: &causeway_testkit::TestDatabase) -> anyhow::Result<()> $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() -> anyhow::Result<()> {
                test(&causeway_testkit::TestDatabase::sqlite()).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() -> anyhow::Result<()> {
                match causeway_testkit::TestDatabase::postgres() {
                    Some(database) => test(&database).await,
                    None => Ok(()),
                }
            }
        }
    )+};
}
pub(crate) use connections::Relay;
pub(crate) use networks::on_each_network;
pub(crate) use on_each_database;
pub(crate) use upstreams::{UpstreamKind, on_each_upstream};
