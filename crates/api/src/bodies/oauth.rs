//! Bodies of the OAuth endpoints.

use causeway_domain::client::members::KnownMembers;
use causeway_types::{Did, ErrorCode, GrantType, RedirectUri, Scope, TokenType, WireText};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

/// An error (RFC 6749 section 5.2).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorBody<'a> {
    /// The error code, for programs.
    pub(crate) error: ErrorCode,
    /// The cause and the remedy, for developers.
    pub(crate) error_description: &'a WireText,
    /// The same text under the name that XRPC uses; only below /xrpc.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<&'a WireText>,
    /// The address where the user signs in again; with reauth_required, at most once in five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Url")]
    pub(crate) sign_in_url: Option<&'a str>,
    /// Finds the log lines of this request.
    pub(crate) request_id: String,
}

/// The response to a pushed authorization request (RFC 9126 section 2.2).
#[derive(Serialize, JsonSchema)]
pub(crate) struct PushedAnswer<'a> {
    /// For the authorization endpoint; single-use.
    pub(crate) request_uri: &'a str,
    /// Seconds until it expires.
    pub(crate) expires_in: i64,
}

/// The device authorization response (RFC 8628 section 3.2).
#[derive(Serialize, JsonSchema)]
pub(crate) struct DeviceAnswer<'a> {
    /// For the token endpoint.
    pub(crate) device_code: &'a str,
    /// The code that the user enters.
    pub(crate) user_code: &'a str,
    /// Where the user enters user_code.
    #[schemars(with = "Url")]
    pub(crate) verification_uri: &'a str,
    /// verification_uri with user_code included.
    #[schemars(with = "Url")]
    pub(crate) verification_uri_complete: &'a str,
    /// Seconds until the codes expire.
    pub(crate) expires_in: i64,
    /// Seconds to wait between polls.
    pub(crate) interval: i64,
}

/// The token response (RFC 6749 section 5.1), with the account that the tokens are for.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TokenAnswer<'a> {
    /// Opaque, or a JWT if the client registered that format (RFC 9068).
    pub(crate) access_token: &'a str,
    /// How the access token is presented.
    pub(crate) token_type: TokenType,
    /// Seconds until the access token expires.
    pub(crate) expires_in: i64,
    /// Single-use: each response holds the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<&'a str>,
    /// With the scope openid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_token: Option<&'a str>,
    /// For token exchange (RFC 8693 section 2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issued_token_type: Option<&'static str>,
    /// The granted scope.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub(crate) scope: &'a Scope,
    /// The user's DID; absent from a token that the client holds for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<&'a Did>,
}

/// The client information response (RFC 7591 section 3.2.1): the registered metadata, and the server's additions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Client")]
pub(crate) struct RegisteredClient<'a> {
    /// The client.
    pub(crate) client_id: &'a str,
    /// Unix time of the registration.
    pub(crate) client_id_issued_at: i64,
    /// Only in the response that created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<&'a str>,
    /// 0: it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret_expires_at: Option<i64>,
    /// The name that users see.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) client_name: &'a str,
    /// Where responses may go.
    #[schemars(with = "Vec<Url>")]
    pub(crate) redirect_uris: &'a [RedirectUri],
    /// The grant types that the client may use.
    pub(crate) grant_types: &'a [GrantType],
    /// `code`, for a client that may use authorization codes.
    pub(crate) response_types: &'static [&'static str],
    /// How the client authenticates.
    pub(crate) token_endpoint_auth_method: &'static str,
    /// The maximum scope that the client may request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<&'a Scope>,
    /// The client's public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Value>")]
    pub(crate) jwks: Option<&'a Value>,
    /// The client configuration endpoint (RFC 7592).
    #[schemars(with = "Url")]
    pub(crate) registration_client_uri: String,
    /// The token for registration_client_uri.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration_access_token: Option<&'a str>,
    /// Everything else that the client registered.
    #[serde(flatten)]
    #[schemars(with = "KnownMembers")]
    pub(crate) metadata: &'a Map<String, Value>,
}
