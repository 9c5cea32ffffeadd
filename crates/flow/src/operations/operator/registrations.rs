//! The operator's registrations at providers.

use std::sync::Arc;

use causeway_domain::connection::{Registration, RegistrationOrigin, RegistrationState};
use causeway_providers::Definition;
use causeway_providers::oauth::RegistrationIssuer;
use causeway_store::connections::registrations::{self, RegistrationSummary};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::audit::insert_audit_event;
use causeway_store::{Page, PageRequest, StoreError, TenantScope};
use causeway_types::{RegistrationId, Rng, Secret, TenantId, UpstreamClientId};

use super::context::Operator;
use crate::error::Internal;
use crate::upstream::oauth2::registrations::{method, redirect_uri, registration_redirect_uri};

/// The registration that a provider gave the operator for us.
#[derive(Clone, Debug)]
pub struct NewRegistration {
    /// The name of the provider.
    pub provider: String,
    /// The issuer, as [`RegistrationIssuer`] gives it.
    pub issuer: String,
    /// Our identifier.
    pub client_id: UpstreamClientId,
    /// Our secret.
    pub client_secret: Option<Secret>,
}

/// Why a next secret was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no registration.
    #[error("this tenant has no registration at the provider: `causeway providers register` enters one")]
    NotRegistered,
    /// The registration has none.
    #[error(
        "the secret of this registration is in the settings: change it there, and send SIGHUP to each server"
    )]
    NoSecret,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for SecretError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl Operator<'_> {
    /// Stores a registration of ours for a tenant. New authorizations use it from now on; the one before stays for its
    /// connections. `issuer` is this server's own.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn register_provider(
        &self,
        ring: &Arc<EncryptionKeyRing>,
        rng: &dyn Rng,
        (tenant_id, issuer): (&TenantId, &str),
        definition: &Definition,
        new: NewRegistration,
    ) -> Result<Registration, StoreError> {
        let (_, now, event) = self.about("provider_registered");
        let registration_id = RegistrationId::random(rng);
        // Where users choose the host, each registration has an address of its own, so that the response of one server
        // is not taken for that of another.
        let is_open = RegistrationIssuer::of(definition).is_some_and(|server| server.is_open());
        let registration = Registration {
            redirect_uri: if is_open {
                registration_redirect_uri(issuer, &registration_id)
            } else {
                redirect_uri(issuer, &new.provider)
            },
            registration_id,
            provider: new.provider,
            issuer: new.issuer,
            origin: RegistrationOrigin::Operator,
            client_id: new.client_id,
            client_secret: new.client_secret,
            next_secret: None,
            token_endpoint_auth_method: method(definition),
            registration_access_token: None,
            registration_client_uri: None,
            state: RegistrationState::Active,
            created_at: now,
            updated_at: now,
            expires_at: None,
        };
        let (store, ring, row) = (self.store.in_tenant(tenant_id), Arc::clone(ring), registration.clone());
        let event = event
            .with("tenant_id", tenant_id.as_str())
            .with("provider", &*row.provider)
            .with("registration_id", row.registration_id.as_str());
        store
            .write(move |scope| {
                let (provider, issuer) = (&row.provider, &row.issuer);
                let before = registrations::find_current_registration(scope, &ring, provider, issuer)?;
                if let Some(before) = before {
                    let (id, superseded) = (&before.registration_id, RegistrationState::Superseded);
                    registrations::change_state(scope, id, before.state, superseded, now)?;
                }
                registrations::insert_registration(scope, &ring, &row)?;
                insert_audit_event(scope.connection(), &event)
            })
            .await?;
        Ok(registration)
    }

    /// Stores the secret that takes the place of the one in use as soon as the provider refuses that. One that waits
    /// already is replaced. A registration that was refused is tried again.
    ///
    /// # Errors
    /// [`SecretError`].
    pub async fn set_next_secret(
        &self,
        ring: &Arc<EncryptionKeyRing>,
        tenant_id: &TenantId,
        (provider, issuer): (&str, &str),
        secret: Secret,
    ) -> Result<RegistrationId, SecretError> {
        let (_, now, event) = self.about("provider_secret_set");
        let (store, ring) = (self.store.in_tenant(tenant_id), Arc::clone(ring));
        let (provider, issuer) = (provider.to_owned(), issuer.to_owned());
        let event = event.with("tenant_id", tenant_id.as_str()).with("provider", &*provider);
        store
            .write(move |scope| {
                let found = registrations::find_current_registration(scope, &ring, &provider, &issuer)?;
                let Registration { registration_id: id, client_secret, state, .. } =
                    found.ok_or(SecretError::NotRegistered)?;
                if client_secret.is_none() {
                    return Err(SecretError::NoSecret);
                }
                if !registrations::set_next_secret(scope, &ring, &id, &secret, now)? {
                    registrations::replace_next_secret(scope, &ring, &id, &secret, now)?;
                }
                if state == RegistrationState::Misconfigured {
                    registrations::change_state(scope, &id, state, RegistrationState::Active, now)?;
                }
                let event = event.clone().with("registration_id", id.as_str());
                insert_audit_event(scope.connection(), &event)?;
                Ok(id)
            })
            .await
    }

    /// Finds the tenant's own registration that new authorizations use.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_registration(
        &self,
        ring: &Arc<EncryptionKeyRing>,
        tenant_id: &TenantId,
        (provider, issuer): (&str, &str),
    ) -> Result<Option<Registration>, StoreError> {
        let (store, ring) = (self.store.in_tenant(tenant_id), Arc::clone(ring));
        let (provider, issuer) = (provider.to_owned(), issuer.to_owned());
        let find = move |scope: &mut TenantScope<'_>| {
            registrations::find_current_registration(scope, &ring, &provider, &issuer)
        };
        store.read(find).await
    }

    /// Lists a page of a tenant's registrations, without their secrets.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_registrations(
        &self,
        tenant_id: &TenantId,
        page: PageRequest,
    ) -> Result<Page<RegistrationSummary>, StoreError> {
        let store = self.store.in_tenant(tenant_id);
        store.read(move |scope| registrations::list_registrations(scope, &page)).await
    }
}
