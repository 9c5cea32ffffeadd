//! Registrations that we make ourselves, before the browser leaves: at a server with an endpoint for them (RFC 7591), or at
//! an instance that registers apps.

use causeway_domain::connection::{
    PENDING_SECONDS, Registration, RegistrationOrigin, RegistrationState, WorkItem, WorkKind,
};
use causeway_providers::oauth::{AppState, ClientToRegister, RegistrationForm, TokenContext};
use causeway_providers::{FieldValues, Registration as Means, UrlTemplate};
use causeway_store::connections::work_queue;
use causeway_types::{RegistrationId, TenantId, UpstreamClientId};
use url::Url;

use super::OauthProvider;
use super::registration_turns::{LEASE_SECONDS, POLL, TURN_TIMEOUT};
use super::registrations::{Registrations, issuer_of, registered, registration_redirect_uri};
use super::servers::Server;
use crate::error::Internal;
use crate::upstream::connect::failure::{ConnectFailure, SignInError};

/// Our name, where a server shows the name of a client.
pub(crate) const CLIENT_NAME: &str = "Causeway";

/// Seconds for which an instance is not asked again whether it knows our app. It deletes one that nobody used after a day.
const VERIFIED_SECONDS: i64 = 3600;

/// The registration that an authorization needs.
struct Wanted<'a> {
    tenant_id: &'a TenantId,
    server: &'a Server,
    fields: &'a FieldValues,
    scopes: &'a [String],
    /// The issuer of the registration.
    issuer: &'a str,
}

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
        let wanted = Wanted { tenant_id, server, fields, scopes, issuer: &issuer };
        if let Some(found) = self.usable(&wanted).await? {
            return Ok(found);
        }
        let document = self.document(server, &issuer);
        let endpoint = self.registration_endpoint(server, fields)?;
        if document.is_none() && endpoint.is_none() {
            tracing::warn!(provider = self.name, issuer, "there is no registration for this provider");
            return Err(ConnectFailure::Misconfigured.into());
        }
        let turn = self.registrations.turns.wait(tenant_id, &self.name, &issuer).await?;
        // Somebody may have registered us meanwhile, in this process or in another one.
        if let Some(found) = self.usable(&wanted).await? {
            return Ok(found);
        }
        let claimed = self.registrations.claim_turn(tenant_id, &self.name, &issuer).await?;
        let Some(claimed) = claimed else {
            turn.fail(&ConnectFailure::Unavailable);
            return Err(ConnectFailure::Unavailable.into());
        };
        let made = match self.usable(&wanted).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => self.register(&wanted, document, endpoint).await,
            Err(error) => Err(error),
        };
        self.registrations.end_turn(claimed).await?;
        if let Err(SignInError::Provider(failure)) = &made {
            turn.fail(failure);
        }
        made
    }

    /// Finds the registration that serves now: one of the operator's, or one of ours that lasts and that its instance
    /// still knows.
    async fn usable(&self, wanted: &Wanted<'_>) -> Result<Option<Registration>, SignInError> {
        let found = self.registrations.for_authorization(wanted.tenant_id, &self.name, wanted.issuer).await?;
        let back_at = self.clock.now().plus(PENDING_SECONDS);
        let Some(found) = found else { return Ok(None) };
        if found.origin == RegistrationOrigin::Operator {
            return Ok(Some(found));
        }
        if found.expires_at.is_some_and(|end| end <= back_at) || self.is_deleted(wanted, &found).await? {
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Whether the instance has deleted the app that we registered there. It is asked from time to time; when it gives no
    /// answer, the app is taken for what it was.
    async fn is_deleted(&self, wanted: &Wanted<'_>, found: &Registration) -> Result<bool, SignInError> {
        let client = self.client_definition()?;
        let Means::Instance { verify_url: Some(url), .. } = &client.registration else { return Ok(false) };
        if self.clock.now().since(found.updated_at) < VERIFIED_SECONDS {
            return Ok(false);
        }
        let url = self.filled(url, wanted.fields)?;
        let token_endpoint = self.token_endpoint(wanted.fields)?;
        let context = TokenContext {
            client,
            registered: registered(found),
            token_endpoint: &token_endpoint,
            issuer: None,
            resource: None,
            fields: wanted.fields,
        };
        let state = self.client.verify_app(&context, &url).await;
        if state == AppState::Unknown {
            return Ok(false);
        }
        let is_known = state == AppState::Known;
        if !is_known {
            tracing::info!(provider = self.name, issuer = wanted.issuer, "the instance has deleted our app");
        }
        self.registrations.note_app(wanted.tenant_id, found, is_known).await?;
        Ok(!is_known)
    }

    /// Registers us.
    async fn register(
        &self,
        wanted: &Wanted<'_>,
        document: Option<Registration>,
        endpoint: Option<(Url, RegistrationForm)>,
    ) -> Result<Registration, SignInError> {
        let Wanted { tenant_id, server, scopes, issuer, .. } = *wanted;
        if let Some(made) = document {
            tracing::info!(provider = self.name, issuer, "the provider reads our document");
            return self.keep_registration(tenant_id, issuer, made).await;
        }
        let Some((endpoint, form)) = endpoint else { return Err(ConnectFailure::Misconfigured.into()) };
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
        let answer = self.client.register(&client).await.map_err(|error| {
            tracing::warn!(%error, provider = self.name, issuer, "the provider did not register this server");
            if error.may_pass() { ConnectFailure::Unavailable } else { ConnectFailure::Misconfigured }
        })?;
        let now = self.clock.now();
        let made = Registration {
            registration_id,
            provider: self.name.clone(),
            issuer: issuer_of(&self.definition, issuer),
            origin: RegistrationOrigin::Dynamic,
            client_id: UpstreamClientId::new(answer.client_id),
            client_secret: answer.client_secret,
            next_secret: None,
            token_endpoint_auth_method: answer.authentication,
            redirect_uri,
            registration_access_token: answer.access_token,
            registration_client_uri: answer.client_uri.map(String::from),
            state: RegistrationState::Active,
            created_at: now,
            updated_at: now,
            expires_at: answer.secret_expires_at,
        };
        tracing::info!(provider = self.name, issuer, "registered at the provider");
        self.keep_registration(tenant_id, issuer, made).await
    }

    /// Stores a registration in the place of the one that served before.
    async fn keep_registration(
        &self,
        tenant_id: &TenantId,
        issuer: &str,
        made: Registration,
    ) -> Result<Registration, SignInError> {
        let before = self.registrations.for_authorization(tenant_id, &self.name, issuer).await?;
        self.registrations.insert(tenant_id, made.clone(), before).await?;
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
                let url = self.filled(url, fields)?;
                Ok(Some((url, RegistrationForm::Instance)))
            }
        }
    }

    fn filled(&self, url: &UrlTemplate, fields: &FieldValues) -> Result<Url, ConnectFailure> {
        url.fill(|name| fields.get(name.as_str())).map_err(|error| {
            tracing::warn!(%error, provider = self.name, "the address that registers apps cannot be filled");
            ConnectFailure::Misconfigured
        })
    }
}

impl Registrations {
    /// Claims the turn of the deployment at an issuer, for as long as a process that lives has it; `None` when it did not
    /// come.
    pub(super) async fn claim_turn(
        &self,
        tenant_id: &TenantId,
        provider: &str,
        issuer: &str,
    ) -> Result<Option<WorkItem>, Internal> {
        let claiming = async {
            loop {
                let now = self.now();
                let item = WorkItem {
                    tenant_id: tenant_id.clone(),
                    kind: WorkKind::Register,
                    row_id: format!("{provider} {issuer}"),
                    due_at: now.plus(LEASE_SECONDS),
                };
                let claimed = item.clone();
                let claim =
                    move |c: &mut _| work_queue::claim_alone(c, &claimed, now).map_err(Internal::from);
                if self.store().write(claim).await? {
                    return Ok::<_, Internal>(item);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(TURN_TIMEOUT, claiming).await.ok().transpose()
    }

    /// Ends the turn of the deployment.
    pub(super) async fn end_turn(&self, claimed: WorkItem) -> Result<(), Internal> {
        let end = move |c: &mut _| work_queue::complete_work(c, &claimed).map(drop).map_err(Internal::from);
        self.store().write(end).await
    }
}
