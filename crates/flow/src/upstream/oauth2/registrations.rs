//! Our registrations at providers, as the tables of a tenant have them.

use causeway_domain::connection::Registration;
use causeway_providers::ClientAuthentication;
use causeway_providers::oauth::{ClientCredential, RegisteredClient};
use causeway_store::Store;
use causeway_store::connections::registrations;
use causeway_types::{RegistrationId, TenantId, TokenEndpointAuthMethod};

use crate::error::Internal;
use crate::ring::RingInUse;

/// The registrations of all tenants. Clones share the database and the key ring.
#[derive(Clone, Debug)]
pub(crate) struct Registrations {
    store: Store,
    ring: RingInUse,
}

impl Registrations {
    pub(crate) const fn new(store: Store, ring: RingInUse) -> Self {
        Self { store, ring }
    }

    /// Finds a registration, with its secrets.
    pub(crate) async fn find(
        &self,
        tenant_id: &TenantId,
        registration_id: &RegistrationId,
    ) -> Result<Option<Registration>, Internal> {
        let (ring, id) = (self.ring.ring(), registration_id.clone());
        let store = self.store.in_tenant(tenant_id);
        store
            .find(move |scope| registrations::find_registration(scope, &ring, &id).map_err(Internal::from))
            .await
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
