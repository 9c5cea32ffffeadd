//! Clients: registered applications, and what they may say about themselves (RFC 7591 section 2).

use serde::{Deserialize, Serialize};
use url::Url;

use crate::access_format;
use crate::client_document::ClientOrigin;
use crate::client_keys::take_keys;
use crate::clock::Timestamp;
use crate::error_code::ErrorCode;
pub use crate::grant_type::GrantType;
use crate::ids::{ClientId, TenantId};
pub use crate::leave::Leave;
use crate::logout::{self, LogoutMetadataError};
use crate::redirect_uri::{RedirectUri, RedirectUriError};
use crate::resource::{ALLOWED_RESOURCES, Resource};
use crate::rng::Rng;
use crate::scope::{OwnScope, Scope, ScopeError, ScopeValue};
use crate::secret::{ClientSecret, PlainToken, Registration, TokenHash};
use crate::signing_alg::SigningAlg;

/// How a client authenticates at the token endpoint (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// A public client: it has no secret.
    None,
    /// HTTP Basic with form-encoded credentials (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// Credentials in the form body (RFC 6749 section 2.3.1).
    ClientSecretPost,
    /// An assertion that the client signs with its private key (RFC 7523, OpenID Connect Core section 9).
    PrivateKeyJwt,
}

impl TokenEndpointAuthMethod {
    /// Every method that we serve, in the order of the metadata document.
    pub const ALL: [Self; 4] =
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// Reads the wire form.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == value)
    }

    /// Whether it is by a secret that both sides know.
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// Whether a client can keep a secret (RFC 6749 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientType {
    /// It cannot: a browser or native application.
    Public,
    /// It can: a server.
    Confidential,
}

impl ClientType {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Confidential => "confidential",
        }
    }
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its identifier with us.
    pub client_id: ClientId,
    /// The tenant that it belongs to.
    pub tenant_id: TenantId,
    /// How we know it.
    pub origin: ClientOrigin,
    /// The hash of its secret; `None` for a public client.
    pub client_secret: Option<TokenHash<ClientSecret>>,
    /// The name that people see at consent.
    pub client_name: String,
    /// Where its answers may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// What it may ask of the token endpoint.
    pub grant_types: Vec<GrantType>,
    /// The widest scope that it may ask for; `None`: as much as the server allows.
    pub scope: Option<Scope>,
    /// How it authenticates.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// Seconds that an access token of this client lives.
    pub access_token_expiration: i64,
    /// Seconds that a refresh token of this client lives; 0: without end.
    pub refresh_token_expiration: i64,
    /// The hash of its registration access token (RFC 7592 section 3).
    pub registration_access_token: Option<TokenHash<Registration>>,
    /// Its public keys, if it registered them inline (RFC 7517 section 5).
    pub jwks: Option<serde_json::Value>,
    /// Whatever else it said of itself: `client_uri`, `logo_uri`, `contacts`, …
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Client {
    /// Seconds that an access token lives unless the client says otherwise.
    pub const DEFAULT_ACCESS_TOKEN_EXPIRATION: i64 = 86_400;
    /// Seconds that a refresh token lives unless the client says otherwise.
    pub const DEFAULT_REFRESH_TOKEN_EXPIRATION: i64 = 1_209_600;

    /// Whether it may authenticate in this way. A client with a secret may send it either way, since
    /// stock libraries choose for themselves; any other uses the method that it registered.
    pub fn accepts(&self, method: TokenEndpointAuthMethod) -> bool {
        let registered = self.token_endpoint_auth_method;
        method == registered || (method.has_secret() && registered.has_secret())
    }

    /// Whether it can keep a secret.
    pub const fn client_type(&self) -> ClientType {
        match self.token_endpoint_auth_method {
            TokenEndpointAuthMethod::None => ClientType::Public,
            _ => ClientType::Confidential,
        }
    }

    /// The registered redirect URI that the presented one matches.
    pub fn find_redirect_uri(&self, presented: &str) -> Option<&RedirectUri> {
        self.redirect_uris.iter().find(|uri| uri.matches(presented))
    }

    /// What its `id_token`s are signed with (OpenID Connect Dynamic Client Registration section 2).
    pub fn id_token_signed_response_alg(&self) -> SigningAlg {
        self.signing_alg(ID_TOKEN_ALG).unwrap_or(SigningAlg::Rs256)
    }

    /// What its userinfo answers are signed with; `None`: they are plain JSON.
    pub fn userinfo_signed_response_alg(&self) -> Option<SigningAlg> {
        self.signing_alg(USERINFO_ALG)
    }

    /// What the signed answers of the introspection endpoint are signed with (RFC 9701 section 6).
    pub fn introspection_signed_response_alg(&self) -> Option<SigningAlg> {
        self.signing_alg(INTROSPECTION_ALG)
    }

    /// Whether it registered this demand on its own requests: `require_signed_request_object` (RFC 9101
    /// section 10.5) or `require_pushed_authorization_requests` (RFC 9126 section 6).
    pub fn wants(&self, member: &str) -> bool {
        self.metadata.get(member).and_then(serde_json::Value::as_bool).unwrap_or_default()
    }

    fn signing_alg(&self, member: &str) -> Option<SigningAlg> {
        self.metadata.get(member).and_then(serde_json::Value::as_str).and_then(SigningAlg::parse)
    }

    /// Whether it may ask for the scope `background_access`: whoever runs the server allows it, and it did
    /// not register a scope without it.
    pub fn allows_background_access(&self) -> bool {
        let value = ScopeValue::Own(OwnScope::BackgroundAccess);
        self.has_leave(Leave::BackgroundAccess) && self.scope.as_ref().is_none_or(|own| own.has(&value))
    }

    /// Whether it may have the tokens of its sessions at people's own servers, and proofs by their keys.
    pub fn allows_session_export(&self) -> bool {
        self.has_leave(Leave::SessionExport) && self.client_type() == ClientType::Confidential
    }

    /// Whether whoever runs the server has given it leave.
    pub fn has_leave(&self, leave: Leave) -> bool {
        self.wants(leave.member())
    }

    /// Whether it registered this grant type.
    pub fn allows(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }
}

/// A registration request's body (RFC 7591 section 2): what we understand, and the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// Where answers may go.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// How the client will authenticate; `client_secret_basic` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    /// `authorization_code` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// `code` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    /// The name that people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The client's home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// The widest scope that it will ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Everything else, kept and given back.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// A [`ClientMetadata`] that holds up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidClientMetadata {
    /// Where answers may go: at least one, for a client that is answered by redirects.
    pub redirect_uris: Vec<RedirectUri>,
    /// How the client authenticates.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// What it may ask for.
    pub grant_types: Vec<GrantType>,
    /// The name that people see.
    pub client_name: String,
    /// The widest scope, if it named one.
    pub scope: Option<Scope>,
    /// Its public keys, if they are in the metadata itself.
    pub jwks: Option<serde_json::Value>,
    /// `client_uri` and everything else.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl ValidClientMetadata {
    /// The client that this metadata describes, with the default lifetimes.
    pub fn into_client(
        self,
        client_id: ClientId,
        tenant_id: TenantId,
        client_secret: Option<TokenHash<ClientSecret>>,
        now: Timestamp,
    ) -> Client {
        Client {
            client_id,
            tenant_id,
            origin: ClientOrigin::Registered,
            client_secret,
            client_name: self.client_name,
            redirect_uris: self.redirect_uris,
            grant_types: self.grant_types,
            scope: self.scope,
            token_endpoint_auth_method: self.token_endpoint_auth_method,
            access_token_expiration: Client::DEFAULT_ACCESS_TOKEN_EXPIRATION,
            refresh_token_expiration: Client::DEFAULT_REFRESH_TOKEN_EXPIRATION,
            registration_access_token: None,
            jwks: self.jwks,
            metadata: self.metadata,
            created_at: now,
            updated_at: now,
        }
    }

    /// Gives the client leave: for whoever runs the server to say.
    #[must_use]
    pub fn with_leave(mut self, leave: Leave) -> Self {
        self.metadata.insert(leave.member().to_owned(), true.into());
        self
    }

    /// Takes a leave back.
    #[must_use]
    pub fn without_leave(mut self, leave: Leave) -> Self {
        self.metadata.remove(leave.member());
        self
    }

    /// Lets the client ask for tokens for these resources of others: for whoever runs the server to say.
    #[must_use]
    pub fn allowing_resources<'a>(mut self, resources: impl IntoIterator<Item = &'a Resource>) -> Self {
        let names: Vec<_> = resources.into_iter().map(|resource| resource.as_str().into()).collect();
        if !names.is_empty() {
            self.metadata.insert(ALLOWED_RESOURCES.to_owned(), serde_json::Value::Array(names));
        }
        self
    }

    /// Keeps what whoever runs the server has allowed a client that changes what it says of itself.
    #[must_use]
    pub fn keeping_allowances_of(mut self, client: &Client) -> Self {
        for member in Leave::ALL.map(Leave::member).into_iter().chain([ALLOWED_RESOURCES]) {
            if let Some(value) = client.metadata.get(member) {
                self.metadata.insert(member.to_owned(), value.clone());
            }
        }
        self
    }

    /// A fresh secret, if a client of this kind has one.
    pub fn new_secret(&self, rng: &dyn Rng) -> Option<PlainToken<ClientSecret>> {
        self.token_endpoint_auth_method.has_secret().then(|| PlainToken::random(rng))
    }
}

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
        /// What is wrong with it.
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
         urn:ietf:params:oauth:grant-type:device_code: refresh_token alone leads to no token"
    )]
    NoFirstGrant,
    /// Tokens for whoever says that they are the client (RFC 6749 section 4.4).
    #[error(
        "grant_types: client_credentials is for clients that authenticate: not with token_endpoint_auth_method none"
    )]
    PublicClientCredentials,
    /// A response type other than `code`.
    #[error("response_types: {0:?} is not supported; use code")]
    ResponseType(String),
    /// A malformed scope.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A scope beyond what this server can ever grant.
    #[error("scope holds values that this server does not grant: {0}")]
    ScopeNotGranted(String),
    /// A text that is too long, or holds characters which would deceive people.
    #[error("{0} must be at most {1} characters without control characters or direction marks")]
    Text(&'static str, usize),
    /// A signature that we don't make.
    #[error("{0} must be RS256 or ES256")]
    SigningAlg(&'static str),
    /// What it says about logging out.
    #[error(transparent)]
    Logout(#[from] LogoutMetadataError),
    /// `client_uri` is not a web address.
    #[error("client_uri must be an https URL (http for loopback addresses)")]
    ClientUri,
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

impl ClientMetadata {
    /// Checks everything that can be checked without asking anybody.
    ///
    /// # Errors
    /// The first [`ClientMetadataError`] found.
    pub fn validate(self) -> Result<ValidClientMetadata, ClientMetadataError> {
        use ClientMetadataError as E;
        if self.redirect_uris.len() > 32 {
            return Err(E::TooMany("redirect_uris", 32));
        }
        let redirect_uris = self
            .redirect_uris
            .into_iter()
            .map(|uri| RedirectUri::parse(&uri).map_err(|error| E::RedirectUri { uri, error }))
            .collect::<Result<Vec<_>, _>>()?;
        let token_endpoint_auth_method = match self.token_endpoint_auth_method {
            None => TokenEndpointAuthMethod::ClientSecretBasic,
            Some(name) => TokenEndpointAuthMethod::parse(&name).ok_or(E::AuthMethod(name))?,
        };
        let mut grant_types = Vec::new();
        for name in self.grant_types.unwrap_or_else(|| vec!["authorization_code".to_owned()]) {
            let grant = GrantType::parse(&name).ok_or(E::GrantType(name))?;
            if !grant_types.contains(&grant) {
                grant_types.push(grant);
            }
        }
        if grant_types.iter().all(|grant| *grant == GrantType::RefreshToken) {
            return Err(E::NoFirstGrant);
        }
        let is_public = token_endpoint_auth_method == TokenEndpointAuthMethod::None;
        if grant_types.contains(&GrantType::ClientCredentials) && is_public {
            return Err(E::PublicClientCredentials);
        }
        if grant_types.contains(&GrantType::AuthorizationCode) && redirect_uris.is_empty() {
            return Err(E::NoRedirectUri);
        }
        if let Some(other) = self.response_types.unwrap_or_default().into_iter().find(|name| name != "code") {
            return Err(E::ResponseType(other));
        }
        let scope = self.scope.map(|scope| Scope::parse(&scope)).transpose()?;
        let client_name = self.client_name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        if client_name.as_deref().is_some_and(|name| !is_honest_text(name, 100)) {
            return Err(E::Text("client_name", 100));
        }
        let mut metadata = self.other;
        metadata.retain(|name, _| !RESERVED.iter().any(|reserved| name.starts_with(reserved)));
        for member in [ID_TOKEN_ALG, USERINFO_ALG, INTROSPECTION_ALG] {
            if metadata.get(member).is_some_and(|alg| alg.as_str().and_then(SigningAlg::parse).is_none()) {
                return Err(E::SigningAlg(member));
            }
        }
        let jwks = take_keys(&mut metadata, token_endpoint_auth_method)?;
        logout::check_metadata(&metadata)?;
        access_format::check_metadata(&mut metadata)?;
        if let Some(uri) = self.client_uri {
            if !is_web_address(&uri) {
                return Err(E::ClientUri);
            }
            metadata.insert("client_uri".to_owned(), uri.into());
        }
        Ok(ValidClientMetadata {
            redirect_uris,
            token_endpoint_auth_method,
            grant_types,
            client_name: client_name.unwrap_or_default(),
            scope,
            jwks,
            metadata,
        })
    }
}

const ID_TOKEN_ALG: &str = "id_token_signed_response_alg";
const USERINFO_ALG: &str = "userinfo_signed_response_alg";
const INTROSPECTION_ALG: &str = "introspection_signed_response_alg";

/// Members that are not a client's to set. Those of the server's answer are among them: a client that
/// sends its old registration again does not get them stored, and its old secret least of all.
const RESERVED: [&str; 6] = [
    "client_id",
    "client_secret",
    "registration_",
    Leave::BackgroundAccess.member(),
    Leave::SessionExport.member(),
    ALLOWED_RESOURCES,
];

/// No control characters and none that turn the direction of the text around.
fn is_honest_text(text: &str, max_chars: usize) -> bool {
    let deceives = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().count() <= max_chars && !text.chars().any(deceives)
}

pub(crate) fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => crate::redirect_uri::is_loopback(&url),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: serde_json::Value) -> Result<ValidClientMetadata, ClientMetadataError> {
        serde_json::from_value::<ClientMetadata>(json).unwrap_or_default().validate()
    }

    #[test]
    fn defaults_of_rfc_7591() {
        let valid = metadata(
            serde_json::json!({"redirect_uris": ["https://a.example/cb"], "software_id": "x", "client_id": "y", "client_secret": "z", "allow_background_access": true, "allow_session_export": true, "allowed_resources": ["urn:a:b"]}),
        );
        let valid = valid.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(valid.token_endpoint_auth_method, TokenEndpointAuthMethod::ClientSecretBasic);
        assert_eq!(valid.grant_types, [GrantType::AuthorizationCode]);
        assert_eq!(valid.metadata["software_id"], "x");
        assert_eq!(valid.metadata.len(), 1, "what is not the client's to say is not kept");
        let client = |valid: ValidClientMetadata| {
            valid.into_client(ClientId::new("c"), TenantId::default_tenant(), None, Timestamp(0))
        };
        assert!(!client(valid.clone()).allows_background_access());
        assert!(client(valid.clone().with_leave(Leave::BackgroundAccess)).allows_background_access());
        let registered = ValidClientMetadata {
            scope: Some(Scope::atproto()),
            ..valid.with_leave(Leave::BackgroundAccess)
        };
        assert!(!client(registered).allows_background_access(), "it registered a scope without it");
    }

    #[test]
    fn a_device_needs_no_redirect_uri() {
        let device = GrantType::DeviceCode.as_str();
        let with = |grants: &[&str]| {
            metadata(serde_json::json!({ "grant_types": grants })).map_err(|error| error.code())
        };
        assert_eq!(with(&[device, "refresh_token"]).map(|valid| valid.redirect_uris), Ok(Vec::new()));
        assert_eq!(with(&[device, "authorization_code"]), Err(ErrorCode::InvalidRedirectUri));
        assert_eq!(
            with(&["client_credentials"]).map(|valid| valid.grant_types),
            Ok(vec![GrantType::ClientCredentials])
        );
        let public = serde_json::json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none" });
        assert_eq!(metadata(public), Err(ClientMetadataError::PublicClientCredentials));
        for grant in GrantType::ALL {
            assert_eq!(
                serde_json::to_value(grant).ok(),
                Some(grant.as_str().into()),
                "one name in tables and on the wire"
            );
        }
    }

    #[test]
    fn refusals() {
        let with = |name: &str, value: serde_json::Value| {
            let mut body = serde_json::json!({"redirect_uris": ["https://a.example/cb"]});
            body[name] = value;
            metadata(body).map_err(|error| error.code())
        };
        assert_eq!(with("redirect_uris", serde_json::json!([])), Err(ErrorCode::InvalidRedirectUri));
        assert_eq!(with("redirect_uris", serde_json::json!(["data:x"])), Err(ErrorCode::InvalidRedirectUri));
        for (name, value) in [
            ("token_endpoint_auth_method", serde_json::json!("tls_client_auth")),
            ("grant_types", serde_json::json!(["password"])),
            ("grant_types", serde_json::json!(["refresh_token"])),
            ("grant_types", serde_json::json!([])),
            ("response_types", serde_json::json!(["token"])),
            ("scope", serde_json::json!("\"")),
            ("client_name", serde_json::json!("evil\u{202e}")),
            ("client_uri", serde_json::json!("javascript:alert(1)")),
            ("id_token_signed_response_alg", serde_json::json!("none")),
            ("userinfo_signed_response_alg", serde_json::json!(["RS256"])),
        ] {
            assert_eq!(with(name, value), Err(ErrorCode::InvalidClientMetadata), "{name}");
        }
    }
}
