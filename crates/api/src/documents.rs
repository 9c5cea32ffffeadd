//! Documents about the server that never change while it runs: its metadata, the OpenAPI document, and what
//! authorization servers read about it as a client.

use actix_web::web::Bytes;
use causeway_flow::Ctx;
use causeway_flow::client::registration::RegistrationPolicy;
use causeway_flow::mcp::endpoint::EndpointInfo;
use causeway_flow::resource::dpop;
use causeway_types::{GrantType, Prompt, ResponseMode, SigningAlg, TokenEndpointAuthMethod};
use serde_json::{Value, json};

use crate::openapi;
use crate::pages::Lang;

/// The documents, as the bytes of their bodies.
#[derive(Debug)]
pub(crate) struct Documents {
    pub(crate) server_metadata: Bytes,
    pub(crate) resource_metadata: Bytes,
    pub(crate) openapi: Bytes,
    pub(crate) client_metadata: Option<Bytes>,
    pub(crate) client_jwks: Option<Bytes>,
}

impl Documents {
    /// Composes them.
    pub(crate) fn new(ctx: &Ctx) -> Self {
        let profile = ctx.profile();
        let bytes = |value: &Value| Bytes::from(value.to_string());
        Self {
            server_metadata: bytes(&server_metadata(ctx)),
            resource_metadata: bytes(&resource_metadata(ctx)),
            openapi: bytes(&openapi::document(ctx.issuer())),
            client_metadata: profile.metadata().map(bytes),
            client_jwks: profile.metadata().map(|_| bytes(&profile.jwks())),
        }
    }
}

/// The metadata document: it lists everything that is served, and nothing else.
fn server_metadata(ctx: &Ctx) -> Value {
    let issuer = ctx.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    let auth_methods = TokenEndpointAuthMethod::NAMES;
    let confidential: Vec<_> = auth_methods.iter().filter(|method| **method != "none").collect();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "jwks_uri": at("/oauth/jwks"),
        "device_authorization_endpoint": at("/oauth/device_authorization"),
        "pushed_authorization_request_endpoint": at("/oauth/par"),
        "revocation_endpoint": at("/oauth/revoke"),
        "introspection_endpoint": at("/oauth/introspect"),
        "userinfo_endpoint": at("/oauth/userinfo"),
        "end_session_endpoint": at("/oauth/logout"),
        "scopes_supported": ctx.scopes().supported().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "response_types_supported": ["code"],
        "response_modes_supported": ResponseMode::NAMES,
        "grant_types_supported": GrantType::NAMES,
        "token_endpoint_auth_methods_supported": auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": auth_methods,
        "revocation_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "introspection_signing_alg_values_supported": SigningAlg::NAMES,
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "require_pushed_authorization_requests": false,
        "prompt_values_supported": Prompt::NAMES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": SigningAlg::NAMES,
        "userinfo_signing_alg_values_supported": SigningAlg::NAMES,
        "claim_types_supported": ["normal"],
        "claims_supported": claims(ctx),
        "ui_locales_supported": Lang::ALL.map(Lang::tag),
        "claims_parameter_supported": true,
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": dpop::ALGORITHMS,
        "require_signed_request_object": false,
        "request_uri_parameter_supported": false,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "client_id_metadata_document_supported": ctx.accepts_client_documents(),
    });
    if *ctx.registration() != RegistrationPolicy::Off {
        document["registration_endpoint"] = at("/oauth/register").into();
    }
    document
}

/// The protected resource metadata (RFC 9728 section 2): the way from a 401 to a token.
fn resource_metadata(ctx: &Ctx) -> Value {
    let issuer = ctx.issuer();
    json!({
        "resource": issuer,
        "authorization_servers": [issuer],
        "scopes_supported": ctx.scopes().of_resource().map(ToString::to_string).collect::<Vec<_>>(),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
        "dpop_bound_access_tokens_required": false,
        "resource_name": "Causeway",
    })
}

/// The protected resource metadata of an MCP endpoint, by which clients find this server.
pub(crate) fn mcp_metadata(ctx: &Ctx, info: &EndpointInfo) -> Value {
    json!({
        "resource": info.resource,
        "authorization_servers": [ctx.issuer()],
        "scopes_supported": [MCP_SCOPE],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
        "dpop_bound_access_tokens_required": false,
        "resource_name": info.title,
    })
}

/// The scope of tokens for MCP endpoints: the user signs in, and no more. What the client may do at the server behind is
/// between the user and that server.
pub(crate) const MCP_SCOPE: &str = "atproto";

/// The claims that an `id_token` or the userinfo endpoint may contain.
const CLAIMS: [&str; 12] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "sid",
    "preferred_username",
    "name",
];

/// The same, and the email address where the maximum scope allows it.
fn claims(ctx: &Ctx) -> Vec<&'static str> {
    let email = ctx.scopes().supported().contains("email").then_some(["email", "email_verified"]);
    CLAIMS.into_iter().chain(email.into_iter().flatten()).collect()
}
