//! How users connect at MCP servers: discovery before the browser leaves, and from there on OAuth.

use async_trait::async_trait;
use causeway_domain::connection::{Registration, RegistrationOrigin, RegistrationState};
use causeway_domain::session::{Binding, Pending};
use causeway_outbound::TtlCache;
use causeway_providers::mcp::{McpDiscoveryError, McpServer};
use causeway_providers::{Accounts, FieldValues};
use causeway_types::{RegistrationId, TenantId, TokenEndpointAuthMethod, UpstreamClientId};
use url::Url;

use super::McpProvider;
use crate::error::Internal;
use crate::upstream::connect::failure::{ConnectFailure, SignInError};
use crate::upstream::oauth2::binding::OauthBinding;
use crate::upstream::oauth2::connect::fields_of;
use crate::upstream::oauth2::registrations::registration_redirect_uri;
use crate::upstream::oauth2::servers::Server;
use crate::upstream::oauth2::stored::Authorizing;
use crate::upstream::traits::{
    AskedOffer, BeginRequest, Begun, Completion, ConnectError, Connected, NewConnection, NoAnswer, Offer,
    OfferError, Redeemed,
};

/// Our identifier where nobody asks for one.
const NOBODY: &str = "none";

#[async_trait]
impl Connected for McpProvider {
    async fn begin(&self, request: &BeginRequest<'_>) -> Result<Begun, SignInError> {
        let connect = request.connect().map_err(Internal::from)?;
        let fields = fields_of(connect.parameters);
        let url = self.url(&fields).map_err(|error| {
            tracing::warn!(%error, provider = self.oauth.name, "the address of the server cannot be filled");
            ConnectFailure::Misconfigured
        })?;
        let found = self.discover(&url, CACHE_SECONDS).await.map_err(|error| {
            tracing::warn!(%error, provider = self.oauth.name, "the server was not discovered");
            if error.may_pass() { ConnectFailure::Unavailable } else { ConnectFailure::Discovery }
        })?;
        let found = match found {
            McpServer::Open => return self.begin_open(request, &fields, &url).await,
            McpServer::Protected(found) => found,
        };
        let can_register = found.server.registration_endpoint.is_some();
        self.oauth.begin_at(request, &fields, Server::from(*found)).await.map_err(|error| match error {
            SignInError::Provider(ConnectFailure::Misconfigured) if can_register => {
                ConnectFailure::Registration.into()
            }
            SignInError::Provider(ConnectFailure::Misconfigured) => ConnectFailure::ClientIdRequired.into(),
            error => error,
        })
    }

    fn is_second(&self, pending: &Pending) -> bool {
        self.oauth.is_second(pending)
    }

    async fn redeem(&self, completion: &Completion<'_>) -> Result<Redeemed, ConnectError> {
        self.oauth.redeem(completion).await
    }

    async fn identify(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<NewConnection, ConnectError> {
        let mut new = self.oauth.identify(completion, redeemed).await?;
        let client = self.oauth.client_definition()?;
        // Where users choose the server, it is the account.
        if client.accounts == Accounts::Many
            && let Ok(url) = self.url(&binding_fields(&new)?)
        {
            new.account.account_slot = url.into();
        }
        Ok(new)
    }

    async fn give_back(&self, tenant_id: &TenantId, redeemed: &Redeemed) -> Result<(), NoAnswer> {
        self.oauth.give_back(tenant_id, redeemed).await
    }

    fn offer(&self, asked: &AskedOffer<'_>) -> Result<Offer, OfferError> {
        self.oauth.offer(asked)
    }
}

/// Seconds for which discovery before an authorization is not repeated.
const CACHE_SECONDS: i64 = TtlCache::<Url, McpServer>::SECONDS;

impl McpProvider {
    /// Discovers a server, unless that was done in the last `seconds`.
    ///
    /// # Errors
    /// [`McpDiscoveryError`]; what was known before stands.
    pub(super) async fn discover(&self, url: &Url, seconds: i64) -> Result<McpServer, McpDiscoveryError> {
        let now = self.oauth.clock.now();
        if let Some(found) = self.discovered.get(url, now, seconds) {
            return Ok(found);
        }
        let found = self.oauth.client.discover_mcp(url).await?;
        self.discovered.put(url, &found, now);
        tracing::info!(provider = self.oauth.name, issuer = found.issuer(), "server discovered");
        Ok(found)
    }

    /// Begins where there is no authorization: the user comes back at once.
    async fn begin_open(
        &self,
        request: &BeginRequest<'_>,
        fields: &FieldValues,
        url: &Url,
    ) -> Result<Begun, SignInError> {
        let connect = request.connect().map_err(Internal::from)?;
        let registration = self.own_place(connect.tenant_id, url).await?;
        let authorizing = Authorizing::open(&registration.registration_id, url, fields);
        let mut back = Url::parse(&registration.redirect_uri)
            .map_err(|_| Internal::Inconsistent("our own redirect URI is no address"))?;
        back.query_pairs_mut().append_pair("state", request.state.as_str()).append_pair("code", NOBODY);
        Ok(Begun {
            url: back,
            pending: Pending::Other { provider: self.oauth.name.clone(), data: authorizing.to_secret()? },
            asked_again: false,
            registration_id: Some(registration.registration_id),
        })
    }

    /// The registration that stands for a server without authorization: the address to which its users come back.
    async fn own_place(&self, tenant_id: &TenantId, url: &Url) -> Result<Registration, Internal> {
        let (registrations, name) = (&self.oauth.registrations, &*self.oauth.name);
        if let Some(found) = registrations.for_authorization(tenant_id, name, url.as_str()).await? {
            return Ok(found);
        }
        let registration_id = RegistrationId::random(&*self.oauth.rng);
        let now = self.oauth.clock.now();
        let made = Registration {
            redirect_uri: registration_redirect_uri(registrations.our_issuer(), &registration_id),
            registration_id,
            provider: name.to_owned(),
            issuer: url.as_str().trim_end_matches('/').to_owned(),
            origin: RegistrationOrigin::Dynamic,
            client_id: UpstreamClientId::new(NOBODY),
            client_secret: None,
            next_secret: None,
            token_endpoint_auth_method: TokenEndpointAuthMethod::None,
            registration_access_token: None,
            registration_client_uri: None,
            state: RegistrationState::Active,
            created_at: now,
            updated_at: now,
            expires_at: None,
        };
        registrations.insert(tenant_id, made.clone(), None).await?;
        Ok(made)
    }
}

/// The values of a new connection's parameters.
fn binding_fields(new: &NewConnection) -> Result<FieldValues, Internal> {
    let Binding::Other(binding) = &new.binding else {
        return Err(Internal::Inconsistent("a connection at an AT Protocol server"));
    };
    Ok(OauthBinding::read(&binding.data)?.field_values())
}
