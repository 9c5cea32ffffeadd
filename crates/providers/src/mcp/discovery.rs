//! Discovery of what protects an MCP server. Everything that may pass stops it: nothing is guessed from a server that does
//! not answer.

use causeway_outbound::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use causeway_outbound::{Call, HttpError, Method, Shows, retry_after};
use serde_json::json;
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use super::challenge::McpChallenge;
use super::resource::{ProtectedResource, ResourceError, resource_well_known};
use crate::oauth::discovery::Found;
use crate::oauth::metadata::is_plain;
use crate::oauth::{DiscoveryError, ProviderClient, ServerMetadata, WellKnown};

/// The header that names a session of the transport.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The revision of the protocol that a probe names. A server that knows a newer one answers with what it knows.
const REVISION: &str = "2025-06-18";
/// The media types of answers.
const ACCEPT: &str = "application/json, text/event-stream";
/// The most authorization servers of a resource that are asked.
const MOST_SERVERS: usize = 3;

/// The protection of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpServer {
    /// None: it takes calls without a token.
    Open,
    /// Tokens of an authorization server.
    Protected(Box<McpAuthorization>),
}

impl McpServer {
    /// The issuer of its tokens.
    pub fn issuer(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Protected(authorization) => Some(&authorization.server.issuer),
        }
    }
}

/// The authorization that an MCP server wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpAuthorization {
    /// The resource that tokens are requested for, byte for byte as the metadata writes it (RFC 8707); `None`: the server has
    /// no such metadata, as in the revision 2025-03-26.
    pub resource: Option<String>,
    /// The scopes of the challenge, else those that the metadata of the resource names.
    pub scopes: Vec<String>,
    /// Its authorization server.
    pub server: ServerMetadata,
}

/// Why nobody knows what protects an MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum McpDiscoveryError {
    /// There was no answer that tells. What was known before stands.
    #[error("the server cannot be asked at the moment: {0}")]
    Unknown(HttpError),
    /// It is no MCP server.
    #[error("the address answers with {status}, as no MCP server does")]
    NotAServer {
        /// The status.
        status: u16,
    },
    /// It redirects.
    #[error("the address redirects: write the one that it leads to")]
    Redirected,
    /// Its metadata must not be used.
    #[error("the metadata of the server is invalid: {0}")]
    Resource(#[from] ResourceError),
    /// Its authorization server was not discovered.
    #[error("the authorization server of the server: {0}")]
    Server(DiscoveryError),
    /// Its authorization server does not say that it takes PKCE with S256.
    #[error("the authorization server does not support PKCE with S256")]
    NoPkce,
}

impl McpDiscoveryError {
    /// Whether a later try may succeed.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

impl From<DiscoveryError> for McpDiscoveryError {
    fn from(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::Unknown(error) => Self::Unknown(error),
            error => Self::Server(error),
        }
    }
}

/// The answer of an MCP server to a request without a token.
struct Probed {
    status: u16,
    challenge: Option<McpChallenge>,
}

impl ProviderClient {
    /// Finds out what protects an MCP server.
    ///
    /// # Errors
    /// [`McpDiscoveryError`].
    #[tracing::instrument(name = "provider.discover_mcp", skip_all, fields(host = url.host_str()))]
    pub async fn discover_mcp(&self, url: &Url) -> Result<McpServer, McpDiscoveryError> {
        let probed = self.probe(url).await?;
        let is_protected = probed.status == 401 || probed.challenge.is_some();
        let challenge = probed.challenge.unwrap_or_default();
        if let Some(found) = self.resource_metadata(url, challenge.resource_metadata).await? {
            let server = self.server_of(&found).await?;
            let scopes = if challenge.scopes.is_empty() { found.scopes_supported } else { challenge.scopes };
            return Ok(protected(Some(found.resource), scopes, server));
        }
        match probed.status {
            _ if is_protected => {
                let server = self.server_at_origin(url).await?;
                Ok(protected(None, challenge.scopes, server))
            }
            200..=299 | 400 => Ok(McpServer::Open),
            status => Err(McpDiscoveryError::NotAServer { status }),
        }
    }

    /// Asks the server without a token. A session that it opens for that is closed again.
    async fn probe(&self, url: &Url) -> Result<Probed, McpDiscoveryError> {
        let body = json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": REVISION,
                "capabilities": {},
                "clientInfo": { "name": "causeway", "version": env!("CARGO_PKG_VERSION") },
            },
        });
        let json = HeaderValue::from_static("application/json");
        let call = Call {
            method: Method::POST,
            url,
            accept: ACCEPT,
            headers: [(CONTENT_TYPE, json)].into_iter().collect(),
            body: Some(body.to_string().into()),
            shows: Shows::Address,
        };
        let answer = match timeout(self.deadline, self.http.send(call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(HttpError::Redirected)) => return Err(McpDiscoveryError::Redirected),
            Ok(Err(error)) => return Err(McpDiscoveryError::Unknown(error)),
            Err(_) => return Err(McpDiscoveryError::Unknown(HttpError::Timeout)),
        };
        let status = answer.status().as_u16();
        if matches!(status, 429 | 500..) {
            let retry_after = retry_after(answer.headers());
            return Err(McpDiscoveryError::Unknown(HttpError::Status { status, retry_after }));
        }
        let challenge = McpChallenge::of(answer.headers());
        let session = answer.headers().get(SESSION).cloned();
        // Its body is not needed, and may be a stream.
        drop(answer);
        if let Some(session) = session {
            self.close(url, session).await;
        }
        Ok(Probed { status, challenge })
    }

    async fn close(&self, url: &Url, session: HeaderValue) {
        let headers: HeaderMap = [(SESSION, session)].into_iter().collect();
        let call =
            Call { method: Method::DELETE, url, accept: ACCEPT, headers, body: None, shows: Shows::Address };
        if !matches!(timeout(self.deadline, self.http.send(call)).await, Ok(Ok(_))) {
            tracing::debug!("the session of a probe was not closed: the server ends it by itself");
        }
    }

    /// Fetches the metadata of the resource: where its challenge says, else at its well-known addresses.
    async fn resource_metadata(
        &self,
        url: &Url,
        named: Option<Url>,
    ) -> Result<Option<ProtectedResource>, McpDiscoveryError> {
        let allow_loopback = self.http.dev_mode();
        if let Some(named) = &named
            && !is_plain(named, allow_loopback)
        {
            return Err(ResourceError::Address("address").into());
        }
        for address in named.into_iter().chain(resource_well_known(url)) {
            if let Found::Document(document) = self.document(address).await? {
                return Ok(Some(ProtectedResource::read(&document, url, allow_loopback)?));
            }
        }
        Ok(None)
    }

    /// Discovers the first authorization server of a resource that has metadata.
    async fn server_of(&self, resource: &ProtectedResource) -> Result<ServerMetadata, McpDiscoveryError> {
        for issuer in resource.authorization_servers.iter().take(MOST_SERVERS) {
            match self.discover_issuer(issuer, None, WellKnown::OAuth).await {
                Err(DiscoveryError::Absent) => {}
                found => return with_pkce(found?),
            }
        }
        Err(McpDiscoveryError::Server(DiscoveryError::Absent))
    }

    /// The authorization server of the revision 2025-03-26: the origin of the MCP server itself, with default endpoints
    /// where it has no metadata.
    async fn server_at_origin(&self, url: &Url) -> Result<ServerMetadata, McpDiscoveryError> {
        let mut origin = url.clone();
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        match self.discover_issuer(&origin, None, WellKnown::OAuth).await {
            Err(DiscoveryError::Absent) => Ok(by_default(&origin)),
            found => with_pkce(found?),
        }
    }
}

fn protected(resource: Option<String>, scopes: Vec<String>, server: ServerMetadata) -> McpServer {
    McpServer::Protected(Box::new(McpAuthorization { resource, scopes, server }))
}

/// Metadata of a server that takes PKCE with S256.
fn with_pkce(server: ServerMetadata) -> Result<ServerMetadata, McpDiscoveryError> {
    let methods = server.code_challenge_methods_supported.as_deref().unwrap_or_default();
    if methods.iter().any(|method| method == "S256") { Ok(server) } else { Err(McpDiscoveryError::NoPkce) }
}

/// The endpoints of a server without metadata. The revision makes it support PKCE.
fn by_default(origin: &Url) -> ServerMetadata {
    let at = |path: &str| {
        let mut url = origin.clone();
        url.set_path(path);
        url
    };
    ServerMetadata {
        issuer: origin.origin().ascii_serialization(),
        authorization_endpoint: at("/authorize"),
        token_endpoint: at("/token"),
        revocation_endpoint: None,
        introspection_endpoint: None,
        registration_endpoint: Some(at("/register")),
        jwks_uri: None,
        scopes_supported: None,
        token_endpoint_auth_methods_supported: None,
        code_challenge_methods_supported: None,
        authorization_response_iss_parameter_supported: false,
        client_id_metadata_document_supported: false,
    }
}
