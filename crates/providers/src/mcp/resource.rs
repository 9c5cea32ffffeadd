//! Metadata of protected resources (RFC 9728).

use serde_json::Value;
use thiserror::Error;
use url::Url;

use crate::json::Document;
use crate::oauth::metadata::is_plain;

/// Metadata of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The resource, byte for byte as the metadata writes it.
    pub resource: String,
    /// The authorization servers, as the metadata writes them. There is at least one.
    pub authorization_servers: Vec<Url>,
    /// The scopes that the server names.
    pub scopes_supported: Vec<String>,
}

/// A fault of such metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ResourceError {
    /// It is that of another resource (RFC 9728 section 3.3).
    #[error("its resource is neither this server nor above it on the same origin")]
    Other,
    /// It names no authorization server.
    #[error("it names no authorization server")]
    NoServer,
    /// An address is neither https, nor http on this machine where that is allowed, or has a user name.
    #[error("its {0} is not an https address without user name and fragment")]
    Address(&'static str),
}

/// The addresses at which the metadata of a resource may be: that of its path, then that of its root (RFC 9728
/// section 3.1).
pub fn resource_well_known(resource: &Url) -> Vec<Url> {
    const NAME: &str = "/.well-known/oauth-protected-resource";
    let at = |path: String, query: Option<&str>| {
        let mut url = resource.clone();
        url.set_path(&path);
        url.set_query(query);
        url.set_fragment(None);
        url
    };
    let path = resource.path().trim_end_matches('/');
    let mut addresses = vec![at(format!("{NAME}{path}"), resource.query()), at(NAME.to_owned(), None)];
    addresses.dedup();
    addresses
}

impl ProtectedResource {
    /// Checks the metadata of the resource `of`.
    ///
    /// # Errors
    /// [`ResourceError`].
    pub fn read(document: &Document, of: &Url, allow_loopback: bool) -> Result<Self, ResourceError> {
        let root = document.root();
        let texts = |name: &str| -> Vec<&str> {
            let items = root.get(name).and_then(Value::as_array);
            items.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let resource = root.get("resource").and_then(Value::as_str).ok_or(ResourceError::Other)?;
        if !Url::parse(resource).is_ok_and(|resource| covers(&resource, of)) {
            return Err(ResourceError::Other);
        }
        let mut authorization_servers = Vec::new();
        for text in texts("authorization_servers") {
            let url = Url::parse(text).ok().filter(|url| is_plain(url, allow_loopback));
            authorization_servers.push(url.ok_or(ResourceError::Address("authorization_servers"))?);
        }
        if authorization_servers.is_empty() {
            return Err(ResourceError::NoServer);
        }
        let scopes_supported = texts("scopes_supported").into_iter().map(str::to_owned).collect();
        Ok(Self { resource: resource.to_owned(), authorization_servers, scopes_supported })
    }
}

/// Whether `resource` is the address itself, or above it on the same origin.
fn covers(resource: &Url, address: &Url) -> bool {
    let is_same_origin = resource.scheme() == address.scheme()
        && resource.host() == address.host()
        && resource.port_or_known_default() == address.port_or_known_default();
    if !is_same_origin || resource.fragment().is_some() || !resource.username().is_empty() {
        return false;
    }
    let (above, below) = (resource.path().trim_end_matches('/'), address.path().trim_end_matches('/'));
    if above == below {
        return resource.query().is_none() || resource.query() == address.query();
    }
    let is_above = below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
    is_above && resource.query().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_path_goes_before_the_root() {
        let addresses = |of: &str| -> Vec<String> {
            resource_well_known(&url(of)).into_iter().map(String::from).collect()
        };
        assert_eq!(
            addresses("https://a.example/public/mcp"),
            [
                "https://a.example/.well-known/oauth-protected-resource/public/mcp",
                "https://a.example/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(
            addresses("https://a.example/"),
            ["https://a.example/.well-known/oauth-protected-resource"]
        );
    }

    #[test]
    fn a_resource_is_the_server_or_above_it() {
        let server = url("https://a.example/public/mcp");
        for (resource, is_covered) in [
            ("https://a.example/public/mcp", true),
            ("https://a.example/public/mcp/", true),
            ("https://a.example/public", true),
            ("https://a.example", true),
            ("https://a.example:443/", true),
            ("https://a.example/pub", false),
            ("https://a.example/public/mcp/x", false),
            ("https://a.example/public?x=1", false),
            ("https://b.example/public/mcp", false),
            ("http://a.example/public/mcp", false),
            ("https://a.example:8443/public/mcp", false),
            ("https://u@a.example/public/mcp", false),
        ] {
            assert_eq!(covers(&url(resource), &server), is_covered, "{resource}");
        }
    }

    #[test]
    fn what_is_not_safe_is_refused() {
        let server = url("https://a.example/mcp");
        let read = |resource: &str, servers: serde_json::Value| {
            let text = json!({"resource": resource, "authorization_servers": servers}).to_string();
            ProtectedResource::read(&Document::json(text.as_bytes()).unwrap(), &server, false)
        };
        let found = read("https://a.example/mcp", json!(["https://as.example/t"])).unwrap();
        assert_eq!(found.authorization_servers, [url("https://as.example/t")]);
        assert_eq!(read("https://b.example/mcp", json!(["https://as.example"])), Err(ResourceError::Other));
        assert_eq!(read("https://a.example/mcp", json!([])), Err(ResourceError::NoServer));
        for bad in ["http://as.example", "https://u:p@as.example", "http://127.0.0.1:1", "nonsense"] {
            let refused = Err(ResourceError::Address("authorization_servers"));
            assert_eq!(read("https://a.example/mcp", json!([bad])), refused, "{bad}");
        }
    }
}
