//! The authorization, token and revocation endpoints of the scripted provider.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Bytes, Query};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_domain::{Clock as _, SystemClock};
use causeway_jose::sign_jwt;
use causeway_types::CodeVerifier;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::script::{Authentication, ExpiryShape, Rotation, TokenShape};
use super::{Grant, Kind, ScriptedProvider, Shared, State, lock};
use crate::upstream::{Fault, apply, hang_up, random};

type Parameters = BTreeMap<String, String>;

/// Approves at once, for the user of the script, unless it denies.
pub(super) async fn authorize(state: Shared, query: Query<Parameters>) -> HttpResponse {
    let mut state = lock(&state);
    let request = query.into_inner();
    let mut answer: Vec<(&str, String)> = state.script.callback.clone();
    answer.push(("state", request.get("state").cloned().unwrap_or_default()));
    if state.script.deny {
        answer.push(("error", "access_denied".to_owned()));
    } else {
        let code = random("code-");
        state.secrets.push(code.clone());
        answer.push((state.script.code_parameter, code.clone()));
        state.codes.insert(code, request.clone());
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let location = format!("{}?{query}", request.get("redirect_uri").map_or("", String::as_str));
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// The refusal of a request to the token endpoint.
type Refused = (u16, &'static str);

pub(super) async fn token(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let fault = lock(&state).fault(|script| &script.token);
    let hangs_up = fault == Fault::HangUp;
    if !hangs_up && let Some(response) = apply(fault).await {
        return response;
    }
    let (answer, held) = {
        let mut state = lock(&state);
        let parameters = parameters(&req, &body);
        state.requests.push(parameters.clone());
        if let Some((status, body)) = state.script.refuses.clone() {
            return json_response(status, &body);
        }
        let answer = state.authenticate(&req, &parameters).and_then(|()| state.grant(&req, &parameters));
        (answer, state.script.holds_answer)
    };
    if let (Ok(_), Some(pause)) = (&answer, held) {
        tokio::time::sleep(pause).await;
    }
    if hangs_up {
        return hang_up();
    }
    lock(&state).respond(answer)
}

/// Exchanges a short-lived token for one that lives long.
pub(super) async fn exchange(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let mut state = lock(&state);
    let parameters = parameters(&req, &body);
    state.requests.push(parameters.clone());
    let answer = state.authenticate(&req, &parameters).and_then(|()| {
        let token = parameters.get("fb_exchange_token").ok_or((400, "invalid_request"))?;
        let grant = state.find(token).map(|(token, _)| token.grant).ok_or(state.script.dead_grant)?;
        let token = state.issue("long-", grant, Kind::Access);
        Ok(json!({"access_token": token, "token_type": "bearer", "expires_in": 5_184_000}))
    });
    state.respond(answer)
}

pub(super) async fn revoke(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let fault = lock(&state).fault(|script| &script.revoke);
    if let Some(response) = apply(fault).await {
        return response;
    }
    let mut state = lock(&state);
    let parameters = parameters(&req, &body);
    let token =
        parameters.get("token").or_else(|| parameters.get("access_token")).cloned().unwrap_or_default();
    state.revoked.push(token.clone());
    if let Some(grant) = state.tokens.get(&token).map(|token| token.grant) {
        if state.script.revokes_grant {
            let user = state.grants[grant].as_ref().map(|grant| grant.user.clone());
            for own in &mut state.grants {
                own.take_if(|own| Some(&own.user) == user.as_ref());
            }
        } else {
            state.grants[grant] = None;
        }
    }
    HttpResponse::Ok().finish()
}

impl State {
    /// Checks the client's authentication.
    fn authenticate(&self, req: &HttpRequest, parameters: &Parameters) -> Result<(), Refused> {
        let of_parameters =
            || Some((parameters.get("client_id")?.clone(), parameters.get("client_secret")?.clone()));
        let found = match self.script.authentication {
            Authentication::Basic => basic(req),
            Authentication::Post => of_parameters(),
            Authentication::Either => basic(req).or_else(of_parameters),
        };
        // Where the access token itself is renewed, it is all there is.
        if self.script.refreshes_access_token && parameters.contains_key("access_token") {
            return Ok(());
        }
        let (id, secret) = found.ok_or((401, "invalid_client"))?;
        let is_known = self.apps.get(&id) == Some(&secret)
            || id == ScriptedProvider::CLIENT_ID && self.client_secrets.contains(&secret);
        if is_known { Ok(()) } else { Err((401, "invalid_client")) }
    }

    fn grant(&mut self, req: &HttpRequest, parameters: &Parameters) -> Result<Value, Refused> {
        let is_json = req.headers().get("content-type").is_some_and(|value| value == "application/json");
        if self.script.wants_json && !is_json {
            return Err((400, "invalid_request"));
        }
        self.secrets.extend(parameters.values().filter(|value| value.len() > 20).cloned());
        if let Some(code) = parameters.get("code") {
            return self.redeem(code, parameters);
        }
        if let Some(token) = parameters.get("refresh_token") {
            return self.refresh(token);
        }
        if parameters.get("grant_type").is_some_and(|grant| grant == "client_credentials") {
            let app = parameters.get("client_id").cloned().or_else(|| basic(req).map(|(id, _)| id));
            let token = self.issue("app-token-", usize::MAX, Kind::App(app.unwrap_or_default()));
            return Ok(json!({"access_token": token, "token_type": "Bearer"}));
        }
        let token = parameters.get("access_token").filter(|_| self.script.refreshes_access_token);
        let grant = token.and_then(|token| Some(self.find(token)?.0.grant)).ok_or(self.script.dead_grant)?;
        Ok(self.tokens(grant, false))
    }

    fn redeem(&mut self, code: &str, parameters: &Parameters) -> Result<Value, Refused> {
        let request = self.codes.remove(code).ok_or(self.script.dead_grant)?;
        let verifier = parameters.get("code_verifier").and_then(|text| CodeVerifier::parse(text).ok());
        let challenge = verifier.map(|verifier| verifier.challenge().as_str().to_owned());
        if request.get("code_challenge") != challenge.as_ref()
            || request.get("redirect_uri") != parameters.get("redirect_uri")
        {
            return Err(self.script.dead_grant);
        }
        self.grants.push(Some(Grant {
            user: self.script.user.clone(),
            scope: request.get("scope").cloned().unwrap_or_default(),
            nonce: request.get("nonce").cloned(),
        }));
        Ok(self.tokens(self.grants.len() - 1, true))
    }

    fn refresh(&mut self, refresh_token: &str) -> Result<Value, Refused> {
        let dead = self.script.dead_grant;
        let Some(token) = self.tokens.get_mut(refresh_token).filter(|token| token.kind == Kind::Refresh)
        else {
            return Err(dead);
        };
        let grant = token.grant;
        if token.is_spent {
            // Reuse counts as theft (RFC 9700 section 4.14.2).
            self.grants[grant] = None;
        }
        token.is_spent = self.script.rotation == Rotation::SingleUse;
        if self.grants[grant].is_none() {
            return Err(dead);
        }
        let mut answer = self.tokens(grant, false);
        let members = answer.as_object_mut();
        if let (Some(members), Rotation::Reusable) = (members, self.script.rotation) {
            members.remove("refresh_token");
        }
        Ok(answer)
    }

    /// The response with new tokens of a grant.
    fn tokens(&mut self, grant: usize, is_code: bool) -> Value {
        let script = self.script.clone();
        let granted = self.grants[grant].clone();
        let (scope, nonce, user) =
            granted.map_or_else(Default::default, |granted| (granted.scope, granted.nonce, granted.user));
        let kind = if script.short_lived && is_code { Kind::Short } else { Kind::Access };
        let mut own = Map::new();
        own.insert("access_token".to_owned(), json!(self.issue("access-", grant, kind)));
        if !script.refreshes_access_token && !script.short_lived {
            own.insert("refresh_token".to_owned(), json!(self.issue("refresh-", grant, Kind::Refresh)));
        }
        own.insert("scope".to_owned(), json!(scope));
        let now = SystemClock.now().as_secs();
        let (name, end) = match script.expiry {
            ExpiryShape::Seconds => ("expires_in", json!(script.expires_in)),
            ExpiryShape::Text => ("expires_in", json!(script.expires_in.to_string())),
            ExpiryShape::Milliseconds => ("expires_in", json!(script.expires_in * 1000)),
            ExpiryShape::Unix => ("expires_at", json!(now + script.expires_in)),
            ExpiryShape::Missing => ("unused", Value::Null),
            ExpiryShape::Value(value) => ("expires_in", value),
        };
        own.insert(name.to_owned(), end);
        own.remove("unused");
        if scope.split(' ').any(|scope| scope == "openid") {
            own.insert(
                "id_token".to_owned(),
                json!(self.id_token(&user, nonce.as_deref().filter(|_| is_code))),
            );
        }
        let mut answer = if is_code && script.shape == TokenShape::Nested {
            own.insert("id".to_owned(), json!(user));
            json!({"ok": true, "authed_user": own})
        } else {
            own.insert("token_type".to_owned(), json!("Bearer"));
            own.insert("user_id".to_owned(), json!(user));
            Value::Object(own)
        };
        if let (Some(bot), true) = (script.bot, is_code) {
            answer["access_token"] = json!(self.issue("bot-", grant, Kind::Page(bot.id.to_owned())));
            answer["refresh_token"] = json!(self.issue("bot-refresh-", grant, Kind::Refresh));
            answer["bot_user_id"] = json!(bot.id);
            answer["expires_in"] = json!(43_200);
        }
        if let Some(members) = answer.as_object_mut().filter(|_| !is_code) {
            script.refresh_omits.iter().for_each(|name| drop(members.remove(*name)));
        }
        if let Some(edit) = script.edits_tokens {
            edit(&mut answer);
        }
        answer
    }

    fn id_token(&self, user: &str, nonce: Option<&str>) -> String {
        let now = SystemClock.now().as_secs();
        let claims = json!({
            "iss": self.issuer(), "aud": ScriptedProvider::CLIENT_ID, "sub": user, "name": "Scripted User",
            "iat": now, "exp": now + 300, "nonce": nonce,
        });
        sign_jwt(&self.key, Map::new(), &claims).unwrap_or_default()
    }

    fn respond(&self, answer: Result<Value, Refused>) -> HttpResponse {
        match answer {
            Ok(body) if self.script.shape == TokenShape::Form => {
                let pairs = body.as_object().into_iter().flatten().map(|(name, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    (name.clone(), text)
                });
                let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
                HttpResponse::Ok().content_type("application/x-www-form-urlencoded").body(form)
            }
            Ok(body) => json_response(200, &body),
            Err((status, error)) => {
                let status = if self.script.errors_at_200 { 200 } else { status };
                json_response(status, &json!({"ok": false, "error": error}))
            }
        }
    }
}

fn json_response(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or_default()).json(body)
}

/// The parameters of a request, wherever they are.
fn parameters(req: &HttpRequest, body: &[u8]) -> Parameters {
    let mut found: Parameters = form_urlencoded::parse(req.query_string().as_bytes()).into_owned().collect();
    match serde_json::from_slice::<Parameters>(body) {
        Ok(members) => found.extend(members),
        Err(_) => found.extend(form_urlencoded::parse(body).into_owned()),
    }
    found
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
