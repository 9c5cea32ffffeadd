//! Connections at a [`ScriptedProvider`], stored as they are once a user has connected.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use causeway_domain::connection::{
    CredentialOwner, ManagedAccount, Registration, RegistrationOrigin, RegistrationState, Slot,
    SocialIdentity,
};
use causeway_domain::session::{Binding, Cooldown, Credentials, OtherBinding, SessionHead, UpstreamAccess};
use causeway_flow::CtxParts;
use causeway_providers::Catalog;
use causeway_store::connections::credentials::{NewCredential, insert_credential};
use causeway_store::connections::heads::{NewConnection, insert_connection};
use causeway_store::connections::{identities, managed_accounts, registrations};
use causeway_store::{StoreError, TenantScope};
use causeway_types::{
    BrowserSessionId, ClientId, CredentialId, IdentityId, ManagedAccountId, RegistrationId, Secret,
    SessionKind, SessionState, SystemRng, TenantId, TenantUser, TokenEndpointAuthMethod, UpstreamClientId,
    UpstreamSessionId, UserId, UserNamespace,
};
use serde_json::{Map, json};

use crate::provider::ScriptedProvider;
use crate::{MockClock, TestApp};

/// Lines of a definition for a scripted provider that is like the Graph API, with `{origin}` for its origin and
/// refreshes by refresh tokens that work once.
pub const GRAPH: &str = r#"
[refresh]
policy = "refresh_token"
rotation = "single_use"
[revocation]
url = "{origin}/revoke"
reach = "token"
[identity]
url = "{origin}/me"
subject = "/id"
name = "/name"
[[managed_accounts]]
url = "{origin}/me/accounts"
items = "/data"
next = "/paging/next"
name = "/name"
tasks = "/tasks"
token = "/access_token"
[relay]
origins = ["{origin}"]
deny = ["/api/secret"]
strip_members = ["access_token"]
strip_urls = [{ member = "next", parameters = ["access_token"] }]
request_headers = ["X-Version"]
response_headers = ["X-Usage"]
refused = [{ status = [200, 400, 401], json = "/error/code", equals = [190] }]
action_required = [{ json = "/error/code", equals = [459] }]
wait = [
    { json = "/error/code", equals = [4], scope = "app" },
    { json = "/error/code", equals = [17], scope = "user" },
]
"#;

/// The name of the provider in the catalogs of [`TestApp::with_provider`].
const SCRIPTED: &str = "scripted";

/// A connection that was stored.
#[derive(Clone, Debug)]
pub struct TestConnection {
    /// Its head.
    pub head: SessionHead,
    /// The account of its user.
    pub identity_id: IdentityId,
    /// The user's access token.
    pub access_token: String,
    /// The user's refresh token.
    pub refresh_token: String,
    /// Its user.
    pub slot: Slot,
}

impl TestConnection {
    /// Its identifier.
    pub fn id(&self) -> &str {
        self.head.session_id.as_str()
    }
}

impl TestApp {
    /// Changes the parts of a server so that it knows a scripted provider, with these lines of its definition.
    ///
    /// # Errors
    /// When the definition is not valid.
    pub fn with_provider(parts: &mut CtxParts, provider: &ScriptedProvider, lines: &str) -> Result<()> {
        let directory = tempfile::tempdir()?;
        let text = provider.definition(&lines.replace("{origin}", &provider.origin));
        std::fs::write(directory.path().join(format!("{SCRIPTED}.toml")), text)?;
        parts.providers =
            Catalog::load(Some(directory.path())).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(())
    }

    /// The same for a server that shares keys and clock with this one.
    ///
    /// # Errors
    /// When the definition is not valid.
    pub fn share_with(&self, parts: &mut CtxParts) {
        let clock: MockClock = self.clock.clone();
        (parts.ring, parts.clock) = (self.ring.clone(), Arc::new(clock));
    }

    /// Stores a connection of a client's user at a scripted provider, confirmed, whose credentials live for an hour.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn add_connection(
        &self,
        provider: &ScriptedProvider,
        client_id: &str,
        user_id: &str,
        kind: SessionKind,
    ) -> Result<TestConnection> {
        let tenant = TenantId::default_tenant();
        self.add_connection_in(provider, &tenant, client_id, user_id, kind).await
    }

    /// The same in a tenant.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn add_connection_in(
        &self,
        provider: &ScriptedProvider,
        tenant_id: &TenantId,
        client_id: &str,
        user_id: &str,
        kind: SessionKind,
    ) -> Result<TestConnection> {
        let (now, client_id) = (self.ctx.now(), ClientId::new(client_id));
        let (access, refresh) = provider.grant(user_id);
        let registration_id = RegistrationId::random(&SystemRng);
        let user = TenantUser {
            namespace: UserNamespace::of_client(&client_id).context("a namespace")?,
            user_id: UserId::parse(user_id).context("a user")?,
        };
        let binding = json!({
            "registration_id": registration_id.as_str(), "issuer": null,
            "authorization_endpoint": format!("{}/authorize", provider.origin),
            "token_endpoint": format!("{}/token", provider.origin),
            "revocation_endpoint": null, "introspection_endpoint": format!("{}/api/introspect", provider.origin),
            "resource": null, "requested_scopes": [], "fields": {},
        });
        let head = SessionHead {
            session_id: UpstreamSessionId::issued(&SystemRng, now.into()),
            tenant_id: tenant_id.clone(),
            client_id,
            kind,
            state: SessionState::Active,
            browser_id: BrowserSessionId::new("browser"),
            iteration: 1,
            binding: Binding::Other(OtherBinding {
                provider: SCRIPTED.to_owned(),
                subject: user_id.to_owned(),
                data: binding.to_string(),
                idle_seconds: None,
            }),
            created_at: now,
            last_used_at: now,
            cooldown: Cooldown::default(),
            correlation_id: None,
        };
        let slot = Slot { user: user.clone(), account_slot: String::new(), device_slot: String::new() };
        let registration = Registration {
            registration_id: registration_id.clone(),
            provider: SCRIPTED.to_owned(),
            issuer: provider.origin.clone(),
            origin: RegistrationOrigin::Operator,
            client_id: UpstreamClientId::new(ScriptedProvider::CLIENT_ID),
            client_secret: Some(Secret::new(ScriptedProvider::CLIENT_SECRET)),
            next_secret: None,
            token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            redirect_uri: format!("{}/connect/{SCRIPTED}/callback", self.issuer),
            registration_access_token: None,
            registration_client_uri: None,
            state: RegistrationState::Active,
            created_at: now,
            updated_at: now,
            expires_at: None,
        };
        let identity = SocialIdentity {
            identity_id: IdentityId::issued(&SystemRng, now.into()),
            user,
            provider: SCRIPTED.to_owned(),
            issuer: provider.origin.clone(),
            subject: user_id.to_owned(),
            display_name: None,
            created_at: now,
            updated_at: now,
        };
        let credentials = Credentials {
            access: UpstreamAccess::Bearer(Secret::new(access.clone())),
            refresh_token: Some(Secret::new(refresh.clone())),
            created_at: now,
            expires_at: Some(now.plus(3600)),
            scope: String::new(),
        };
        let (ring, row, place) = (self.ring.clone(), head.clone(), slot.clone());
        let store = move |scope: &mut TenantScope<'_>| {
            registrations::insert_registration(scope, &ring, &registration)?;
            causeway_store::connections::users::insert_user(scope, &place.user, now)?;
            let identity_id = identities::find_or_insert_identity(scope, &identity)?;
            let empty = Map::new();
            let new = NewConnection {
                head: &row,
                slot: &place,
                registration_id: Some(&registration.registration_id),
                identity_id: Some(&identity_id),
                parameters: &empty,
                metadata: &empty,
            };
            insert_connection(scope, &ring, &new, &credentials)?;
            Ok::<_, StoreError>(identity_id)
        };
        let identity_id = self.store().in_tenant(tenant_id).write(store).await?;
        Ok(TestConnection { head, identity_id, access_token: access, refresh_token: refresh, slot })
    }

    /// Stores a page that the user of a connection manages, without a credential; returns its identifier.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn add_account(&self, connection: &TestConnection, page: &str) -> Result<ManagedAccountId> {
        let now = self.ctx.now();
        let account = ManagedAccount {
            managed_account_id: ManagedAccountId::issued(&SystemRng, now.into()),
            identity_id: connection.identity_id.clone(),
            subject: page.to_owned(),
            name: None,
            category: None,
            tasks: Vec::new(),
            unavailable_at: None,
            created_at: now,
            updated_at: now,
        };
        let store = self.store().in_tenant(&connection.head.tenant_id);
        Ok(store.write(move |scope| managed_accounts::put_managed_account(scope, &account)).await?)
    }

    /// The same, with a credential of its own that has no end; returns its identifier and its token.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn add_page(
        &self,
        provider: &ScriptedProvider,
        connection: &TestConnection,
        page: &str,
    ) -> Result<(ManagedAccountId, String)> {
        let (now, token) = (self.ctx.now(), provider.grant_page(&connection.access_token, page));
        let id = self.add_account(connection, page).await?;
        let credentials = Credentials {
            access: UpstreamAccess::Bearer(Secret::new(token.clone())),
            refresh_token: None,
            created_at: now,
            expires_at: None,
            scope: String::new(),
        };
        let (ring, owned, page) = (self.ring.clone(), connection.clone(), page.to_owned());
        let credential_id = CredentialId::issued(&SystemRng, now.into());
        let owner = CredentialOwner::Page(id.clone());
        let store = move |scope: &mut TenantScope<'_>| {
            let new = NewCredential {
                credential_id: &credential_id,
                session_id: &owned.head.session_id,
                iteration: 1,
                slot: &owned.slot,
                provider: SCRIPTED,
                session_kind: owned.head.kind,
                owner: &owner,
                identity_id: Some(&owned.identity_id),
                account_ref: Some(&page),
                state: SessionState::Active,
                at: now,
            };
            insert_credential(scope, &ring, &new, &credentials)
        };
        self.store().in_tenant(&connection.head.tenant_id).write::<_, StoreError, _>(store).await?;
        Ok((id, token))
    }
}
