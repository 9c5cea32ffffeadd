//! A registered client.

use causeway_types::scope::{OwnScope, ScopeValue};
use causeway_types::secret::{ClientSecret, Registration};
use causeway_types::{
    ClientId, ClientType, GrantType, RedirectUri, Scope, SigningAlg, TenantId, Timestamp,
    TokenEndpointAuthMethod, TokenHash,
};
use serde_json::Value;

use super::entitlement::{Entitlement, Entitlements};
use super::origin::ClientOrigin;
use super::pkce_policy::PkcePolicy;

/// The members with the algorithms that sign what a client receives.
pub(super) const ID_TOKEN_ALG: &str = "id_token_signed_response_alg";
pub(super) const USERINFO_ALG: &str = "userinfo_signed_response_alg";
pub(super) const INTROSPECTION_ALG: &str = "introspection_signed_response_alg";

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
        self.signing_alg(ID_TOKEN_ALG).unwrap_or(SigningAlg::Rs256)
    }

    /// The algorithm that signs its userinfo responses; `None`: they are plain JSON.
    pub fn userinfo_signed_response_alg(&self) -> Option<SigningAlg> {
        self.signing_alg(USERINFO_ALG)
    }

    /// The algorithm that signs the JWT responses of the introspection endpoint (RFC 9701 section 6).
    pub fn introspection_signed_response_alg(&self) -> Option<SigningAlg> {
        self.signing_alg(INTROSPECTION_ALG)
    }

    /// Whether it registered this demand on its own requests: `require_signed_request_object` (RFC 9101
    /// section 10.5) or `require_pushed_authorization_requests` (RFC 9126 section 6).
    pub fn wants(&self, member: &str) -> bool {
        self.metadata.get(member).and_then(Value::as_bool).unwrap_or_default()
    }

    fn signing_alg(&self, member: &str) -> Option<SigningAlg> {
        self.metadata.get(member).and_then(Value::as_str).and_then(SigningAlg::parse)
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
