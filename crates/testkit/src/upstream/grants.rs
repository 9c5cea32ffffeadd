//! The token endpoint and the revocation endpoint of the scripted upstream.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actix_web::http::header::LOCATION;
use actix_web::web::{Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use causeway_types::CodeVerifier;
use serde_json::{Value, json};

use super::{BEARER_TOKEN, SESSION, Shared, State, fault_or_end, hang_up, lock, random, refusal};

/// Approves at once an authorization that was not pushed, for the user whom it names.
pub(super) async fn authorize_bearer(state: Shared, query: Query<BTreeMap<String, String>>) -> HttpResponse {
    let mut params = query.into_inner();
    let code = random("code-");
    let answer = [("code", &code), ("state", params.get("state").unwrap_or(&code))];
    let answer = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let location = format!("{}?{answer}", params.get("redirect_uri").map_or("", String::as_str));
    params.insert(SESSION.to_owned(), random("session-"));
    lock(&state).grants.insert(code, params);
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

pub(super) async fn token(
    req: HttpRequest,
    state: Shared,
    form: Form<BTreeMap<String, String>>,
) -> HttpResponse {
    let hangs_up = match fault_or_end(&state, "token", |script| &script.token).await {
        Ok(hangs_up) => hangs_up,
        Err(response) => return response,
    };
    if req.path() != BEARER_TOKEN && !req.headers().contains_key("dpop") {
        return HttpResponse::BadRequest().json(json!({"error": "invalid_dpop_proof"}));
    }
    let worded = {
        let script = &mut lock(&state).script;
        script.refuses_once.take().or_else(|| script.refuses.clone())
    };
    if let Some((status, body)) = worded {
        return HttpResponse::build(status.try_into().unwrap_or_default()).json(body);
    }
    let issued = issue(&mut lock(&state), &req, &form);
    let Some((mut body, held)) = issued else {
        return refusal(lock(&state).script.dead_grant.unwrap_or((400, "invalid_grant")));
    };
    if let Some(edit) = lock(&state).script.edits_tokens {
        edit(&mut body);
    }
    if let Some(pause) = held {
        tokio::time::sleep(pause).await;
    }
    if hangs_up {
        return hang_up();
    }
    HttpResponse::Ok().json(body)
}

/// Redeems a code or a refresh token; returns the token response and how long to delay it. `None`: the grant
/// is not valid.
fn issue(
    state: &mut State,
    req: &HttpRequest,
    form: &BTreeMap<String, String>,
) -> Option<(Value, Option<Duration>)> {
    let sent = ["code", "refresh_token", "access_token", "code_verifier"]
        .into_iter()
        .filter_map(|name| form.get(name).cloned());
    let proof = req.headers().get("dpop").and_then(|value| value.to_str().ok()).map(str::to_owned);
    state.secrets.extend(sent.chain(proof));
    // Codes and refresh tokens work once, as at a real PDS.
    let key = form.get("code").or_else(|| form.get("refresh_token")).cloned();
    // Where the access token itself is exchanged, it stands for its refresh token.
    let exchanged = || form.get("access_token").and_then(|token| state.access.get(token).cloned());
    let key = key.or_else(exchanged).unwrap_or_default();
    // As at a PDS: a session is bound to the key that the client authenticated with when it began.
    if state.grants.get(&key).is_some_and(|begun| client_key(begun) != client_key(form)) {
        return None;
    }
    // As at a PDS: reuse of a code or refresh token counts as theft and ends its session.
    if let Some((_, session)) = state.spent.get(&key).cloned() {
        end_session(state, &session);
    }
    let params = state.grants.remove(&key)?;
    if let (Some(verifier), Some(challenge)) = (form.get("code_verifier"), params.get("code_challenge")) {
        let matches = CodeVerifier::parse(verifier).is_ok_and(|v| v.challenge().as_str() == challenge);
        if !matches {
            return None;
        }
    }
    let refresh = random("refresh-");
    let field = |name: &str| params.get(name).cloned().unwrap_or_default();
    let access = random("upstream-access-");
    // As at a PDS: a new access token invalidates the old one.
    state.access.retain(|_, grant| *grant != key);
    state.access.insert(access.clone(), refresh.clone());
    state.secrets.extend([access.clone(), refresh.clone()]);
    state.issued.insert(access.clone(), refresh.clone());
    state.spent.insert(key, (Instant::now(), field(SESSION)));
    *state.hits.entry("issued".to_owned()).or_default() += 1;
    let mut body: Value = json!({
        "access_token": access,
        "token_type": "DPoP",
        "refresh_token": refresh,
        "expires_in": state.script.expires_in.unwrap_or(3600),
        "scope": state.script.scope.clone().unwrap_or_else(|| field("scope")),
        "sub": state.script.sub.clone().unwrap_or_else(|| field("sub")),
    });
    if let Some(members) = body.as_object_mut().filter(|_| form.contains_key("refresh_token")) {
        state.script.refresh_omits.iter().for_each(|name| drop(members.remove(*name)));
    }
    state.grants.insert(refresh, params);
    Some((body, state.script.holds_answer))
}

/// Revokes all tokens of a session.
fn end_session(state: &mut State, session: &str) {
    state.grants.retain(|_, params| params.get(SESSION).is_none_or(|known| known != session));
    let State { grants, access, .. } = state;
    access.retain(|_, refresh| grants.contains_key(refresh));
}

/// The `kid` in the header of the client's assertion; `None`: a public client.
fn client_key(form: &BTreeMap<String, String>) -> Option<&str> {
    form.get("client_assertion")?.split('.').next()
}

pub(super) async fn revoke(state: Shared, form: Form<BTreeMap<String, String>>) -> HttpResponse {
    let hangs_up = match fault_or_end(&state, "revoke", |script| &script.revoke).await {
        Ok(hangs_up) => hangs_up,
        Err(response) => return response,
    };
    if let Some(token) = form.get("token") {
        let mut state = lock(&state);
        state.grants.remove(token);
        state.access.retain(|access, refresh| access != token && refresh != token);
    }
    if hangs_up {
        return hang_up();
    }
    HttpResponse::Ok().finish()
}
