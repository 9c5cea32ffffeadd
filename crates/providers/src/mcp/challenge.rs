//! The challenge of an MCP server: where its metadata is, and which scope a call needs.

use causeway_outbound::challenge;
use causeway_outbound::header::HeaderMap;
use url::Url;

/// The most scopes of a challenge that count.
const MOST_SCOPES: usize = 100;
/// The longest scope, in bytes.
const LONGEST_SCOPE: usize = 512;

/// The Bearer challenges of an answer (RFC 6750 section 3, RFC 9728 section 5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpChallenge {
    /// The address of the metadata.
    pub resource_metadata: Option<Url>,
    /// The scopes that the call needs.
    pub scopes: Vec<String>,
    /// The error code.
    pub error: Option<String>,
}

impl McpChallenge {
    /// Reads the challenges of an answer; `None`: there is none for tokens.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let all = challenge::bearer(headers);
        if all.is_empty() {
            return None;
        }
        let first = |name: &str| all.iter().find_map(|challenge| challenge.get(name));
        let scopes = first("scope").map_or("", String::as_str).split_ascii_whitespace();
        let mut found = Self {
            resource_metadata: first("resource_metadata").and_then(|url| Url::parse(url).ok()),
            scopes: Vec::new(),
            error: first("error").cloned(),
        };
        for scope in scopes.filter(|scope| scope.len() <= LONGEST_SCOPE).take(MOST_SCOPES) {
            if !found.scopes.iter().any(|known| known == scope) {
                found.scopes.push(scope.to_owned());
            }
        }
        Some(found)
    }

    /// The scopes that an answer demands beyond those of the token (RFC 6750 section 3.1, `insufficient_scope`); `None`: it
    /// is about something else.
    pub fn demanded_scopes(status: u16, headers: &HeaderMap) -> Option<Vec<String>> {
        if status != 403 {
            return None;
        }
        let challenge = Self::of(headers)?;
        (challenge.error.as_deref() == Some("insufficient_scope")).then_some(challenge.scopes)
    }
}

#[cfg(test)]
mod tests {
    use causeway_outbound::header::WWW_AUTHENTICATE;

    use super::*;

    fn headers(line: &str) -> HeaderMap {
        [(WWW_AUTHENTICATE, line.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn scope_and_metadata() {
        let line = r#"Bearer realm="x", scope="files:read  files:read files:write", resource_metadata="https://a.example/m""#;
        let found = McpChallenge::of(&headers(line)).unwrap();
        assert_eq!(found.scopes, ["files:read", "files:write"]);
        assert_eq!(found.resource_metadata.unwrap().as_str(), "https://a.example/m");
        assert_eq!(McpChallenge::of(&headers("Basic realm=x")), None);
        assert_eq!(McpChallenge::of(&headers("Bearer")), Some(McpChallenge::default()));
    }

    #[test]
    fn more_scope_is_demanded_by_one_answer_alone() {
        let demanded = headers(r#"Bearer error="insufficient_scope", scope="a b""#);
        assert_eq!(McpChallenge::demanded_scopes(403, &demanded).unwrap(), ["a", "b"]);
        assert_eq!(McpChallenge::demanded_scopes(401, &demanded), None);
        assert_eq!(McpChallenge::demanded_scopes(403, &headers("Bearer error=invalid_token")), None);
        assert_eq!(McpChallenge::demanded_scopes(403, &HeaderMap::new()), None);
    }
}
