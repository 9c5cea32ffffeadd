//! Errors in client metadata.

use causeway_types::ErrorCode;
use causeway_types::redirect_uri::RedirectUriError;
use causeway_types::scope::ScopeError;

use super::logout::LogoutMetadataError;

/// Why a registration was refused (RFC 7591 section 3.2.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientMetadataError {
    /// No redirect URI at all.
    #[error("redirect_uris must hold at least one URI")]
    NoRedirectUri,
    /// One of them is not allowed.
    #[error("redirect_uris: {uri:?} {error}")]
    RedirectUri {
        /// The URI in question.
        uri: String,
        /// The reason.
        error: RedirectUriError,
    },
    /// An authentication method that we don't serve.
    #[error(
        "token_endpoint_auth_method {0:?} is not supported; use none, client_secret_basic, \
         client_secret_post or private_key_jwt"
    )]
    AuthMethod(String),
    /// A grant that we don't serve.
    #[error(
        "grant_types: {0:?} is not supported; use authorization_code, refresh_token, client_credentials, \
         urn:ietf:params:oauth:grant-type:device_code and urn:ietf:params:oauth:grant-type:token-exchange"
    )]
    GrantType(String),
    /// No grant by which a client gets its first token.
    #[error(
        "grant_types must contain authorization_code, client_credentials or \
         urn:ietf:params:oauth:grant-type:device_code: refresh_token alone yields no token"
    )]
    NoFirstGrant,
    /// `client_credentials` for a client that does not authenticate (RFC 6749 section 4.4).
    #[error(
        "grant_types: client_credentials is for clients that authenticate: not with token_endpoint_auth_method none"
    )]
    PublicClientCredentials,
    /// Session export for a client that does not authenticate.
    #[error(
        "allow_session_export is for clients that authenticate: not with token_endpoint_auth_method none"
    )]
    PublicSessionExport,
    /// The PKCE policy `nonce` for a client that does not authenticate.
    #[error("pkce nonce is for clients that authenticate: not with token_endpoint_auth_method none")]
    PublicPkce,
    /// A response type other than `code`.
    #[error("response_types: {0:?} is not supported; use code")]
    ResponseType(String),
    /// A malformed scope.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A scope beyond what this server can ever grant.
    #[error("scope holds values that this server does not grant: {0}")]
    ScopeNotGranted(String),
    /// A name that is too long for a page.
    #[error("client_name must be at most {0} characters")]
    LongName(usize),
    /// A name without visible characters.
    #[error("client_name has no visible characters: send the name that users know you by, or omit it")]
    BlankName,
    /// The character that databases and programs take for the end of a text.
    #[error("the metadata holds the character U+0000: remove it")]
    Nul,
    /// A signature that we don't make.
    #[error("{0} must be RS256 or ES256")]
    SigningAlg(&'static str),
    /// Invalid logout metadata.
    #[error(transparent)]
    Logout(#[from] LogoutMetadataError),
    /// Too many of something.
    #[error("{0} holds too many values (at most {1})")]
    TooMany(&'static str, usize),
    /// No keys to verify assertions with.
    #[error("private_key_jwt needs your public keys: send jwks or jwks_uri")]
    NoJwks,
    /// Both forms of keys (RFC 7591 section 2).
    #[error("jwks and jwks_uri must not both be sent")]
    JwksTwice,
    /// `jwks_uri` is not a web address.
    #[error("jwks_uri must be an https URL (http for loopback addresses)")]
    JwksUri,
    /// Keys that cannot be used.
    #[error("jwks {0}")]
    Jwks(String),
    /// An algorithm that we do not verify.
    #[error("token_endpoint_auth_signing_alg is not supported; use ES256, RS256, PS256 or EdDSA")]
    AssertionAlg,
    /// `dpop_bound_access_tokens` is not a boolean.
    #[error("dpop_bound_access_tokens must be true or false")]
    DpopBound,
    /// `dpop_nonce_policy` is none that we know.
    #[error("dpop_nonce_policy must be \"off\" or \"required\"")]
    DpopNoncePolicy,
    /// A protection that is not supported here.
    #[error("{0} requests a feature that this server does not support: omit it")]
    Unserved(&'static str),
    /// No boolean.
    #[error("{0} must be true or false")]
    Boolean(&'static str),
    /// A subject that differs for each client (OpenID Connect Core section 8).
    #[error("subject_type must be public: every client receives the same sub")]
    SubjectType,
    /// No number of seconds.
    #[error("default_max_age must be a whole number of seconds")]
    DefaultMaxAge,
    /// An algorithm that we do not verify.
    #[error("request_object_signing_alg is not supported; use ES256, RS256, PS256 or EdDSA")]
    RequestObjectAlg,
    /// `access_token_format` is none that we know.
    #[error("access_token_format must be \"opaque\" or \"jwt\"")]
    AccessTokenFormat,
}

impl ClientMetadataError {
    /// The error code of RFC 7591 section 3.2.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NoRedirectUri | Self::RedirectUri { .. } => ErrorCode::InvalidRedirectUri,
            _ => ErrorCode::InvalidClientMetadata,
        }
    }
}
