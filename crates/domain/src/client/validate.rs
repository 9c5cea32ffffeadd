//! Validation of client metadata (RFC 7591 section 2).

use causeway_types::redirect_uri::RedirectUriError;
use causeway_types::{GrantType, RedirectUri, Scope, TokenEndpointAuthMethod};
use serde_json::Value;

use super::keys::take_keys;
use super::left_out::keep_web_pages;
use super::members::{
    ID_TOKEN_SIGNED_RESPONSE_ALG, INTROSPECTION_SIGNED_RESPONSE_ALG, USERINFO_SIGNED_RESPONSE_ALG,
};
use super::metadata::{ClientMetadata, MAX_REDIRECT_URIS, ValidClientMetadata};
use super::metadata_error::ClientMetadataError;
use super::operator_members::is_reserved;
use super::{access_format, demands, display_name, logout};

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
        for member in
            [ID_TOKEN_SIGNED_RESPONSE_ALG, USERINFO_SIGNED_RESPONSE_ALG, INTROSPECTION_SIGNED_RESPONSE_ALG]
        {
            if !member.is_valid(&metadata) {
                return Err(E::SigningAlg(member.name()));
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

#[cfg(test)]
mod tests {
    use causeway_types::{ClientId, ErrorCode, TenantId, Timestamp};

    use super::*;
    use crate::client::ClientTerms;

    fn metadata(json: serde_json::Value) -> Result<ValidClientMetadata, ClientMetadataError> {
        serde_json::from_value::<ClientMetadata>(json).unwrap_or_default().validate()
    }

    #[test]
    fn defaults_of_rfc_7591() {
        let valid = metadata(
            serde_json::json!({"redirect_uris": ["https://a.example/cb"], "software_id": "x", "client_id": "y", "client_secret": "z", "allow_background_access": true, "allow_session_export": true, "allowed_resources": ["urn:a:b"], "providers": ["google"], "mcp_tools": {"linear": []}, "manage_tenants": true, "import_connections": true, "allow_unconfirmed": true, "access_token_expiration": 1, "refresh_token_expiration": 0}),
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
    fn as_many_redirect_uris_as_are_allowed() {
        let with = |count: usize| {
            let uris: Vec<_> = (0..count).map(|n| format!("https://a.example/{n}")).collect();
            metadata(serde_json::json!({ "redirect_uris": uris })).map(|valid| valid.redirect_uris.len())
        };
        assert_eq!(with(MAX_REDIRECT_URIS), Ok(MAX_REDIRECT_URIS));
        let too_many = ClientMetadataError::TooMany("redirect_uris", MAX_REDIRECT_URIS);
        assert_eq!(with(MAX_REDIRECT_URIS + 1), Err(too_many));
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
            "grant_types": ["authorization_code", "implicit", "refresh_token", "authorization_code"],
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
