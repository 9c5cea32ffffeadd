//! Registrations that we make ourselves, before the browser leaves: at a server with an endpoint for them (RFC 7591), or at
//! an instance that registers apps.

use causeway_domain::connection::{PENDING_SECONDS, Registration, RegistrationOrigin, RegistrationState};
use causeway_providers::oauth::{ClientToRegister, RegistrationForm};
use causeway_providers::{FieldValues, Registration as Means};
use causeway_types::{RegistrationId, TenantId, UpstreamClientId};
use url::Url;

use super::OauthProvider;
use super::registrations::{issuer_of, registration_redirect_uri};
use super::servers::Server;
use crate::upstream::connect::failure::{ConnectFailure, SignInError};

/// Our name, where a server shows the name of a client.
pub(crate) const CLIENT_NAME: &str = "Causeway";

impl OauthProvider {
    /// Finds the registration for a new authorization, or registers us where the definition says that clients do so
    /// themselves. Such a registration is renewed when its secret does not last until the user is back; one that the
    /// operator has entered never is.
    ///
    /// # Errors
    /// [`ConnectFailure::Misconfigured`] when there is no registration, or the server refuses one;
    /// [`ConnectFailure::Unavailable`] when it does not answer.
    pub(super) async fn registration(
        &self,
        tenant_id: &TenantId,
        server: &Server,
        fields: &FieldValues,
        scopes: &[String],
    ) -> Result<Registration, SignInError> {
        let issuer = self.registration_issuer(server, fields);
        let found = self.registrations.for_authorization(tenant_id, &self.name, &issuer).await?;
        let back_at = self.clock.now().plus(PENDING_SECONDS);
        let lasts = |found: &Registration| {
            found.origin == RegistrationOrigin::Operator || found.expires_at.is_none_or(|end| end > back_at)
        };
        if let Some(found) = found.as_ref().filter(|found| lasts(found)) {
            return Ok(found.clone());
        }
        if let Some(made) = self.document(server, &issuer) {
            tracing::info!(provider = self.name, issuer, "the provider reads our document");
            self.registrations.insert(tenant_id, made.clone(), found).await?;
            return Ok(made);
        }
        let Some((endpoint, form)) = self.registration_endpoint(server, fields)? else {
            tracing::warn!(provider = self.name, issuer, "there is no registration for this provider");
            return Err(ConnectFailure::Misconfigured.into());
        };
        let registration_id = RegistrationId::random(&*self.rng);
        let our_issuer = self.registrations.our_issuer();
        let redirect_uri = registration_redirect_uri(our_issuer, &registration_id);
        let client = ClientToRegister {
            endpoint: &endpoint,
            form,
            name: CLIENT_NAME,
            uri: our_issuer,
            redirect_uri: &redirect_uri,
            scopes,
            methods: server.authentication_methods.as_deref(),
        };
        let registered = self.client.register(&client).await.map_err(|error| {
            tracing::warn!(%error, provider = self.name, issuer, "the provider did not register this server");
            if error.may_pass() { ConnectFailure::Unavailable } else { ConnectFailure::Misconfigured }
        })?;
        let now = self.clock.now();
        let made = Registration {
            registration_id,
            provider: self.name.clone(),
            issuer: issuer_of(&self.definition, &issuer),
            origin: RegistrationOrigin::Dynamic,
            client_id: UpstreamClientId::new(registered.client_id),
            client_secret: registered.client_secret,
            next_secret: None,
            token_endpoint_auth_method: registered.authentication,
            redirect_uri,
            registration_access_token: registered.access_token,
            registration_client_uri: registered.client_uri.map(String::from),
            state: RegistrationState::Active,
            created_at: now,
            updated_at: now,
            expires_at: registered.secret_expires_at,
        };
        tracing::info!(provider = self.name, issuer, "registered at the provider");
        self.registrations.insert(tenant_id, made.clone(), found).await?;
        Ok(made)
    }

    /// The address that registers us, if there is one.
    fn registration_endpoint(
        &self,
        server: &Server,
        fields: &FieldValues,
    ) -> Result<Option<(Url, RegistrationForm)>, SignInError> {
        match &self.client_definition()?.registration {
            Means::Operator { .. } => Ok(None),
            Means::Dynamic => {
                Ok(server.registration.clone().map(|endpoint| (endpoint, RegistrationForm::Metadata)))
            }
            Means::Instance { url, .. } => {
                let url = url.fill(|name| fields.get(name.as_str())).map_err(|error| {
                    tracing::warn!(%error, provider = self.name, "the address that registers apps cannot be filled");
                    ConnectFailure::Misconfigured
                })?;
                Ok(Some((url, RegistrationForm::Instance)))
            }
        }
    }
}
