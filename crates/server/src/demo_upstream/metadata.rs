//! Metadata (RFC 8414) and registration of clients (RFC 7591).

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use serde::Deserialize;
use serde_json::json;

use super::{Demo, oauth_error};

pub(super) async fn document(demo: Data<Demo>) -> HttpResponse {
    let origin = &demo.origin;
    HttpResponse::Ok().json(json!({
        "issuer": origin,
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "revocation_endpoint": format!("{origin}/revoke"),
        "registration_endpoint": format!("{origin}/register"),
        "scopes_supported": ["profile", "posts"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

#[derive(Deserialize)]
pub(super) struct ClientMetadata {
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
}

pub(super) async fn register(demo: Data<Demo>, metadata: Json<ClientMetadata>) -> HttpResponse {
    let ClientMetadata { client_name, redirect_uris } = metadata.into_inner();
    if redirect_uris.is_empty() {
        return oauth_error("invalid_redirect_uri", "name at least one redirect URI");
    }
    let name = client_name.unwrap_or_else(|| "An app".to_owned());
    let client = demo.grants().register(name, redirect_uris);
    HttpResponse::Created().json(json!({
        "client_id": client.client_id,
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": "none",
    }))
}
