//! The authorization endpoint (RFC 6749 section 4.1.1): a page with two buttons.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::web::{Data, Form, Query};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Demo, oauth_error};

/// An authorization request.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct Request {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
pub(super) struct Decision {
    decision: String,
}

pub(super) async fn ask(demo: Data<Demo>, request: Query<Request>) -> HttpResponse {
    let client = demo.grants().client(&request.client_id, &request.redirect_uri).cloned();
    let Some(client) = client else { return unknown_client() };
    let mut action = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in request.pairs() {
        action.append_pair(name, value);
    }
    let (name, action) = (escaped(&client.name), escaped(&action.finish()));
    let scope = escaped(if request.scope.is_empty() { "nothing in particular" } else { &request.scope });
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <meta name=color-scheme content='light dark'><title>Demo provider</title>\
         <style>body{{font:1rem/1.5 system-ui;max-width:28rem;margin:12vh auto;padding:0 1rem}}\
         button{{font:inherit;padding:.5rem 1.25rem;margin-right:.5rem}}</style>\
         <h1>Demo provider</h1><p>You are signed in as <b>Demo User</b>.</p>\
         <p><b>{name}</b> asks for: {scope}.</p>\
         <form method=post action='/authorize?{action}'>\
         <button name=decision value=allow>Allow</button><button name=decision value=deny>Deny</button></form></html>"
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ))
        .body(page)
}

pub(super) async fn decide(
    demo: Data<Demo>,
    request: Query<Request>,
    decision: Form<Decision>,
) -> HttpResponse {
    let request = request.into_inner();
    let mut grants = demo.grants();
    if grants.client(&request.client_id, &request.redirect_uri).is_none() {
        return unknown_client();
    }
    let Ok(mut back) = Url::parse(&request.redirect_uri) else { return unknown_client() };
    let outcome = if request.response_type != "code" {
        ("error", "unsupported_response_type".to_owned())
    } else if request.code_challenge_method != "S256" || request.code_challenge.is_empty() {
        ("error", "invalid_request".to_owned())
    } else if decision.decision != "allow" {
        ("error", "access_denied".to_owned())
    } else {
        let Request { client_id, redirect_uri, code_challenge, scope, .. } = &request;
        ("code", grants.authorize(client_id, redirect_uri, code_challenge, scope))
    };
    back.query_pairs_mut()
        .append_pair(outcome.0, &outcome.1)
        .append_pair("state", &request.state)
        .append_pair("iss", &demo.origin);
    HttpResponse::SeeOther().insert_header((LOCATION, back.as_str())).finish()
}

impl Request {
    fn pairs(&self) -> [(&'static str, &str); 7] {
        [
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("response_type", &self.response_type),
            ("code_challenge", &self.code_challenge),
            ("code_challenge_method", &self.code_challenge_method),
            ("scope", &self.scope),
            ("state", &self.state),
        ]
    }
}

fn unknown_client() -> HttpResponse {
    oauth_error(
        "invalid_client",
        "no client with this client_id and redirect_uri has registered since the start",
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}
