//! Scopes that only a third-party resource interprets.

use super::fixed::OwnScope;

/// The longest name, in bytes.
const MAX_BYTES: usize = 256;
/// How the scopes of AT Protocol begin: a name that begins so is one of them, or a misspelled one.
const ATPROTO: [&str; 8] = ["atproto", "transition", "repo", "rpc", "blob", "account", "identity", "include"];

/// A scope that only its resource interprets, such as `mcp:tools`; compared byte by byte.
///
/// ```
/// use causeway_types::scope::ResourceScope;
/// assert!(ResourceScope::parse("mcp:tools").is_some());
/// assert!(ResourceScope::parse("repo:read").is_none());
/// assert!(ResourceScope::parse("openid").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceScope(String);

impl ResourceScope {
    /// Reads a scope token (RFC 6749 section 3.3) that is none of this server's, nor begins as one of AT Protocol does.
    pub fn parse(token: &str) -> Option<Self> {
        let is_legal = |b: u8| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b);
        let head = token.split([':', '?']).next().unwrap_or_default();
        let is_ours = ATPROTO.contains(&head) || OwnScope::parse(token).is_some();
        let is_token = (1..=MAX_BYTES).contains(&token.len()) && token.bytes().all(is_legal);
        (is_token && !is_ours).then(|| Self(token.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(ResourceScope: "a scope token that is not one of this server");
