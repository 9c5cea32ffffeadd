//! A client whose users connect accounts at the scripted provider.

use anyhow::{Context as _, Result, ensure};
use causeway_domain::client::Client;
use causeway_domain::connection::{Registration, RegistrationState, Tenant};
use causeway_flow::{ConfiguredRegistration, ConfiguredRegistrations, CtxParts};
use causeway_providers::Catalog;
use causeway_store::connections::{registrations, tenants};
use causeway_store::{StoreError, TenantScope, clients};
use causeway_testkit::{
    Agent, Answer, OauthClient, RequestBuilder, ScriptedProvider, ScriptedUpstream, TestApp, TestDatabase,
};
use causeway_types::{ClientId, RegistrationId, Secret, SystemRng, TenantId, UpstreamClientId};
use serde_json::{Value, json};
use url::Url;

use super::{DID, HANDLE, hidden};

/// The name of the provider.
pub(crate) const PROVIDER: &str = "scripted";
/// A definition whose tokens rotate, with the account and its pages.
pub(crate) const ROTATING: &str =
    "scopes = [\"read\", \"write\"]\n[refresh]\npolicy = \"refresh_token\"\nrotation = \"single_use\"\n";
/// Where its user and pages are.
pub(crate) const ACCOUNT: &str = "[identity]\nurl = \"ORIGIN/me\"\nsubject = \"/id\"\nname = \"/name\"\n\
    [[managed_accounts]]\nurl = \"ORIGIN/me/accounts\"\nitems = \"/data\"\nnext = \"/paging/next\"\nname = \"/name\"\n\
    category = \"/category\"\ntasks = \"/tasks\"\ntoken = \"/access_token\"\n\
    [revocation]\nurl = \"ORIGIN/revoke\"\n";

/// A server with a definition of the scripted provider, and a client that may connect accounts there.
pub(crate) struct Connecting {
    pub(crate) app: TestApp,
    pub(crate) provider: ScriptedProvider,
    pub(crate) client: OauthClient,
    /// The browser of the client's user.
    pub(crate) agent: Agent,
    /// The tenant that the client names.
    pub(crate) tenant: Option<&'static str>,
    registrations: ConfiguredRegistrations,
    upstream: ScriptedUpstream,
}

impl Connecting {
    /// With the usual definition.
    pub(crate) async fn set(database: &TestDatabase) -> Result<Self> {
        Self::with(database, |provider| provider.definition(ROTATING) + ACCOUNT).await
    }

    /// With the definition that `of` writes; `ORIGIN` in it is the provider's.
    pub(crate) async fn with(
        database: &TestDatabase,
        of: impl FnOnce(&ScriptedProvider) -> String,
    ) -> Result<Self> {
        let registration = ConfiguredRegistration {
            client_id: UpstreamClientId::new(ScriptedProvider::CLIENT_ID),
            client_secret: Some(Secret::new(ScriptedProvider::CLIENT_SECRET)),
        };
        Self::start(database, of, [(PROVIDER.to_owned(), registration)].into()).await
    }

    /// With a provider at which the server registers itself. `lines` are further ones of that part of the definition.
    pub(crate) async fn registering(database: &TestDatabase, lines: &str) -> Result<Self> {
        let registration = format!("[registration]\nby = \"instance\"\nurl = \"ORIGIN/apps\"\n{lines}\n");
        let of = |provider: &ScriptedProvider| provider.definition(ROTATING) + ACCOUNT + &registration;
        Self::start(database, of, ConfiguredRegistrations::new()).await
    }

    async fn start(
        database: &TestDatabase,
        of: impl FnOnce(&ScriptedProvider) -> String,
        registrations: ConfiguredRegistrations,
    ) -> Result<Self> {
        let (provider, upstream) = (ScriptedProvider::start()?, ScriptedUpstream::start(HANDLE, DID)?);
        let catalog = catalog(&of(&provider).replace("ORIGIN", &provider.origin))?;
        let tune = |parts: &mut CtxParts| {
            parts.providers = catalog;
            parts.provider_registrations = registrations.clone();
        };
        let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
        let agent = Agent::default();
        let client = client(&app, &agent).await?;
        Ok(Self { app, provider, client, agent, tenant: None, registrations, upstream })
    }

    /// A server beside this one, on the same database, with the same definitions.
    pub(crate) async fn beside(&self, database: &TestDatabase) -> Result<TestApp> {
        let catalog = (*self.app.ctx.providers()).clone();
        let tune = |parts: &mut CtxParts| {
            parts.providers = catalog;
            parts.provider_registrations = self.registrations.clone();
            (parts.ring, parts.clock) = (self.app.ring.clone(), std::sync::Arc::new(self.app.clock.clone()));
            parts.issuer.clone_from(&self.app.issuer);
        };
        TestApp::start_tuned(database, &self.upstream.environment(), tune).await
    }

    /// A request of the client for itself.
    pub(crate) fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        self.in_tenant(ask(&self.app, &self.client, method, path))
    }

    fn in_tenant(&self, request: RequestBuilder) -> RequestBuilder {
        match self.tenant {
            Some(tenant) => request.header("causeway-tenant", tenant),
            None => request,
        }
    }

    /// A second tenant in which the client acts, from now on.
    pub(crate) async fn enter(&mut self, tenant: &'static str) -> Result<()> {
        let (id, now) = (ClientId::new(&*self.client.client_id), self.app.ctx.now());
        let new = Tenant {
            tenant_id: TenantId::new(tenant),
            name: tenant.to_owned(),
            user_namespace: None,
            created_at: now,
        };
        self.app
            .store()
            .write::<_, StoreError, _>(move |c| {
                tenants::insert_tenant(c, &new)?;
                tenants::insert_tenant_client(c, &new.tenant_id, &id, now).map(drop)
            })
            .await?;
        self.tenant = Some(tenant);
        Ok(())
    }

    /// Makes a connect session; `more` are further members of the request.
    pub(crate) async fn make(&self, more: Value) -> Result<Answer> {
        let request = ask(&self.app, &self.client, "POST", "/api/connect-sessions");
        send(self.in_tenant(request), &self.client, more).await
    }

    /// The same, which succeeds: its identifier and its address.
    pub(crate) async fn open(&self, more: Value) -> Result<(String, String)> {
        let made = self.make(more).await?;
        ensure!(made.status == 201, "{made:?}");
        let text = |name: &str| made.json()[name].as_str().map(str::to_owned).context(name.to_owned());
        Ok((text("connect_session_id")?, text("connect_url")?))
    }

    /// From the page to the provider, in a browser: where the provider is.
    pub(crate) async fn leave(&self, agent: &Agent, connect_url: &str) -> Result<String> {
        press(agent, connect_url, &[("provider", PROVIDER)]).await?.location()
    }

    /// From the page to the client's address, in a browser, with the user's approval: the client's address.
    pub(crate) async fn run(&self, agent: &Agent, connect_url: &str) -> Result<Url> {
        let to_provider = self.leave(agent, connect_url).await?;
        let callback = approve(&to_provider).await?;
        Ok(Url::parse(&agent.get(&callback).await?.location()?)?)
    }

    /// Confirms a connection.
    pub(crate) async fn confirm(&self, back: &Url, user: &str) -> Result<Answer> {
        self.confirm_at(&self.app, back, user).await
    }

    /// The same, at a server.
    pub(crate) async fn confirm_at(&self, app: &TestApp, back: &Url, user: &str) -> Result<Answer> {
        let code = param(back, "connect_code").unwrap_or_default();
        let body = json!({"connect_code": code, "user_id": user});
        let request = self.in_tenant(ask(app, &self.client, "POST", "/api/connections/confirm"));
        send_json(&self.agent, request, &body).await
    }

    /// Our registration at the provider, in the default tenant.
    pub(crate) async fn registration(&self) -> Result<Registration> {
        let (ring, issuer) = (self.app.ring.clone(), self.provider.origin.clone());
        let find = move |scope: &mut TenantScope<'_>| {
            registrations::find_current_registration(scope, &ring, PROVIDER, &issuer)
        };
        let store = self.app.store().in_tenant(&TenantId::default_tenant());
        store.read::<_, StoreError, _>(find).await?.context("there is no registration")
    }

    /// Gives the default tenant a registration of its own, with a redirect URI of its own: returns that.
    pub(crate) async fn own_registration(&self) -> Result<String> {
        let before = self.registration().await?;
        let id = RegistrationId::random(&SystemRng);
        let redirect_uri = self.app.at(&format!("/connect/callback/{id}"));
        let own = Registration {
            registration_id: id,
            client_secret: Some(Secret::new(ScriptedProvider::CLIENT_SECRET)),
            redirect_uri: redirect_uri.clone(),
            ..before.clone()
        };
        let ring = self.app.ring.clone();
        let put = move |scope: &mut TenantScope<'_>| {
            let (from, to) = (RegistrationState::Active, RegistrationState::Superseded);
            registrations::change_state(scope, &before.registration_id, from, to, before.created_at)?;
            registrations::insert_registration(scope, &ring, &own)
        };
        let store = self.app.store().in_tenant(&TenantId::default_tenant());
        store.write::<_, StoreError, _>(put).await?;
        Ok(redirect_uri)
    }

    /// A confirmed background connection of user 17: its identifier.
    pub(crate) async fn connect(&self) -> Result<String> {
        let (_, url) = self.open(json!({})).await?;
        let confirmed = self.confirm(&self.run(&Agent::default(), &url).await?, "17").await?;
        ensure!(confirmed.status == 200, "{confirmed:?}");
        Ok(confirmed.json()["connection_id"].as_str().context("connection_id")?.to_owned())
    }

    /// Shows a connection to its client.
    pub(crate) async fn shown(&self, id: &str) -> Result<Answer> {
        self.agent.send(self.ask("GET", &format!("/api/connections/{id}"))).await
    }

    /// The state and the outcome of a connect session.
    pub(crate) async fn outcome(&self, id: &str) -> Result<(String, String)> {
        let shown = self.agent.send(self.ask("GET", &format!("/api/connect-sessions/{id}"))).await?.json();
        let text = |name: &str| shown[name].as_str().unwrap_or("-").to_owned();
        Ok((text("state"), text("outcome")))
    }

    /// Runs the periodic maintenance once.
    pub(crate) async fn upkeep(&self) -> Result<()> {
        causeway_flow::operations::sweep::sweep_all(&self.app.ctx).await?;
        causeway_flow::upstream::revocation::revoke_due(&self.app.ctx).await?;
        Ok(())
    }
}

/// A catalog of the built-in definitions, and this one.
pub(crate) fn catalog(definition: &str) -> Result<Catalog> {
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join(format!("{PROVIDER}.toml")), definition)?;
    Ok(Catalog::load(Some(directory.path()))?)
}

/// A client of the operator that may connect accounts at the scripted provider, also in the background.
pub(crate) async fn client(app: &TestApp, agent: &Agent) -> Result<OauthClient> {
    let more = json!({"token_endpoint_auth_method": "client_secret_basic"});
    let client = OauthClient::register_as(agent, &app.issuer, more).await?;
    change(app, &client, |client| {
        client.registration_access_token = None;
        client.entitlements.background_access = true;
        client.entitlements.providers = vec![PROVIDER.to_owned()];
    })
    .await?;
    Ok(client)
}

/// Changes a client as the operator does, before it is used: clients are cached for half a second.
pub(crate) async fn change(
    app: &TestApp,
    client: &OauthClient,
    change: impl Fn(&mut Client) + Send + 'static,
) -> Result<()> {
    let id = ClientId::new(&*client.client_id);
    app.store()
        .write::<_, StoreError, _>(move |c| {
            let mut client = clients::find_client(c, &TenantId::default_tenant(), &id)?.unwrap();
            change(&mut client);
            clients::update_client(c, &client)
        })
        .await?;
    Ok(())
}

/// A request of a client for itself.
pub(crate) fn ask(app: &TestApp, client: &OauthClient, method: &str, path: &str) -> RequestBuilder {
    let request = Agent::default().request(method.parse().expect("a method"), &app.at(path));
    request.basic_auth(&client.client_id, client.client_secret.as_deref())
}

/// Makes a connect session of a client.
pub(crate) async fn make(app: &TestApp, client: &OauthClient, more: Value) -> Result<Answer> {
    send(ask(app, client, "POST", "/api/connect-sessions"), client, more).await
}

async fn send(request: RequestBuilder, client: &OauthClient, more: Value) -> Result<Answer> {
    let mut body = json!({
        "user_id": "17", "providers": [PROVIDER], "session_kind": "background",
        "return_uri": client.redirect_uri, "state": "their-state",
    });
    for (name, value) in more.as_object().context("an object")? {
        body[name] = value.clone();
    }
    send_json(&Agent::default(), request, &body).await
}

async fn send_json(agent: &Agent, request: RequestBuilder, body: &Value) -> Result<Answer> {
    agent.send(request.header("content-type", "application/json").body(body.to_string())).await
}

/// Opens the page in a browser, and presses a button there.
pub(crate) async fn press(agent: &Agent, connect_url: &str, button: &[(&str, &str)]) -> Result<Answer> {
    let page = agent.get(connect_url).await?;
    ensure!(page.status == 200, "{page:?}");
    let token = hidden(&page, "form_token");
    let mut form = button.to_vec();
    form.push(("form_token", &token));
    agent.post(connect_url, &form).await
}

/// Approves at the provider, in whatever browser: the address to which it sends the user back.
pub(crate) async fn approve(to_provider: &str) -> Result<String> {
    Agent::default().get(to_provider).await?.location()
}

/// A parameter of an address.
pub(crate) fn param(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
