//! Apps that register themselves at the scripted provider, as at an instance of Mastodon.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::{Kind, Shared, lock};
use crate::upstream::{apply, random};

/// Registers an app.
pub(super) async fn register(state: Shared) -> HttpResponse {
    let fault = {
        let mut state = lock(&state);
        state.registrations += 1;
        state.fault(|script| &script.register)
    };
    if let Some(response) = apply(fault).await {
        return response;
    }
    let mut state = lock(&state);
    let (id, secret) = (random("app-"), random("app-secret-"));
    state.secrets.push(secret.clone());
    state.apps.insert(id.clone(), secret.clone());
    HttpResponse::Ok().json(json!({"client_id": id, "client_secret": secret}))
}

/// Tells an app whether it is known, by a token of its own.
pub(super) async fn verify(req: HttpRequest, state: Shared) -> HttpResponse {
    let mut state = lock(&state);
    state.verifications += 1;
    let header = req.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    let app = state.tokens.get(token).map(|token| token.kind.clone());
    match app {
        Some(Kind::App(id)) if state.apps.contains_key(&id) => {
            HttpResponse::Ok().json(json!({"name": "app"}))
        }
        _ => HttpResponse::Unauthorized().json(json!({"error": "The access token is invalid"})),
    }
}
