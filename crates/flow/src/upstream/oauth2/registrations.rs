//! Our registrations at providers: as the tables of a tenant have them, and as the settings of the deployment do.
//!
//! A tenant without a registration of its own gets a row that is made from the setting. The row has no secret: it is read
//! from the setting at each use, so that a changed setting serves at once.

use std::sync::{Arc, PoisonError, RwLock};

use causeway_domain::Clock;
use causeway_domain::connection::{LastError, Registration, RegistrationOrigin, RegistrationState};
use causeway_domain::session::{Credentials, SessionHead};
use causeway_providers::oauth::{ClientCredential, RegisteredClient, RegistrationIssuer, SecretInUse};
use causeway_providers::{Catalog, ClientAuthentication, Definition};
use causeway_store::connections::{credentials, heads, reconnect, registrations};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::{Store, TenantScope};
use causeway_types::{CredentialId, RegistrationId, Rng, TenantId, Timestamp, TokenEndpointAuthMethod};

use super::registration_turns::Turns;
use crate::error::Internal;
use crate::parts::{ConfiguredRegistration, ConfiguredRegistrations, CtxParts};
use crate::ring::RingInUse;

/// Seconds between two tries of a registration that a provider does not take.
pub(crate) const PROBE_SECONDS: i64 = 300;
/// Seconds between two refusals of a client that registered itself by which it is taken for unknown there.
const REFUSED_SECONDS: i64 = 600;
/// Connections to one account that are looked at before a revocation: one that lives is enough.
pub(super) const MOST_CONNECTIONS: i64 = 1000;

/// The definitions and settings in use. They are replaced together.
#[derive(Debug)]
struct Configured {
    catalog: Arc<Catalog>,
    registrations: ConfiguredRegistrations,
}

/// The registrations of all tenants. Clones share the database, the key ring and the settings.
#[derive(Clone, Debug)]
pub(crate) struct Registrations {
    store: Store,
    ring: RingInUse,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    issuer: String,
    configured: Arc<RwLock<Arc<Configured>>>,
    pub(super) turns: Turns,
}

impl Registrations {
    pub(crate) fn new(parts: &CtxParts, ring: RingInUse, catalog: Arc<Catalog>) -> Self {
        let configured = Configured { catalog, registrations: parts.provider_registrations.clone() };
        Self {
            store: parts.store.clone(),
            ring,
            clock: Arc::clone(&parts.clock),
            rng: Arc::clone(&parts.rng),
            issuer: parts.issuer.clone(),
            configured: Arc::new(RwLock::new(Arc::new(configured))),
            turns: Turns::default(),
        }
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The keys that encrypt secrets.
    pub(crate) fn ring(&self) -> Arc<EncryptionKeyRing> {
        self.ring.ring()
    }

    /// Replaces the definitions and settings.
    pub(crate) fn replace(&self, catalog: Arc<Catalog>, registrations: ConfiguredRegistrations) {
        let configured = Arc::new(Configured { catalog, registrations });
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = configured;
    }

    /// The definitions in use.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.configured().catalog)
    }

    fn configured(&self) -> Arc<Configured> {
        Arc::clone(&self.configured.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finds a registration, with its secrets.
    pub(crate) async fn find(
        &self,
        tenant_id: &TenantId,
        registration_id: &RegistrationId,
    ) -> Result<Option<Registration>, Internal> {
        let (ring, id) = (self.ring.ring(), registration_id.clone());
        let store = self.store.in_tenant(tenant_id);
        let found = store
            .find(move |scope| registrations::find_registration(scope, &ring, &id).map_err(Internal::from))
            .await?;
        Ok(found.map(|found| self.with_configured_secret(found)))
    }

    /// Lists credentials of managed accounts that are to be given back with those of their connection, at most `limit`.
    pub(crate) async fn list_deleted_pages(
        &self,
        head: &SessionHead,
        limit: i64,
    ) -> Result<Vec<(CredentialId, Credentials)>, Internal> {
        let (ring, id) = (self.ring.ring(), head.session_id.clone());
        let store = self.store.in_tenant(&head.tenant_id);
        let list = move |scope: &mut TenantScope<'_>| {
            credentials::list_deleted_pages(scope, &ring, &id, limit).map_err(Internal::from)
        };
        store.read(list).await
    }

    /// Erases the secrets of one of them once it is given back.
    pub(crate) async fn erase_page(&self, head: &SessionHead, id: CredentialId) -> Result<(), Internal> {
        let store = self.store.in_tenant(&head.tenant_id);
        let erase = move |scope: &mut TenantScope<'_>| {
            credentials::erase_payload(scope, &id).map(drop).map_err(Internal::from)
        };
        store.write(erase).await
    }

    /// Adds the secret to a registration that was made from a setting.
    pub(crate) fn with_configured_secret(&self, registration: Registration) -> Registration {
        let configured = self.configured();
        let setting = configured.registrations.get(&registration.provider);
        match setting {
            Some(setting) if is_of_setting(&registration) && setting.client_id == registration.client_id => {
                Registration { client_secret: setting.client_secret.clone(), ..registration }
            }
            _ => registration,
        }
    }

    /// Finds the registration for a new authorization at `issuer`: the tenant's own, or one that is made from the setting
    /// now. `None`: the operator has not registered us there.
    pub(crate) async fn for_authorization(
        &self,
        tenant_id: &TenantId,
        provider: &str,
        issuer: &str,
    ) -> Result<Option<Registration>, Internal> {
        let configured = self.configured();
        let Some(definition) = configured.catalog.find(provider).map(|provider| &provider.definition) else {
            return Ok(None);
        };
        let Some(server) = RegistrationIssuer::of(definition) else { return Ok(None) };
        let issuer = server.of_authorization(issuer);
        let (store, ring) = (self.store.in_tenant(tenant_id), self.ring.ring());
        let (name, bound) = (provider.to_owned(), issuer.clone());
        let current = store.find(move |scope| {
            registrations::find_current_registration(scope, &ring, &name, &bound).map_err(Internal::from)
        });
        let current = current.await?;
        // A setting is for the server that the definition names, or that users who enter nothing get to.
        let setting = configured.registrations.get(provider);
        let setting = setting.filter(|_| server.filled(&definition.default_fields()).as_ref() == Ok(&issuer));
        match (current, setting) {
            (Some(own), Some(setting)) if is_of_setting(&own) && own.client_id != setting.client_id => {
                self.make(tenant_id, provider, definition, issuer, setting, Some(own)).await.map(Some)
            }
            (None, Some(setting)) => {
                self.make(tenant_id, provider, definition, issuer, setting, None).await.map(Some)
            }
            (own, _) => Ok(own.map(|own| self.with_configured_secret(own))),
        }
    }

    /// Notes that a provider took a secret of a registration: the next one is promoted, and one that was misconfigured
    /// serves again.
    pub(crate) async fn note_accepted(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
        secret: SecretInUse,
    ) -> Result<(), Internal> {
        let is_next = secret == SecretInUse::Next;
        if !is_next && registration.state != RegistrationState::Misconfigured {
            return Ok(());
        }
        let (ring, id, now) = (self.ring.ring(), registration.registration_id.clone(), self.clock.now());
        let store = self.store.in_tenant(tenant_id);
        store
            .write(move |scope| {
                if is_next {
                    registrations::promote_next_secret(scope, &ring, &id, None, now)?;
                }
                let (from, to) = (RegistrationState::Misconfigured, RegistrationState::Active);
                if registrations::change_state(scope, &id, from, to, now)? {
                    registrations::forget_refusal(scope, &id, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Notes that an issuer does not know a client that registered itself; `true` when it has said so before, long enough
    /// ago: the next authorization registers anew.
    pub(crate) async fn note_refused(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
    ) -> Result<bool, Internal> {
        if registration.origin != RegistrationOrigin::Dynamic {
            return Ok(false);
        }
        let (id, now) = (registration.registration_id.clone(), self.clock.now());
        let store = self.store.in_tenant(tenant_id);
        store
            .write(move |scope| {
                registrations::note_refused(scope, &id, now, REFUSED_SECONDS).map_err(Internal::from)
            })
            .await
    }

    /// Notes that an instance knows the app that we registered there, or has deleted it: then it is used no more.
    pub(super) async fn note_app(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
        is_known: bool,
    ) -> Result<(), Internal> {
        let (id, now) = (registration.registration_id.clone(), self.clock.now());
        let note = move |scope: &mut TenantScope<'_>| {
            let note =
                if is_known { registrations::forget_refusal } else { registrations::abandon_registration };
            note(scope, &id, now).map_err(Internal::from)
        };
        self.store.in_tenant(tenant_id).write(note).await
    }

    /// Notes that a provider does not take a registration; `false` when that is known.
    pub(crate) async fn note_misconfigured(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
    ) -> Result<bool, Internal> {
        let (id, now) = (registration.registration_id.clone(), self.clock.now());
        let store = self.store.in_tenant(tenant_id);
        let (from, to) = (RegistrationState::Active, RegistrationState::Misconfigured);
        let event =
            AuditEvent::new(tenant_id.clone(), now, Actor::Server, "provider_registration", to.as_str());
        let event = AuditEvent { provider: Some(registration.provider.clone()), ..event }
            .with("registration_id", id.as_str());
        store
            .write(move |scope| {
                let is_news = registrations::change_state(scope, &id, from, to, now)?;
                if is_news {
                    insert_audit_event(scope.connection(), &event)?;
                }
                Ok(is_news)
            })
            .await
    }

    /// Claims the next probe of a misconfigured registration; `false` when it is not due, or another process has it.
    pub(crate) async fn claim_probe(
        &self,
        tenant_id: &TenantId,
        registration: &Registration,
    ) -> Result<bool, Internal> {
        let (id, tried_at, now) =
            (registration.registration_id.clone(), registration.updated_at, self.clock.now());
        if now.since(tried_at) < PROBE_SECONDS {
            return Ok(false);
        }
        let store = self.store.in_tenant(tenant_id);
        store
            .write(move |scope| registrations::claim_probe(scope, &id, tried_at, now).map_err(Internal::from))
            .await
    }

    /// Stores the outcome of a renewal that failed.
    pub(crate) async fn note_error(&self, head: &SessionHead, code: String) -> Result<(), Internal> {
        let (id, iteration) = (head.session_id.clone(), head.iteration);
        let error = LastError { code, at: self.clock.now() };
        let store = self.store.in_tenant(&head.tenant_id);
        store
            .write(move |scope| {
                heads::note_error(scope, &id, iteration, &error)?;
                Ok(())
            })
            .await
    }

    /// The connections of all tenants to an account that have not ended.
    pub(crate) async fn list_connections_to_account(
        &self,
        provider: &str,
        subject: Option<&str>,
    ) -> Result<Vec<SessionHead>, Internal> {
        let (provider, subject) = (provider.to_owned(), subject.map(str::to_owned));
        self.store
            .read(move |c| {
                reconnect::list_connections_to_account(c, &provider, subject.as_deref(), MOST_CONNECTIONS)
                    .map_err(Internal::from)
            })
            .await
    }

    /// Our issuer.
    pub(crate) fn our_issuer(&self) -> &str {
        &self.issuer
    }

    /// Stores a registration, which new authorizations use in the place of the one before.
    pub(crate) async fn insert(
        &self,
        tenant_id: &TenantId,
        made: Registration,
        before: Option<Registration>,
    ) -> Result<(), Internal> {
        let (ring, now) = (self.ring.ring(), self.clock.now());
        let store = self.store.in_tenant(tenant_id);
        store
            .write(move |scope| {
                if let Some(before) = &before {
                    let superseded = RegistrationState::Superseded;
                    registrations::change_state(
                        scope,
                        &before.registration_id,
                        before.state,
                        superseded,
                        now,
                    )?;
                }
                registrations::insert_registration(scope, &ring, &made).map_err(Internal::from)
            })
            .await
    }

    /// Stores a row for a setting, in the place of the one that was made from the setting before.
    async fn make(
        &self,
        tenant_id: &TenantId,
        provider: &str,
        definition: &Definition,
        issuer: String,
        setting: &ConfiguredRegistration,
        before: Option<Registration>,
    ) -> Result<Registration, Internal> {
        let now = self.clock.now();
        let made = Registration {
            registration_id: RegistrationId::random(&*self.rng),
            provider: provider.to_owned(),
            issuer,
            origin: RegistrationOrigin::Operator,
            client_id: setting.client_id.clone(),
            client_secret: None,
            next_secret: None,
            token_endpoint_auth_method: method(definition),
            redirect_uri: redirect_uri(&self.issuer, provider),
            registration_access_token: None,
            registration_client_uri: None,
            state: RegistrationState::Active,
            created_at: now,
            updated_at: now,
            expires_at: None,
        };
        self.insert(tenant_id, made.clone(), before).await?;
        Ok(self.with_configured_secret(made))
    }
}

/// The issuer of registrations for an authorization at `issuer`.
pub(crate) fn issuer_of(definition: &Definition, issuer: &str) -> String {
    let server = RegistrationIssuer::of(definition);
    server.map_or_else(|| issuer.to_owned(), |server| server.of_authorization(issuer))
}

/// Whether a registration was made from a setting: it has to authenticate with a secret, and has none.
fn is_of_setting(registration: &Registration) -> bool {
    registration.origin == RegistrationOrigin::Operator
        && registration.client_secret.is_none()
        && registration.token_endpoint_auth_method.has_secret()
}

/// The redirect URI of a registration that the operator enters.
pub(crate) fn redirect_uri(issuer: &str, provider: &str) -> String {
    format!("{issuer}/connect/{provider}/callback")
}

/// The redirect URI of a registration that we make ourselves: one for each, so that the answer of one server is never
/// taken for another's (RFC 9700 section 4.4.2.2).
pub(crate) fn registration_redirect_uri(issuer: &str, registration_id: &RegistrationId) -> String {
    format!("{issuer}/connect/callback/{registration_id}")
}

/// How a registration authenticates that the operator enters: as the definition says.
pub(crate) fn method(definition: &Definition) -> TokenEndpointAuthMethod {
    match definition.kind.oauth().map(|client| client.token_request.authentication) {
        Some(ClientAuthentication::ClientSecretPost) => TokenEndpointAuthMethod::ClientSecretPost,
        Some(ClientAuthentication::PrivateKeyJwt) => TokenEndpointAuthMethod::PrivateKeyJwt,
        Some(ClientAuthentication::None) => TokenEndpointAuthMethod::None,
        Some(ClientAuthentication::ClientSecretBasic) | None => TokenEndpointAuthMethod::ClientSecretBasic,
    }
}

/// The registration as the OAuth client takes it.
pub(crate) fn registered(registration: &Registration) -> RegisteredClient<'_> {
    let authentication = match registration.token_endpoint_auth_method {
        TokenEndpointAuthMethod::None => Some(ClientAuthentication::None),
        TokenEndpointAuthMethod::ClientSecretBasic => Some(ClientAuthentication::ClientSecretBasic),
        TokenEndpointAuthMethod::ClientSecretPost => Some(ClientAuthentication::ClientSecretPost),
        TokenEndpointAuthMethod::PrivateKeyJwt => Some(ClientAuthentication::PrivateKeyJwt),
        _ => None,
    };
    let credential = match &registration.client_secret {
        Some(current) => ClientCredential::Secret { current, next: registration.next_secret.as_ref() },
        None => ClientCredential::None,
    };
    RegisteredClient {
        client_id: registration.client_id.as_str(),
        redirect_uri: &registration.redirect_uri,
        authentication,
        credential,
    }
}

#[cfg(test)]
mod tests;
