//! The endpoints of the authorization server.

use std::collections::BTreeMap;

use actix_web::http::header::LOCATION;
use actix_web::web::{Bytes, Query};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_types::CodeVerifier;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Shared, State, lock};
use crate::upstream::{Fault, apply, hang_up, random};

type Parameters = BTreeMap<String, String>;

/// Approves at once, unless it denies.
pub(super) async fn authorize(req: HttpRequest, state: Shared, query: Query<Parameters>) -> HttpResponse {
    let mut state = lock(&state);
    let request = query.into_inner();
    state.see("authorize", &req, request.clone());
    let mut answer = vec![("state", request.get("state").cloned().unwrap_or_default())];
    state.secrets.extend(request.get("state").cloned());
    let requested = words(request.get("scope"));
    if state.script.denies {
        answer.push(("error", "access_denied".to_owned()));
    } else if requested.iter().any(|scope| state.script.refused_scopes.contains(scope)) {
        answer.push(("error", "invalid_scope".to_owned()));
    } else {
        let code = random("code-");
        state.secrets.push(code.clone());
        answer.push(("code", code.clone()));
        state.codes.insert(code, request.clone());
    }
    let script = &state.script;
    match &script.iss {
        Some(iss) => answer.push(("iss", iss.clone())),
        None if script.names_issuer && !script.omits_issuer => answer.push(("iss", state.issuer())),
        None => {}
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let location = format!("{}?{query}", request.get("redirect_uri").map_or("", String::as_str));
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

pub(super) async fn register(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let fault = {
        let mut state = lock(&state);
        let metadata: Value = serde_json::from_slice(&body).unwrap_or_default();
        let members = metadata.as_object().into_iter().flatten();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let parameters = members.map(|(name, value)| (name.clone(), text(value))).collect();
        state.see("register", &req, parameters);
        state.script.registration.clone()
    };
    if let Some(response) = apply(fault).await {
        return response;
    }
    let mut state = lock(&state);
    if !state.script.registers {
        return HttpResponse::NotFound().finish();
    }
    let (id, secret) = (random("client-"), state.script.has_secrets.then(|| random("client-secret-")));
    state.secrets.extend(secret.clone());
    state.clients.insert(id.clone(), secret.clone());
    let method = if secret.is_some() { "client_secret_basic" } else { "none" };
    let mut answer = json!({"client_id": id, "token_endpoint_auth_method": method});
    if let Some(secret) = secret {
        answer["client_secret"] = secret.into();
    }
    HttpResponse::Created().json(answer)
}

pub(super) async fn token(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let parameters: Parameters = form_urlencoded::parse(&body).into_owned().collect();
    let fault = {
        let mut state = lock(&state);
        state.see("token", &req, parameters.clone());
        state.script.token.clone()
    };
    let hangs_up = fault == Fault::HangUp;
    if !hangs_up && let Some(response) = apply(fault).await {
        return response;
    }
    let answer = lock(&state).issue(&req, &parameters);
    if hangs_up {
        return hang_up();
    }
    match answer {
        Ok(body) => HttpResponse::Ok().json(body),
        Err("invalid_client") => HttpResponse::Unauthorized().json(json!({"error": "invalid_client"})),
        Err(error) => HttpResponse::BadRequest().json(json!({"error": error})),
    }
}

pub(super) async fn revoke(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let parameters: Parameters = form_urlencoded::parse(&body).into_owned().collect();
    let mut state = lock(&state);
    let token = parameters.get("token").cloned().unwrap_or_default();
    state.see("revoke", &req, parameters);
    state.access.remove(&token);
    state.refresh.remove(&token);
    HttpResponse::Ok().finish()
}

impl State {
    fn issue(&mut self, req: &HttpRequest, parameters: &Parameters) -> Result<Value, &'static str> {
        self.authenticate(req, parameters)?;
        self.secrets.extend(parameters.get("code_verifier").cloned());
        let scopes = match parameters.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                let code = parameters.get("code").ok_or("invalid_request")?;
                let asked = self.codes.remove(code).ok_or("invalid_grant")?;
                let same = |name: &str| asked.get(name) == parameters.get(name);
                let verifier =
                    parameters.get("code_verifier").and_then(|text| CodeVerifier::parse(text).ok());
                let is_proven = verifier.is_some_and(|verifier| {
                    asked.get("code_challenge").is_some_and(|own| own == verifier.challenge().as_str())
                });
                if !(is_proven && same("redirect_uri") && same("resource")) {
                    return Err("invalid_grant");
                }
                words(asked.get("scope"))
            }
            Some("refresh_token") => {
                let token = parameters.get("refresh_token").ok_or("invalid_request")?;
                if self.script.is_one_time {
                    if self.spent.contains(token) {
                        self.refresh.clear();
                        return Err("invalid_grant");
                    }
                    self.spent.insert(token.clone());
                    self.refresh.remove(token).ok_or("invalid_grant")?
                } else {
                    self.refresh.get(token).cloned().ok_or("invalid_grant")?
                }
            }
            _ => return Err("unsupported_grant_type"),
        };
        let access = random("access-");
        self.access.insert(access.clone(), scopes.clone());
        self.secrets.push(access.clone());
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": self.script.expires_in,
            "scope": scopes.join(" "),
        });
        if self.script.refreshes {
            let refresh = match parameters.get("refresh_token").filter(|_| !self.script.is_one_time) {
                Some(same) => same.clone(),
                None => random("refresh-"),
            };
            self.refresh.insert(refresh.clone(), scopes);
            self.secrets.push(refresh.clone());
            answer["refresh_token"] = refresh.into();
        }
        Ok(answer)
    }

    fn authenticate(&self, req: &HttpRequest, parameters: &Parameters) -> Result<(), &'static str> {
        let (id, secret) = match basic(req) {
            Some((id, secret)) => (id, Some(secret)),
            None => (parameters.get("client_id").cloned().unwrap_or_default(), None),
        };
        let takes_document = self.script.takes_documents && id.starts_with("https://");
        let is_known = self.clients.get(&id).is_some_and(|own| *own == secret);
        if is_known || takes_document { Ok(()) } else { Err("invalid_client") }
    }
}

fn words(text: Option<&String>) -> Vec<String> {
    text.map_or("", String::as_str).split_whitespace().map(str::to_owned).collect()
}

/// The credentials of HTTP Basic, which are form-encoded (RFC 6749 section 2.3.1).
fn basic(req: &HttpRequest) -> Option<(String, String)> {
    let header = req.headers().get("authorization")?.to_str().ok()?;
    let pair = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let plain = |text: &str| {
        let name = form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned());
        name.unwrap_or_default()
    };
    Some((plain(id), plain(secret)))
}
