//! `GET /.well-known/oauth-authorization-server` (RFC 8414), the same document as
//! `GET /.well-known/openid-configuration` (OpenID Connect Discovery section 4), and `GET /oauth/jwks`.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use causeway_domain::client::{GrantType, TokenEndpointAuthMethod};
use causeway_domain::{Prompt, ResponseMode, SigningAlg};
use causeway_flow::Ctx;
use causeway_flow::client::registration::RegistrationPolicy;
use causeway_flow::operations::issuer_keys;
use causeway_flow::resource::dpop;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::http::headers::fixed;
use crate::pages::Lang;
use crate::state::AppState;

/// The metadata document: it lists everything that is served, and nothing else.
pub(crate) fn server_metadata(ctx: &Ctx) -> Value {
    let issuer = ctx.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    let auth_methods = TokenEndpointAuthMethod::ALL.map(TokenEndpointAuthMethod::as_str);
    let confidential: Vec<_> = auth_methods.into_iter().filter(|method| *method != "none").collect();
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
        "response_modes_supported": ResponseMode::ALL.map(ResponseMode::as_str),
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        "token_endpoint_auth_methods_supported": auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": auth_methods,
        "revocation_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "introspection_signing_alg_values_supported": SigningAlg::ALL.map(SigningAlg::as_str),
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "require_pushed_authorization_requests": false,
        "prompt_values_supported": Prompt::ALL.map(Prompt::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": SigningAlg::ALL.map(SigningAlg::as_str),
        "userinfo_signing_alg_values_supported": SigningAlg::ALL.map(SigningAlg::as_str),
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
pub(crate) fn resource_metadata(ctx: &Ctx) -> Value {
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

/// A document that may be cached for five minutes.
pub(crate) fn cached_json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, fixed("application/json")))
        .insert_header((CACHE_CONTROL, fixed("public, max-age=300")))
        .body(body)
}

pub(crate) async fn document(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.server_metadata.clone())
}

pub(crate) async fn resource_document(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.resource_metadata.clone())
}

pub(crate) async fn openapi(state: Data<AppState>) -> HttpResponse {
    cached_json(state.documents.openapi.clone())
}

/// The keys change when the operator rotates them. They may be cached for as long as other documents: a
/// verifier that sees an unknown `kid` fetches the new key, and an old one stays published for a day.
pub(crate) async fn jwks(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let keys = issuer_keys::ensure(&state.ctx).await?;
    Ok(cached_json(Bytes::from(keys.jwks().to_string())))
}
