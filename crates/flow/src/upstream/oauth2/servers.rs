//! The endpoints of an authorization, found before the browser leaves.

use causeway_providers::mcp::McpAuthorization;
use causeway_providers::oauth::{DiscoveryError, RegistrationIssuer, ServerMetadata, WellKnown};
use causeway_providers::{Discovery, Endpoints, FieldValues, Kind, OauthClient, UrlTemplate};
use url::Url;

use super::OauthProvider;
use crate::upstream::connect::failure::ConnectFailure;

/// The scope by which servers that list it issue refresh tokens (OpenID Connect Core section 11).
const OFFLINE_ACCESS: &str = "offline_access";

/// The endpoints of an authorization server.
#[derive(Debug)]
pub(crate) struct Server {
    /// The issuer as its metadata writes it; `None`: the definition names endpoints.
    pub(super) issuer: Option<String>,
    /// Whether its answers name it (RFC 9207 section 3).
    pub(super) names_issuer: bool,
    /// The authorization endpoint.
    pub(super) authorization: Url,
    /// The token endpoint; `None`: it is known once the user is back.
    pub(super) token: Option<Url>,
    /// The revocation endpoint.
    pub(super) revocation: Option<Url>,
    /// The introspection endpoint.
    pub(super) introspection: Option<Url>,
    /// The keys of ID tokens.
    pub(super) keys: Option<Url>,
    /// The endpoint that registers clients (RFC 7591).
    pub(super) registration: Option<Url>,
    /// How clients may authenticate, if the server names it.
    pub(super) authentication_methods: Option<Vec<String>>,
    /// The scope for refresh tokens, if the server lists it.
    pub(super) offline: Option<String>,
    /// The resource that tokens are requested for (RFC 8707).
    pub(super) resource: Option<String>,
    /// The scopes of an authorization where neither the client nor the definition names some.
    pub(super) scopes: Vec<String>,
    /// Whether it takes the address of a document of ours for a `client_id`.
    pub(super) takes_documents: bool,
}

impl OauthProvider {
    /// Finds the endpoints for these values of the definition's parameters.
    ///
    /// # Errors
    /// [`ConnectFailure::Unavailable`] when the server does not tell, [`ConnectFailure::Misconfigured`] when what it tells
    /// cannot be used, or the definition lacks a value.
    pub(super) async fn server(&self, fields: &FieldValues) -> Result<Server, ConnectFailure> {
        if let Some((discovery, order)) = self.discovery() {
            let found = self.client.discover(discovery, order, fields).await;
            return found.map(Server::from).map_err(|error| {
                tracing::warn!(%error, provider = self.name, "the authorization server was not discovered");
                match error {
                    DiscoveryError::Unknown(_) => ConnectFailure::Unavailable,
                    _ => ConnectFailure::Misconfigured,
                }
            });
        }
        let Some((authorization, _)) = self.fixed() else { return Err(ConnectFailure::Misconfigured) };
        Ok(Server {
            issuer: None,
            names_issuer: false,
            authorization: filled(authorization, fields)?,
            token: None,
            revocation: None,
            introspection: None,
            keys: None,
            registration: None,
            authentication_methods: None,
            offline: None,
            resource: None,
            scopes: Vec::new(),
            takes_documents: false,
        })
    }

    /// The token endpoint of the definition, with what came with the callback.
    ///
    /// # Errors
    /// [`ConnectFailure::Misconfigured`].
    pub(super) fn token_endpoint(&self, fields: &FieldValues) -> Result<Url, ConnectFailure> {
        let (_, token) = self.fixed().ok_or(ConnectFailure::Misconfigured)?;
        filled(token, fields)
    }

    /// The issuer whose registration serves an authorization.
    pub(super) fn registration_issuer(&self, server: &Server, fields: &FieldValues) -> String {
        let named = RegistrationIssuer::of(&self.definition).and_then(|issuer| issuer.filled(fields).ok());
        named
            .or_else(|| server.issuer.clone())
            .unwrap_or_else(|| server.authorization.origin().ascii_serialization())
    }

    /// How the issuer is discovered, where it is.
    pub(super) fn discovery(&self) -> Option<(&Discovery, WellKnown)> {
        match &self.definition.kind {
            Kind::Oidc(oidc) => Some((&oidc.discovery, WellKnown::Oidc)),
            Kind::Oauth2(oauth) => match &oauth.endpoints {
                Endpoints::Discovered(discovery) => Some((discovery, WellKnown::OAuth)),
                Endpoints::Fixed { .. } => None,
            },
            _ => None,
        }
    }

    fn fixed(&self) -> Option<(&UrlTemplate, &UrlTemplate)> {
        match &self.definition.kind {
            Kind::Oauth2(oauth) => match &oauth.endpoints {
                Endpoints::Fixed { authorization, token } => Some((authorization, token)),
                Endpoints::Discovered(_) => None,
            },
            _ => None,
        }
    }
}

impl From<ServerMetadata> for Server {
    fn from(metadata: ServerMetadata) -> Self {
        let listed = metadata.scopes_supported.unwrap_or_default();
        Self {
            issuer: Some(metadata.issuer),
            names_issuer: metadata.authorization_response_iss_parameter_supported,
            authorization: metadata.authorization_endpoint,
            token: Some(metadata.token_endpoint),
            revocation: metadata.revocation_endpoint,
            introspection: metadata.introspection_endpoint,
            keys: metadata.jwks_uri,
            registration: metadata.registration_endpoint,
            authentication_methods: metadata.token_endpoint_auth_methods_supported,
            offline: listed.into_iter().find(|scope| scope == OFFLINE_ACCESS),
            resource: None,
            scopes: Vec::new(),
            takes_documents: metadata.client_id_metadata_document_supported,
        }
    }
}

impl From<McpAuthorization> for Server {
    fn from(found: McpAuthorization) -> Self {
        Self { resource: found.resource, scopes: found.scopes, ..Self::from(found.server) }
    }
}

/// The metadata that an ID token is verified against, as far as that needs it.
pub(super) fn metadata_of(
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
) -> ServerMetadata {
    ServerMetadata {
        issuer,
        authorization_endpoint,
        token_endpoint,
        revocation_endpoint: None,
        introspection_endpoint: None,
        registration_endpoint: None,
        jwks_uri: None,
        scopes_supported: None,
        token_endpoint_auth_methods_supported: None,
        code_challenge_methods_supported: None,
        authorization_response_iss_parameter_supported: false,
        client_id_metadata_document_supported: false,
    }
}

/// Whether tokens of a definition are renewed with a refresh token.
pub(super) fn wants_refresh_token(client: &OauthClient) -> bool {
    let refresh = client.refresh.as_ref();
    refresh.is_some_and(|refresh| matches!(refresh.renewal, causeway_providers::Renewal::RefreshToken { .. }))
}

fn filled(template: &UrlTemplate, fields: &FieldValues) -> Result<Url, ConnectFailure> {
    template.fill(|name| fields.get(name.as_str())).map_err(|error| {
        tracing::warn!(%error, "an endpoint of a definition cannot be filled");
        ConnectFailure::Misconfigured
    })
}
