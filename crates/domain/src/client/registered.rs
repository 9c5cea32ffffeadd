//! A registered client.

use causeway_types::scope::{OwnScope, ScopeValue};
use causeway_types::secret::{ClientSecret, Registration};
use causeway_types::{
    ClientId, ClientType, GrantType, RedirectUri, Scope, SigningAlg, TenantId, Timestamp,
    TokenEndpointAuthMethod, TokenHash,
};
use serde_json::Value;

use super::entitlement::{Entitlement, Entitlements};
use super::members::{
    ID_TOKEN_SIGNED_RESPONSE_ALG, INTROSPECTION_SIGNED_RESPONSE_ALG, Member, USERINFO_SIGNED_RESPONSE_ALG,
};
use super::origin::ClientOrigin;
use super::pkce_policy::PkcePolicy;

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
    /// The name that users see on the consent page.
    pub client_name: String,
    /// The addresses that its authorization responses may go to.
    pub redirect_uris: Vec<RedirectUri>,
    /// The grant types that it may use.
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
    pub jwks: Option<Value>,
    /// Its operator-granted entitlements.
    pub entitlements: Entitlements,
    /// The rest of its metadata: `client_uri`, `logo_uri`, `contacts`, …
    pub metadata: serde_json::Map<String, Value>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Client {
    /// Lifetime of an access token in seconds unless the operator sets another.
    pub const DEFAULT_ACCESS_TOKEN_EXPIRATION: i64 = 86_400;
    /// Lifetime of a refresh token in seconds unless the operator sets another.
    pub const DEFAULT_REFRESH_TOKEN_EXPIRATION: i64 = 1_209_600;
    /// The longest life of an access token, in seconds: a year.
    pub const MAX_ACCESS_TOKEN_EXPIRATION: i64 = 31_536_000;
    /// The longest life of a refresh token that has an end, in seconds: ten years.
    pub const MAX_REFRESH_TOKEN_EXPIRATION: i64 = 315_360_000;

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

    /// The algorithm that signs its `id_token`s (OpenID Connect Dynamic Client Registration section 2).
    pub fn id_token_signed_response_alg(&self) -> SigningAlg {
        ID_TOKEN_SIGNED_RESPONSE_ALG.get(&self.metadata).unwrap_or(SigningAlg::Rs256)
    }

    /// The algorithm that signs its userinfo responses; `None`: they are plain JSON.
    pub fn userinfo_signed_response_alg(&self) -> Option<SigningAlg> {
        USERINFO_SIGNED_RESPONSE_ALG.get(&self.metadata)
    }

    /// The algorithm that signs the JWT responses of the introspection endpoint (RFC 9701 section 6).
    pub fn introspection_signed_response_alg(&self) -> Option<SigningAlg> {
        INTROSPECTION_SIGNED_RESPONSE_ALG.get(&self.metadata)
    }

    /// Whether it registered this demand on its own requests: `require_signed_request_object` (RFC 9101
    /// section 10.5) or `require_pushed_authorization_requests` (RFC 9126 section 6).
    pub fn wants(&self, member: Member<bool>) -> bool {
        member.get(&self.metadata).unwrap_or_default()
    }

    /// Whether it may ask for the scope `background_access`: the operator allows it, and the client did not
    /// register a scope without it.
    pub fn allows_background_access(&self) -> bool {
        let value = ScopeValue::Own(OwnScope::BackgroundAccess);
        self.has_entitlement(Entitlement::BackgroundAccess)
            && self.scope.as_ref().is_none_or(|own| own.has(&value))
    }

    /// Whether it may export the tokens that its sessions hold at PDSes, and obtain proofs by their keys.
    pub fn allows_session_export(&self) -> bool {
        self.has_entitlement(Entitlement::SessionExport) && self.client_type() == ClientType::Confidential
    }

    /// Whether the operator has granted it this entitlement.
    pub fn has_entitlement(&self, entitlement: Entitlement) -> bool {
        self.entitlements.has(entitlement)
    }

    /// Whether it registered this grant type.
    pub fn allows(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Whether it may do without PKCE. A public client may not, whatever is written down.
    pub fn pkce_policy(&self) -> PkcePolicy {
        match self.client_type() {
            ClientType::Confidential => self.entitlements.pkce,
            ClientType::Public => PkcePolicy::Required,
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::SystemRng;
    use serde_json::json;

    use super::*;
    use crate::client::ClientMetadata;
    use crate::client::members::{REQUIRE_PUSHED_AUTHORIZATION_REQUESTS, REQUIRE_SIGNED_REQUEST_OBJECT};

    fn client(more: &Value) -> Client {
        let mut metadata = json!({ "redirect_uris": ["https://a.example/cb", "http://127.0.0.1/cb"] });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        metadata.validate().unwrap().into_client(
            ClientId::new("c"),
            TenantId::default_tenant(),
            None,
            Timestamp(0),
        )
    }

    /// A secret for each method that uses one.
    #[test]
    fn secrets_of_clients_that_use_them() {
        for (method, has_secret) in [
            ("none", false),
            ("client_secret_basic", true),
            ("client_secret_post", true),
            ("private_key_jwt", false),
        ] {
            let metadata: ClientMetadata = serde_json::from_value(json!({
                "redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": method,
                "post_logout_redirect_uris": ["https://a.example/bye"], "jwks": { "keys": [{}] },
            }))
            .unwrap();
            let valid = metadata.validate().unwrap();
            assert_eq!(valid.new_secret(&SystemRng).is_some(), has_secret, "{method}");
            assert_eq!(valid.post_logout_redirect_uris().collect::<Vec<_>>(), ["https://a.example/bye"]);
        }
    }

    #[test]
    fn what_a_client_registered() {
        let plain = client(&json!({}));
        assert_eq!(plain.id_token_signed_response_alg(), SigningAlg::Rs256);
        assert_eq!(
            (plain.userinfo_signed_response_alg(), plain.introspection_signed_response_alg()),
            (None, None)
        );
        assert_eq!((plain.default_max_age(), plain.token_endpoint_auth_signing_alg()), (None, None));
        assert_eq!(plain.backchannel_logout_uri(), None);
        assert!(!plain.wants(REQUIRE_SIGNED_REQUEST_OBJECT));
        assert!(plain.allows(GrantType::AuthorizationCode) && !plain.allows(GrantType::RefreshToken));
        let uri = |presented| plain.find_redirect_uri(presented).map(RedirectUri::as_str);
        assert_eq!(uri("http://127.0.0.1:4000/cb"), Some("http://127.0.0.1/cb"));
        assert_eq!(uri("https://a.example/other"), None);

        let full = client(&json!({
            "id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "RS256",
            "introspection_signed_response_alg": "ES256", "default_max_age": 60, "token_endpoint_auth_signing_alg": "ES256",
            "require_signed_request_object": true, "grant_types": ["refresh_token", "client_credentials"],
            "backchannel_logout_uri": "https://a.example/out", "post_logout_redirect_uris": ["http://127.0.0.1/bye"],
        }));
        assert_eq!(full.id_token_signed_response_alg(), SigningAlg::Es256);
        assert_eq!(full.userinfo_signed_response_alg(), Some(SigningAlg::Rs256));
        assert_eq!(full.introspection_signed_response_alg(), Some(SigningAlg::Es256));
        assert_eq!(
            (full.default_max_age(), full.token_endpoint_auth_signing_alg()),
            (Some(60), Some("ES256"))
        );
        assert_eq!(full.backchannel_logout_uri(), Some("https://a.example/out"));
        assert!(full.allows_post_logout_redirect_uri("http://127.0.0.1:4000/bye"));
        assert!(!full.allows_post_logout_redirect_uri("https://a.example/cb"));
        assert!(
            full.wants(REQUIRE_SIGNED_REQUEST_OBJECT) && !full.wants(REQUIRE_PUSHED_AUTHORIZATION_REQUESTS)
        );
        assert!(full.allows(GrantType::RefreshToken) && !full.allows(GrantType::AuthorizationCode));
    }

    /// What the operator grants to clients that authenticate is nothing for others.
    #[test]
    fn public_clients_have_no_confidential_entitlements() {
        for (method, confidential) in [("none", false), ("client_secret_post", true)] {
            let mut client = client(&json!({ "token_endpoint_auth_method": method }));
            assert!(!client.allows_session_export());
            client.entitlements.set(Entitlement::SessionExport, true);
            client.entitlements.pkce = PkcePolicy::Nonce;
            assert_eq!(client.client_type() == ClientType::Confidential, confidential);
            assert_eq!(client.allows_session_export(), confidential);
            assert_eq!(client.pkce_policy() == PkcePolicy::Nonce, confidential);
        }
    }
}
