//! Client metadata at registration (RFC 7591 section 2).

use causeway_types::secret::ClientSecret;
use causeway_types::{
    ClientId, GrantType, PlainToken, RedirectUri, Rng, Scope, TenantId, Timestamp, TokenEndpointAuthMethod,
    TokenHash,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::entitlement::Entitlements;
use super::members::KnownMembers;
use super::origin::ClientOrigin;
use super::registered::Client;

/// The maximum number of `redirect_uris`.
pub(super) const MAX_REDIRECT_URIS: usize = 32;

/// A registration request's body (RFC 7591 section 2): the members that we know, and the rest. Any member
/// that is null (RFC 7592 section 2.2) or an empty string counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "a JSON object")]
pub struct ClientMetadata {
    /// Addresses that authorization responses may go to.
    #[serde(default, deserialize_with = "read_list")]
    #[schemars(with = "Vec<Url>", length(max = MAX_REDIRECT_URIS))]
    pub redirect_uris: Vec<String>,
    /// The method by which the client authenticates [default: client_secret_basic].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TokenEndpointAuthMethod>")]
    pub token_endpoint_auth_method: Option<String>,
    /// Grant types that the client uses, from grant_types_supported of the server's metadata; others are left out
    /// [default: authorization_code].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// Response types that the client uses, code among them [default: code].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    /// The name that users see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The client's home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Url>")]
    pub client_uri: Option<String>,
    /// The maximum scope that the client may request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Everything else, stored and returned.
    #[serde(flatten)]
    #[schemars(with = "KnownMembers")]
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
