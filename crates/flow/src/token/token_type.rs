//! Types of tokens: how they are used (RFC 6749 section 7.1), and what they are (RFC 8693 section 3).

use causeway_domain::Jkt;

/// The type of a `subject_token` that is the identifier of a session.
pub const SESSION_TOKEN_TYPE: &str = "urn:causeway:token-type:session";
/// The type of what is issued (RFC 8693 section 3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// How an access token is used (RFC 6749 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// Without proof of possession (RFC 6750).
    Bearer,
    /// With a proof of possession of its key (RFC 9449).
    Dpop,
}

impl TokenType {
    /// The type of a token that is bound to this key, or to none.
    pub const fn of(jkt: Option<&Jkt>) -> Self {
        if jkt.is_some() { Self::Dpop } else { Self::Bearer }
    }

    /// The wire form: `token_type` of the answer, and the scheme of the `Authorization` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}
