//! The API of the scripted provider, like the Graph API, and its metadata.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::web::{Bytes, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use causeway_jose::hmac_sha256;
use serde_json::{Value, json};

use super::{Kind, ProviderCall, ScriptedProvider, Shared, State, lock};
use crate::upstream::{Fault, apply};

pub(super) async fn me(req: HttpRequest, state: Shared) -> HttpResponse {
    if let Some(response) = fault(&state).await {
        return response;
    }
    match lock(&state).called(&req) {
        Ok((_, user, _)) => HttpResponse::Ok().json(json!({"id": user, "name": "Scripted User"})),
        Err(error) => graph_error(error),
    }
}

/// The accounts that the user manages, page by page. The address of the next page holds the token, as at the Graph API.
pub(super) async fn accounts(
    req: HttpRequest,
    state: Shared,
    query: Query<BTreeMap<String, String>>,
) -> HttpResponse {
    let after: usize = query.get("after").and_then(|after| after.parse().ok()).unwrap_or_default();
    let faults = {
        let state = lock(&state);
        let number = after / state.script.page_size.max(1) + 1;
        let of_page = state.script.page.clone().filter(|(page, _)| *page == number).map(|(_, fault)| fault);
        [Some(state.script.api.clone()), of_page]
    };
    for fault in faults.into_iter().flatten() {
        if let Some(response) = apply(fault).await {
            return response;
        }
    }
    let mut state = lock(&state);
    let (grant, token) = match state.called(&req) {
        Ok((grant, _, token)) => (grant, token),
        Err(error) => return graph_error(error),
    };
    let (pages, size) = (state.script.pages.clone(), state.script.page_size);
    let mut data = Vec::new();
    for page in pages.iter().skip(after).take(size) {
        let token = state.issue("page-token-", grant, Kind::Page(page.id.clone()));
        let mut item = json!({"id": page.id, "name": format!("The {}", page.id), "category": "Test", "access_token": token});
        if let Some(tasks) = &page.tasks {
            item["tasks"] = tasks.clone();
        }
        data.push(item);
    }
    let end = after + size;
    let mut answer = json!({"data": data});
    if end < pages.len() {
        let origin = &state.origin;
        answer["paging"] =
            json!({"next": format!("{origin}/me/accounts?access_token={token}&limit={size}&after={end}")});
    }
    HttpResponse::Ok().json(answer)
}

/// An ordinary call: says who called what.
pub(super) async fn call(req: HttpRequest, state: Shared, path: Path<String>, body: Bytes) -> HttpResponse {
    if let Some(response) = fault(&state).await {
        return response;
    }
    let mut state = lock(&state);
    let by = match state.called(&req) {
        Ok((_, by, _)) => by,
        Err(error) => return graph_error(error),
    };
    if let Some(call) = state.calls.last_mut() {
        call.body = body.to_vec();
    }
    let Some(answer) = &state.script.answer else {
        return HttpResponse::Ok().json(json!({"ok": true, "path": *path, "by": by}));
    };
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or_default());
    for (name, value) in &answer.headers {
        response.append_header((*name, value.replace("{origin}", &state.origin)));
    }
    response.body(answer.body.clone() + &" ".repeat(answer.filler))
}

/// Metadata of an authorization server (RFC 8414), which is an OpenID Connect provider, too.
pub(super) async fn metadata(state: Shared, document: Path<String>) -> HttpResponse {
    let fault = lock(&state).fault(|script| &script.metadata);
    if let Some(response) = apply(fault).await {
        return response;
    }
    let state = lock(&state);
    if !["oauth-authorization-server", "openid-configuration"].contains(&document.as_str()) {
        return HttpResponse::NotFound().body("<h1>Not found</h1>");
    }
    let at = |path: &str| format!("{}{path}", state.origin);
    HttpResponse::Ok().json(json!({
        "issuer": state.issuer(),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "revocation_endpoint": at("/revoke"),
        "jwks_uri": at("/keys"),
        "scopes_supported": ["openid", "offline_access"],
        "code_challenge_methods_supported": ["S256"],
    }))
}

/// The key of ID tokens.
pub(super) async fn keys(state: Shared) -> HttpResponse {
    HttpResponse::Ok().json(json!({"keys": [lock(&state).key.public_jwk()]}))
}

/// Status, code and subcode of a refused call.
type GraphError = (u16, i64, Option<i64>);

async fn fault(state: &Shared) -> Option<HttpResponse> {
    let fault: Fault = lock(state).fault(|script| &script.api);
    apply(fault).await
}

impl State {
    /// Checks the token of a call: its grant, whose it is, and the token itself.
    fn called(&mut self, req: &HttpRequest) -> Result<(usize, String, String), GraphError> {
        if let Some(error) = self.script.graph_error {
            return Err(error);
        }
        let header = req.headers().get("authorization").and_then(|value| value.to_str().ok());
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(req.query_string().as_bytes()).into_owned().collect();
        let token = header.and_then(|header| header.strip_prefix("Bearer ")).map(str::to_owned);
        let token = token.or_else(|| query.get("access_token").cloned()).unwrap_or_default();
        let Some((found, grant)) = self.find(&token).filter(|(found, _)| found.kind != Kind::Refresh) else {
            return Err((401, 190, None));
        };
        if self.script.wants_proof && query.get("appsecret_proof") != proof(&token).as_ref() {
            return Err((400, 100, None));
        }
        let by = match &found.kind {
            Kind::Page(id) | Kind::App(id) => id.clone(),
            Kind::Short | Kind::Access | Kind::Refresh => grant.user.clone(),
        };
        let number = found.grant;
        let target = req.uri().to_string();
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = req.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let method = req.method().to_string();
        self.calls.push(ProviderCall { target, by: by.clone(), method, headers, body: Vec::new() });
        Ok((number, by, token))
    }
}

/// The proof that the Graph API wants with a token.
fn proof(token: &str) -> Option<String> {
    let mac = hmac_sha256(ScriptedProvider::CLIENT_SECRET.as_bytes(), token.as_bytes()).ok()?;
    Some(mac.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn graph_error((status, code, subcode): GraphError) -> HttpResponse {
    let mut error = json!({"message": "as the script says", "type": "OAuthException", "code": code});
    if let Some(subcode) = subcode {
        error["error_subcode"] = Value::from(subcode);
    }
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or_default()).json(json!({ "error": error }))
}
