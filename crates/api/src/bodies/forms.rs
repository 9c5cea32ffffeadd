//! Parameters of requests that no use case takes: credentials, and what they are for.

use causeway_flow::client::assertion::ASSERTION_TYPE;
use causeway_types::{GrantType, Secret};
use schemars::JsonSchema;

/// A client's credentials in a body (RFC 6749 section 2.3.1, RFC 7521 section 4.2).
#[derive(JsonSchema)]
pub(crate) struct ClientCredentials {
    /// Required unless it is in the Authorization header.
    pub(crate) client_id: Option<String>,
    /// For client_secret_post.
    pub(crate) client_secret: Option<String>,
    /// The type of the client_assertion.
    #[schemars(extend("const" = ASSERTION_TYPE))]
    pub(crate) client_assertion_type: Option<String>,
    /// For private_key_jwt (RFC 7523).
    #[schemars(with = "Option<String>")]
    pub(crate) client_assertion: Option<Secret>,
}

/// The kind of a token request.
#[derive(JsonSchema)]
pub(crate) struct GrantChoice {
    /// The grant.
    #[schemars(with = "GrantType")]
    pub(crate) grant_type: Option<String>,
}

/// A token that a client revokes or asks about (RFC 7009 section 2.1, RFC 7662 section 2.1).
#[derive(JsonSchema)]
pub(crate) struct TokenQuestion {
    /// The access token or refresh token.
    #[schemars(with = "String")]
    pub(crate) token: Option<String>,
    /// access_token or refresh_token.
    #[expect(dead_code, reason = "tokens show their type themselves")]
    pub(crate) token_type_hint: Option<String>,
}

/// An access token in a body (RFC 6750 section 2.2).
#[derive(JsonSchema)]
pub(crate) struct TokenInBody {
    /// An alternative to the Authorization header.
    pub(crate) access_token: Option<String>,
}
