//! The metadata of the scripted MCP server (RFC 9728) and of its authorization server (RFC 8414).

use std::collections::BTreeMap;

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::{MetadataPlace, Shared, lock};
use crate::upstream::apply;

pub(super) async fn resource(req: HttpRequest, state: Shared, tail: Path<String>) -> HttpResponse {
    let fault = {
        let mut state = lock(&state);
        state.see("resource", &req, BTreeMap::new());
        state.script.resource.clone()
    };
    if let Some(response) = apply(fault).await {
        return response;
    }
    let state = lock(&state);
    let expected = match state.script.place {
        MetadataPlace::Path => "/mcp",
        MetadataPlace::Root => "",
        MetadataPlace::Nowhere => return HttpResponse::NotFound().finish(),
    };
    if *tail != expected {
        return HttpResponse::NotFound().finish();
    }
    let own = format!("{}/mcp", state.origin);
    HttpResponse::Ok().json(json!({
        "resource": state.script.resource_name.clone().unwrap_or(own),
        "authorization_servers": [state.issuer()],
        "scopes_supported": state.script.resource_scopes,
    }))
}

/// At the address with the path behind the well-known name.
pub(super) async fn server(req: HttpRequest, state: Shared, tail: Path<String>) -> HttpResponse {
    answer(&req, &state, &tail).await
}

/// At the address with the path before it.
pub(super) async fn behind(req: HttpRequest, state: Shared, issuer: Path<String>) -> HttpResponse {
    answer(&req, &state, &format!("/{issuer}")).await
}

async fn answer(req: &HttpRequest, state: &Shared, issuer: &str) -> HttpResponse {
    let fault = {
        let mut state = lock(state);
        state.see("server", req, BTreeMap::new());
        state.script.server.clone()
    };
    if let Some(response) = apply(fault).await {
        return response;
    }
    let state = lock(state);
    let script = &state.script;
    if issuer != script.issuer || !script.has_server_metadata {
        return HttpResponse::NotFound().finish();
    }
    let own = state.issuer();
    let mut metadata = json!({
        "issuer": script.issuer_name.as_ref().unwrap_or(&own),
        "authorization_endpoint":
            script.authorization_endpoint.clone().unwrap_or_else(|| format!("{own}/authorize")),
        "token_endpoint": format!("{own}/token"),
        "revocation_endpoint": format!("{own}/revoke"),
        "scopes_supported": script.server_scopes,
        "response_types_supported": ["code"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
        "authorization_response_iss_parameter_supported": script.names_issuer,
        "client_id_metadata_document_supported": script.takes_documents,
    });
    if script.registers {
        metadata["registration_endpoint"] = format!("{own}/register").into();
    }
    if script.has_pkce {
        metadata["code_challenge_methods_supported"] = json!(["S256"]);
    }
    HttpResponse::Ok().json(metadata)
}
