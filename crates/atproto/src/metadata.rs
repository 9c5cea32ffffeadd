//! Resolves a PDS to its authorization server (RFC 9728, RFC 8414, atproto specification "OAuth").

use std::sync::Arc;

use causeway_domain::Clock;
use causeway_outbound::{HttpClient, HttpError, TtlCache};
use causeway_types::Scope;
use serde::Deserialize;
use url::Url;

use crate::error::ResolveError;
use crate::origin::{at_path, parse_origin};

/// An authorization server with valid metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// Its issuer: an origin, exactly as the server writes it.
    pub issuer: String,
    /// The authorization endpoint, where users are sent.
    pub authorization_endpoint: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Url,
    /// Where requests are pushed (RFC 9126).
    pub pushed_authorization_request_endpoint: Url,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// The scopes that it lists. It may know more: most of the grammar cannot be listed.
    pub scopes_supported: Vec<String>,
    /// The resources that it says it protects (RFC 9728 section 4); `None` when it does not say.
    pub protected_resources: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ProtectedResource {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
}

#[derive(Deserialize)]
struct ServerDocument {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    response_types_supported: Vec<String>,
    grant_types_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    dpop_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
    protected_resources: Option<Vec<String>>,
}

/// Fetches and checks server metadata.
pub(crate) struct MetadataResolver {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    issuers: TtlCache<String, String>,
    servers: TtlCache<String, AuthorizationServer>,
}

impl MetadataResolver {
    pub(crate) fn new(http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock, issuers: TtlCache::new(), servers: TtlCache::new() }
    }

    /// The authorization server of a PDS.
    pub(crate) async fn of_pds(&self, pds: &Url) -> Result<AuthorizationServer, ResolveError> {
        let resource = pds.origin().ascii_serialization();
        let issuer = if let Some(issuer) = self.issuers.get(&resource, self.clock.now()) {
            issuer
        } else {
            let url = at_path(&origin_url(pds), "/.well-known/oauth-protected-resource");
            let document = self.http.get_json(&url, HttpClient::DOCUMENT_CAP).await?;
            let issuer = only_issuer(&resource, document)?;
            self.issuers.put(resource.clone(), issuer.clone(), self.clock.now());
            issuer
        };
        let server = self.of_issuer(&issuer).await?;
        match &server.protected_resources {
            Some(resources) if !resources.contains(&resource) => {
                Err(ResolveError::ServerMetadata("the authorization server does not protect this resource"))
            }
            _ => Ok(server),
        }
    }

    /// Drops the cached authorization server of a PDS.
    pub(crate) fn forget(&self, pds: &Url) {
        if let Some(issuer) = self.issuers.forget(&pds.origin().ascii_serialization()) {
            self.servers.forget(&issuer);
        }
    }

    /// The authorization server behind a server's address: that of the PDS there, or the server itself.
    pub(crate) async fn of_server(&self, url: &Url) -> Result<AuthorizationServer, ResolveError> {
        match self.of_pds(url).await {
            // No PDS there. (One whose document is there but wrong does not count as none.)
            Err(ResolveError::Http(HttpError::Status { status: 400..=499, .. } | HttpError::NotJson)) => {
                self.of_issuer(&url.origin().ascii_serialization()).await
            }
            outcome => outcome,
        }
    }

    /// The authorization server with this issuer.
    pub(crate) async fn of_issuer(&self, issuer: &str) -> Result<AuthorizationServer, ResolveError> {
        match self.servers.get(&issuer.to_owned(), self.clock.now()) {
            Some(server) => Ok(server),
            None => self.of_issuer_fresh(issuer).await,
        }
    }

    /// Same as [`MetadataResolver::of_issuer`], bypassing the cache.
    pub(crate) async fn of_issuer_fresh(&self, issuer: &str) -> Result<AuthorizationServer, ResolveError> {
        let dev_mode = self.http.dev_mode();
        let base = parse_origin(issuer, dev_mode)
            .filter(|url| url.origin().ascii_serialization() == issuer)
            .ok_or(ResolveError::ServerMetadata("the issuer is not an https origin"))?;
        let url = at_path(&base, "/.well-known/oauth-authorization-server");
        let document = self.http.get_json(&url, HttpClient::DOCUMENT_CAP).await?;
        let server = check(issuer, document, dev_mode)?;
        self.servers.put(issuer.to_owned(), server.clone(), self.clock.now());
        Ok(server)
    }
}

/// The one authorization server that a protected resource names.
fn only_issuer(resource: &str, document: ProtectedResource) -> Result<String, ResolveError> {
    if document.resource != resource {
        return Err(ResolveError::ServerMetadata("the protected resource names another origin"));
    }
    match <[String; 1]>::try_from(document.authorization_servers) {
        Ok([issuer]) => Ok(issuer),
        Err(_) => Err(ResolveError::ServerMetadata(
            "the protected resource does not name exactly one authorization server",
        )),
    }
}

/// Validates the metadata that a safe sign-in needs.
fn check(
    issuer: &str,
    document: ServerDocument,
    dev_mode: bool,
) -> Result<AuthorizationServer, ResolveError> {
    let has = |values: &[String], wanted: &str| values.iter().any(|value| value == wanted);
    let requirements = [
        (document.issuer == issuer, "its issuer is not the origin that it was fetched from"),
        (document.require_pushed_authorization_requests, "it does not require pushed requests"),
        (
            document.authorization_response_iss_parameter_supported,
            "it does not send the iss parameter in its responses",
        ),
        (document.client_id_metadata_document_supported, "it does not support client metadata documents"),
        (has(&document.code_challenge_methods_supported, "S256"), "it does not support PKCE with S256"),
        (has(&document.dpop_signing_alg_values_supported, "ES256"), "it does not support DPoP with ES256"),
        (has(&document.scopes_supported, Scope::ATPROTO), "it does not support the scope atproto"),
        (has(&document.response_types_supported, "code"), "it does not support the response type code"),
        (
            document
                .grant_types_supported
                .as_deref()
                .is_none_or(|grants| has(grants, "authorization_code") && has(grants, "refresh_token")),
            "it does not support authorization codes and refresh tokens",
        ),
        (
            document
                .token_endpoint_auth_signing_alg_values_supported
                .as_deref()
                .is_none_or(|algorithms| has(algorithms, "ES256")),
            "it does not support client assertions with ES256",
        ),
    ];
    if let Some((_, reason)) = requirements.into_iter().find(|(met, _)| !met) {
        return Err(ResolveError::ServerMetadata(reason));
    }
    let endpoint = |value: Option<String>, reason| {
        value.and_then(|value| parse_endpoint(&value, dev_mode)).ok_or(ResolveError::ServerMetadata(reason))
    };
    Ok(AuthorizationServer {
        issuer: document.issuer,
        authorization_endpoint: endpoint(
            document.authorization_endpoint,
            "its authorization_endpoint is not an https URL",
        )?,
        token_endpoint: endpoint(document.token_endpoint, "its token_endpoint is not an https URL")?,
        pushed_authorization_request_endpoint: endpoint(
            document.pushed_authorization_request_endpoint,
            "its pushed_authorization_request_endpoint is not an https URL",
        )?,
        revocation_endpoint: match document.revocation_endpoint {
            None => None,
            some => Some(endpoint(some, "its revocation_endpoint is not an https URL")?),
        },
        scopes_supported: document.scopes_supported,
        protected_resources: document.protected_resources,
    })
}

/// An endpoint: https (http too in development), without credentials or fragment.
fn parse_endpoint(text: &str, dev_mode: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let scheme = url.scheme() == "https" || (dev_mode && url.scheme() == "http");
    let anonymous = url.username().is_empty() && url.password().is_none();
    (scheme && url.has_host() && anonymous && url.fragment().is_none()).then_some(url)
}

fn origin_url(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://pds.example";

    fn good() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://pds.example/oauth/authorize",
            "token_endpoint": "https://pds.example/oauth/token",
            "pushed_authorization_request_endpoint": "https://pds.example/oauth/par",
            "revocation_endpoint": "https://pds.example/oauth/revoke",
            "scopes_supported": ["atproto", "transition:generic", "\u{e9}"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "dpop_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": true,
            "require_pushed_authorization_requests": true,
            "client_id_metadata_document_supported": true,
        })
    }

    fn checked(document: Value) -> Result<AuthorizationServer, ResolveError> {
        check(ISSUER, serde_json::from_value(document).unwrap(), false)
    }

    #[test]
    fn a_good_server_passes() {
        let server = checked(good()).unwrap();
        assert_eq!(server.issuer, ISSUER);
        assert_eq!(server.revocation_endpoint.unwrap().as_str(), "https://pds.example/oauth/revoke");
    }

    #[test]
    fn each_requirement_counts() {
        for (member, value) in [
            ("issuer", json!("https://evil.example")),
            ("issuer", json!("https://pds.example/")),
            ("authorization_endpoint", json!("http://pds.example/oauth/authorize")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("token_endpoint", json!(null)),
            ("token_endpoint", json!("https://user:secret@pds.example/oauth/token")),
            ("pushed_authorization_request_endpoint", json!(null)),
            ("revocation_endpoint", json!("http://pds.example/oauth/revoke")),
            ("scopes_supported", json!(["openid"])),
            ("response_types_supported", json!(["token"])),
            ("grant_types_supported", json!(["authorization_code"])),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("dpop_signing_alg_values_supported", json!(["RS256"])),
            ("token_endpoint_auth_signing_alg_values_supported", json!(["RS256"])),
            ("authorization_response_iss_parameter_supported", json!(false)),
            ("require_pushed_authorization_requests", json!(false)),
            ("client_id_metadata_document_supported", json!(false)),
        ] {
            let mut document = good();
            document[member] = value.clone();
            let outcome = checked(document);
            assert!(matches!(outcome, Err(ResolveError::ServerMetadata(_))), "{member}: {value}");
        }
    }

    #[test]
    fn a_resource_names_itself_and_one_server() {
        let issuer = |document: Value| only_issuer(ISSUER, serde_json::from_value(document).unwrap());
        let entryway = "https://entryway.example";
        let good = json!({ "resource": ISSUER, "authorization_servers": [entryway] });
        assert_eq!(issuer(good), Ok(entryway.to_owned()));
        for bad in [
            json!({ "resource": "https://other.example", "authorization_servers": [entryway] }),
            json!({ "resource": "https://pds.example/", "authorization_servers": [entryway] }),
            json!({ "resource": ISSUER, "authorization_servers": [] }),
            json!({ "resource": ISSUER }),
            json!({ "resource": ISSUER, "authorization_servers": [entryway, ISSUER] }),
        ] {
            assert!(matches!(issuer(bad.clone()), Err(ResolveError::ServerMetadata(_))), "{bad}");
        }
    }
}
