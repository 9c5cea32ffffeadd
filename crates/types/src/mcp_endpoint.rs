//! The MCP endpoints of this server, each of which is a resource of its own (RFC 8707, RFC 9728).

use std::fmt;

use crate::ids::UpstreamSessionId;

/// The longest name of a provider or a connection in an address, in bytes.
const MAX_BYTES: usize = 128;

/// An endpoint at which an MCP server is reached through this one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum McpEndpoint {
    /// `/mcp/{provider}`: the user's own connection at a provider.
    Provider(String),
    /// `/mcp/c/{connection_id}`: one connection.
    Connection(UpstreamSessionId),
}

impl McpEndpoint {
    /// The beginning of every endpoint's path.
    pub const PREFIX: &str = "/mcp/";
    const CONNECTION: &str = "c/";

    /// Reads the path of an address; `None`: it is not the path of an endpoint. A slash at its end makes no difference.
    ///
    /// ```
    /// use causeway_types::McpEndpoint;
    /// assert_eq!(McpEndpoint::of_path("/mcp/linear"), Some(McpEndpoint::Provider("linear".to_owned())));
    /// assert_eq!(McpEndpoint::of_path("/mcp/"), None);
    /// ```
    pub fn of_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix(Self::PREFIX)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let is_name = |name: &str| {
            let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            (1..=MAX_BYTES).contains(&name.len()) && is_plain
        };
        match rest.strip_prefix(Self::CONNECTION) {
            Some(id) => is_name(id).then(|| Self::Connection(UpstreamSessionId::new(id))),
            None => is_name(rest).then(|| Self::Provider(rest.to_owned())),
        }
    }

    /// The endpoint as a resource: its address.
    pub fn address(&self, issuer: &str) -> String {
        format!("{issuer}{self}")
    }
}

/// The path.
impl fmt::Display for McpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(name) => write!(f, "{}{name}", Self::PREFIX),
            Self::Connection(id) => write!(f, "{}{}{}", Self::PREFIX, Self::CONNECTION, id.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_endpoints() {
        for (path, endpoint) in [
            ("/mcp/linear", Some("/mcp/linear")),
            ("/mcp/linear/", Some("/mcp/linear")),
            ("/mcp/c", Some("/mcp/c")),
            ("/mcp/c/cs_17", Some("/mcp/c/cs_17")),
            ("/mcp/c/cs_17/", Some("/mcp/c/cs_17")),
            ("/mcp", None),
            ("/mcp/", None),
            ("/mcp//", None),
            ("/mcp/a/b", None),
            ("/mcp/c//", None),
            ("/mcp/a%2Fb", None),
            ("/mcpx/linear", None),
        ] {
            let read = McpEndpoint::of_path(path);
            assert_eq!(read.as_ref().map(ToString::to_string).as_deref(), endpoint, "{path}");
        }
        assert_eq!(McpEndpoint::of_path(&format!("/mcp/{}", "a".repeat(129))), None);
    }
}
