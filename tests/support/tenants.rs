//! Tenants and connections in them.

use anyhow::Result;
use causeway_domain::connection::Slot;
use causeway_domain::session::{Binding, Cooldown, Credentials, OtherBinding, SessionHead, UpstreamAccess};
use causeway_store::connections::heads::{self, NewConnection};
use causeway_store::{StoreError, clients};
use causeway_testkit::{Answer, BEARER, OauthClient, RequestBuilder};
use causeway_types::{
    BrowserSessionId, ClientId, Secret, SessionKind, SessionState, SystemRng, TenantId, TenantUser,
    UpstreamSessionId, UserId, UserNamespace,
};
use serde_json::{Map, Value, json};

use super::{Scene, enter};

impl Scene {
    /// A client that authenticates, with what the operator grants it.
    pub(crate) async fn backend(
        &self,
        grant: impl FnOnce(&mut causeway_domain::client::Client),
    ) -> Result<OauthClient> {
        let more = json!({
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
        });
        let client = OauthClient::register_as(&self.agent, &self.app.issuer, more).await?;
        enter(&self.app, &client).await?;
        let id = ClientId::new(&*client.client_id);
        let find = move |c: &mut _| clients::find_client(c, &TenantId::default_tenant(), &id);
        let mut row = self.app.store().read::<_, StoreError, _>(find).await?.expect("the client");
        grant(&mut row);
        self.app.store().write::<_, StoreError, _>(move |c| clients::update_client(c, &row)).await?;
        Ok(client)
    }

    /// A platform client, with a tenant that it made.
    pub(crate) async fn platform(&self) -> Result<(OauthClient, String)> {
        let client = self.backend(|client| client.entitlements.manage_tenants = true).await?;
        let made =
            self.ask_as(&client, None, "POST", "/api/tenants", Some(json!({ "name": "Acme" }))).await?;
        let tenant = made.json()["tenant_id"].as_str().expect("a tenant").to_owned();
        Ok((client, tenant))
    }

    /// A request of a client for itself, in a tenant if it names one.
    pub(crate) async fn ask_as(
        &self,
        client: &OauthClient,
        tenant: Option<&str>,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let request = self.agent.request(method.parse()?, &self.app.at(path));
        let request = request.basic_auth(&client.client_id, client.client_secret.as_ref());
        let request =
            tenant.iter().fold(request, |request, tenant| request.header("causeway-tenant", *tenant));
        let request = body.iter().fold(request, RequestBuilder::json);
        self.agent.send(request).await
    }

    /// Stores a connection of a client's user at the scripted bearer provider.
    pub(crate) async fn connection(
        &self,
        client: &OauthClient,
        tenant: &str,
        user_id: &str,
        state: SessionState,
    ) -> Result<String> {
        let namespace = UserNamespace::of_client(&ClientId::new(&*client.client_id)).expect("a namespace");
        self.connection_of(client, tenant, namespace, user_id, state).await
    }

    /// The same for a user of this namespace.
    pub(crate) async fn connection_of(
        &self,
        client: &OauthClient,
        tenant: &str,
        namespace: UserNamespace,
        user_id: &str,
        state: SessionState,
    ) -> Result<String> {
        let (now, ring, tenant_id) = (self.app.ctx.now(), self.app.ring.clone(), TenantId::new(tenant));
        let (token, refresh) = self.upstream.grant(user_id);
        let credentials = Credentials {
            access: UpstreamAccess::Bearer(Secret::new(token)),
            refresh_token: Some(Secret::new(refresh)),
            created_at: now,
            expires_at: Some(now.plus(3600)),
            scope: "read".to_owned(),
        };
        let head = SessionHead {
            session_id: UpstreamSessionId::issued(&SystemRng, now.into()),
            tenant_id: tenant_id.clone(),
            client_id: ClientId::new(&*client.client_id),
            kind: SessionKind::Background,
            state,
            browser_id: BrowserSessionId::new("browser"),
            iteration: 1,
            binding: Binding::Other(OtherBinding {
                provider: BEARER.to_owned(),
                subject: user_id.to_owned(),
                data: "{}".to_owned(),
                idle_seconds: None,
            }),
            created_at: now,
            last_used_at: now,
            cooldown: Cooldown::default(),
            correlation_id: None,
        };
        let id = head.session_id.as_str().to_owned();
        let user = TenantUser { namespace, user_id: UserId::parse(user_id).expect("a name") };
        let slot = Slot { user, account_slot: id.clone(), device_slot: String::new() };
        let store = self.app.store().in_tenant(&tenant_id);
        store
            .write::<_, StoreError, _>(move |scope| {
                let empty = Map::new();
                let new = NewConnection {
                    head: &head,
                    slot: &slot,
                    registration_id: None,
                    identity_id: None,
                    parameters: &empty,
                    metadata: &empty,
                };
                heads::insert_connection(scope, &ring, &new, &credentials)
            })
            .await?;
        Ok(id)
    }
}
