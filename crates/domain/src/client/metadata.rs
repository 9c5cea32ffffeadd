//! Client metadata at registration (RFC 7591 section 2), and its validation.

use causeway_types::redirect_uri::{RedirectUriError, is_loopback};
use causeway_types::secret::ClientSecret;
use causeway_types::{
    ClientId, GrantType, PlainToken, RedirectUri, Rng, Scope, SigningAlg, TenantId, Timestamp,
    TokenEndpointAuthMethod, TokenHash,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use url::Url;

use super::display_name;
use super::document::ClientOrigin;
use super::keys::take_keys;
use super::left_out::keep_web_pages;
use super::metadata_error::ClientMetadataError;
use super::pkce_policy::PKCE;
use super::terms::{ACCESS_TOKEN_EXPIRATION, REFRESH_TOKEN_EXPIRATION};
use super::{ALLOWED_RESOURCES, Client, Entitlement, Entitlements, access_format, demands, logout};

/// More redirect URIs are refused.
const MAX_REDIRECT_URIS: usize = 32;
pub(super) const ID_TOKEN_ALG: &str = "id_token_signed_response_alg";
pub(super) const USERINFO_ALG: &str = "userinfo_signed_response_alg";
pub(super) const INTROSPECTION_ALG: &str = "introspection_signed_response_alg";

/// Members that a client may not set. They include those of the server's response: when a client sends its
/// old registration again, they are not stored, least of all its old secret.
const RESERVED: [&str; 10] = [
    "client_id",
    "client_secret",
    "registration_",
    Entitlement::BackgroundAccess.member(),
    Entitlement::SessionExport.member(),
    Entitlement::IdTokenClaims.member(),
    PKCE,
    ALLOWED_RESOURCES,
    ACCESS_TOKEN_EXPIRATION,
    REFRESH_TOKEN_EXPIRATION,
];

/// Whether a client may not set this member.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| name.starts_with(reserved))
}

/// A registration request's body (RFC 7591 section 2): the members that we know, and the rest. Any member
/// that is null (RFC 7592 section 2.2) or an empty string counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// Where answers may go.
    #[serde(default, deserialize_with = "read_list")]
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
    /// The name that users see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The client's home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// The widest scope that it will ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Everything else, stored and returned.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

fn read_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A [`ClientMetadata`] that passed validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidClientMetadata {
    /// Where answers may go: at least one, for a client that is answered by redirects.
    pub redirect_uris: Vec<RedirectUri>,
    /// How the client authenticates.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// The grant types that it may use.
    pub grant_types: Vec<GrantType>,
    /// The name that users see.
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
            entitlements: Entitlements::default(),
            metadata: self.metadata,
            created_at: now,
            updated_at: now,
        }
    }

    /// A fresh secret, if a client of this kind has one.
    pub fn new_secret(&self, rng: &dyn Rng) -> Option<PlainToken<ClientSecret>> {
        self.token_endpoint_auth_method.has_secret().then(|| PlainToken::random(rng))
    }
}

impl ClientMetadata {
    /// Checks everything that can be checked without I/O.
    ///
    /// # Errors
    /// The first [`ClientMetadataError`] found.
    pub fn validate(mut self) -> Result<ValidClientMetadata, ClientMetadataError> {
        use ClientMetadataError as E;
        self.leave_out_empty();
        let redirect_uris = parse_redirect_uris(self.redirect_uris)?;
        let token_endpoint_auth_method = match self.token_endpoint_auth_method {
            None => TokenEndpointAuthMethod::ClientSecretBasic,
            Some(name) => TokenEndpointAuthMethod::parse(&name).ok_or(E::AuthMethod(name))?,
        };
        let grant_types = parse_grant_types(self.grant_types)?;
        let is_public = token_endpoint_auth_method == TokenEndpointAuthMethod::None;
        if grant_types.contains(&GrantType::ClientCredentials) && is_public {
            return Err(E::PublicClientCredentials);
        }
        if grant_types.contains(&GrantType::AuthorizationCode) && redirect_uris.is_empty() {
            return Err(E::NoRedirectUri);
        }
        if let Some(uri) = redirect_uris.iter().find(|uri| !is_public && uri.is_unowned()) {
            let error = RedirectUriError::PublicClientsOnly;
            return Err(E::RedirectUri { uri: uri.to_string(), error });
        }
        let response_types = self.response_types.unwrap_or_default();
        if let Some(other) =
            response_types.first().filter(|_| !response_types.iter().any(|name| name == "code"))
        {
            return Err(E::ResponseType(other.clone()));
        }
        let scope = self.scope.map(|scope| Scope::parse_asked(&scope)).transpose()?;
        let client_name = display_name::read(self.client_name.as_deref().unwrap_or_default())?;
        if self.client_uri.as_deref().is_some_and(|uri| uri.contains('\0')) || self.other.iter().any(has_nul)
        {
            return Err(E::Nul);
        }
        let mut metadata = self.other;
        metadata.extend(self.client_uri.map(|uri| ("client_uri".to_owned(), uri.into())));
        metadata.retain(|name, _| !is_reserved(name));
        keep_web_pages(&mut metadata);
        demands::check(&mut metadata)?;
        for member in [ID_TOKEN_ALG, USERINFO_ALG, INTROSPECTION_ALG] {
            if metadata.get(member).is_some_and(|alg| alg.as_str().and_then(SigningAlg::parse).is_none()) {
                return Err(E::SigningAlg(member));
            }
        }
        let jwks = take_keys(&mut metadata, token_endpoint_auth_method)?;
        logout::check_metadata(&metadata)?;
        access_format::check_metadata(&metadata)?;
        Ok(ValidClientMetadata {
            redirect_uris,
            token_endpoint_auth_method,
            grant_types,
            client_name,
            scope,
            jwks,
            metadata,
        })
    }
}

fn parse_redirect_uris(uris: Vec<String>) -> Result<Vec<RedirectUri>, ClientMetadataError> {
    if uris.len() > MAX_REDIRECT_URIS {
        return Err(ClientMetadataError::TooMany("redirect_uris", MAX_REDIRECT_URIS));
    }
    uris.into_iter()
        .map(|uri| RedirectUri::parse(&uri).map_err(|error| ClientMetadataError::RedirectUri { uri, error }))
        .collect()
}

/// Parses grant types: each once, and at least one that yields a first token. Unsupported ones are left out:
/// stock clients name all that they can do, and the response says what is registered (RFC 7591 section
/// 3.2.1).
fn parse_grant_types(names: Option<Vec<String>>) -> Result<Vec<GrantType>, ClientMetadataError> {
    let (mut grants, mut unknown) = (Vec::new(), None);
    for name in names.unwrap_or_else(|| vec!["authorization_code".to_owned()]) {
        match GrantType::parse(&name) {
            Some(grant) if grants.contains(&grant) => {}
            Some(grant) => grants.push(grant),
            None => unknown = Some(name),
        }
    }
    if let Some(name) = unknown.filter(|_| grants.is_empty()) {
        return Err(ClientMetadataError::GrantType(name));
    }
    if grants.iter().all(|grant| *grant == GrantType::RefreshToken) {
        return Err(ClientMetadataError::NoFirstGrant);
    }
    Ok(grants)
}

/// Whether a name, or a string at any depth of its value, contains U+0000, which is never stored.
fn has_nul((name, value): (&String, &Value)) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(values) => values.iter().any(within),
            Value::Object(members) => members.iter().any(has_nul),
            _ => false,
        }
    }
    name.contains('\0') || within(value)
}

pub(super) fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use causeway_types::ErrorCode;

    use super::*;
    use crate::client::ClientTerms;

    fn metadata(json: serde_json::Value) -> Result<ValidClientMetadata, ClientMetadataError> {
        serde_json::from_value::<ClientMetadata>(json).unwrap_or_default().validate()
    }

    #[test]
    fn defaults_of_rfc_7591() {
        let valid = metadata(
            serde_json::json!({"redirect_uris": ["https://a.example/cb"], "software_id": "x", "client_id": "y", "client_secret": "z", "allow_background_access": true, "allow_session_export": true, "allowed_resources": ["urn:a:b"], "access_token_expiration": 1, "refresh_token_expiration": 0}),
        );
        let valid = valid.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(valid.token_endpoint_auth_method, TokenEndpointAuthMethod::ClientSecretBasic);
        assert_eq!(valid.grant_types, [GrantType::AuthorizationCode]);
        assert_eq!(valid.metadata["software_id"], "x");
        assert_eq!(valid.metadata.len(), 1, "what is not the client's to say is not kept");
        let client = |valid: ValidClientMetadata| {
            valid.into_client(ClientId::new("c"), TenantId::default_tenant(), None, Timestamp(0))
        };
        let terms = ClientTerms { background_access: Some(true), ..ClientTerms::default() };
        let mut client = client(valid);
        assert!(!client.allows_background_access());
        terms.apply_to(&mut client);
        assert!(client.allows_background_access());
        client.scope = Some(Scope::atproto());
        assert!(!client.allows_background_access(), "it registered a scope without it");
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
    fn what_is_null_or_empty_is_left_out() {
        let names = [
            "redirect_uris",
            "token_endpoint_auth_method",
            "response_types",
            "client_name",
            "client_uri",
            "scope",
            "jwks",
            "jwks_uri",
            "token_endpoint_auth_signing_alg",
            "id_token_signed_response_alg",
            "id_token_encrypted_response_alg",
            "request_object_signing_alg",
            "require_signed_request_object",
            "subject_type",
            "default_max_age",
            "dpop_bound_access_tokens",
            "dpop_nonce_policy",
            "access_token_format",
            "post_logout_redirect_uris",
            "backchannel_logout_uri",
            "backchannel_logout_session_required",
            "software_id",
        ];
        let grants = serde_json::json!({"grant_types": ["client_credentials"]});
        let read = |json| serde_json::from_value::<ClientMetadata>(json).unwrap().validate();
        let plain = read(grants.clone()).unwrap();
        let (mut nulls, mut empty) = (grants.clone(), grants);
        for name in names {
            nulls[name] = serde_json::Value::Null;
            empty[name] = "".into();
        }
        for list in ["redirect_uris", "response_types", "contacts"] {
            empty[list] = serde_json::json!([""]);
        }
        empty["jwks"] = serde_json::json!({ "keys": [] });
        assert_eq!(read(nulls).unwrap(), plain);
        let mut contacts = plain;
        contacts.metadata.insert("contacts".to_owned(), serde_json::json!([]));
        assert_eq!(read(empty).unwrap(), contacts);
        let defaults = serde_json::json!({"grant_types": null, "redirect_uris": ["https://a.example/cb"]});
        assert_eq!(read(defaults).unwrap().grant_types, [GrantType::AuthorizationCode]);
    }

    #[test]
    fn private_schemes_without_a_dot_are_for_public_clients() {
        let with = |method: &str, uri: &str| {
            metadata(serde_json::json!({
                "redirect_uris": ["https://a.example/cb", uri], "token_endpoint_auth_method": method,
            }))
            .map_err(|error| error.to_string())
        };
        let cursor = "cursor://anysphere.cursor-retrieval/oauth/callback";
        assert!(with("none", cursor).is_ok());
        assert!(with("client_secret_basic", cursor).is_err_and(|error| error.contains("for public clients")));
        assert!(with("client_secret_basic", "com.example.app:/cb").is_ok());
    }

    #[test]
    fn what_a_client_can_do_and_we_cannot_is_left_out() {
        let valid = metadata(serde_json::json!({
            "redirect_uris": ["https://a.example/cb"],
            "grant_types": ["authorization_code", "implicit", "refresh_token"],
            "response_types": ["id_token", "code", "code id_token"],
        }));
        let client = valid.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(client.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
    }

    #[test]
    fn refusals() {
        let with = |name: &str, value: serde_json::Value| {
            let mut body = serde_json::json!({"redirect_uris": ["https://a.example/cb"]});
            body[name] = value;
            metadata(body).map_err(|error| error.code())
        };
        assert_eq!(with("redirect_uris", serde_json::json!([])), Err(ErrorCode::InvalidRedirectUri));
        for uri in ["", "data:x"] {
            assert_eq!(with("redirect_uris", serde_json::json!([uri])), Err(ErrorCode::InvalidRedirectUri));
        }
        for (name, value) in [
            ("token_endpoint_auth_method", serde_json::json!("tls_client_auth")),
            ("grant_types", serde_json::json!(["password"])),
            ("grant_types", serde_json::json!(["refresh_token"])),
            ("grant_types", serde_json::json!([])),
            ("response_types", serde_json::json!(["token"])),
            ("scope", serde_json::json!("\"")),
            ("client_name", serde_json::json!("   ")),
            ("client_name", serde_json::json!("\u{3164}")),
            ("client_uri", serde_json::json!("https://a.example/\0")),
            ("logo_uri", serde_json::json!("https://a.example/\0")),
            ("contacts", serde_json::json!([{"a": ["\0"]}])),
            ("jwks", serde_json::json!({"keys": [{"kid": "\0"}]})),
            ("a\0b", serde_json::json!(1)),
            ("x", serde_json::json!({"\0": 1})),
            ("id_token_signed_response_alg", serde_json::json!("none")),
            ("userinfo_signed_response_alg", serde_json::json!(["RS256"])),
        ] {
            assert_eq!(with(name, value), Err(ErrorCode::InvalidClientMetadata), "{name}");
        }
    }
}
