//! Tests of the faults that a scripted upstream can be scripted to show.

use super::{ScriptedUpstream, TokenRefusal};
use crate::{Agent, Answer};

const FORM: &str = "application/x-www-form-urlencoded";

fn start() -> ScriptedUpstream {
    ScriptedUpstream::start("alice.test", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap()
}

/// Pushes a request and comes back from the authorization endpoint.
async fn come_back(upstream: &ScriptedUpstream, prompt: &str) -> Answer {
    let agent = Agent::default();
    let body =
        format!("redirect_uri=http://127.0.0.1/cb&state=s&scope=atproto&login_hint=alice.test{prompt}");
    let pushed = agent.post_body(&format!("{}/oauth/par", upstream.origin), FORM, body).await.unwrap();
    let request_uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    agent.get(&format!("{}/oauth/authorize?request_uri={request_uri}", upstream.origin)).await.unwrap()
}

/// Spends a code or a refresh token.
async fn token(upstream: &ScriptedUpstream, name: &str, value: &str) -> Answer {
    let agent = Agent::default();
    let request = agent.request("POST".parse().unwrap(), &format!("{}/oauth/token", upstream.origin));
    let request = request.header("dpop", "a.b.c").header("content-type", FORM);
    agent.send(request.body(format!("{name}={value}"))).await.unwrap()
}

#[tokio::test]
async fn callbacks_carry_what_the_script_says() {
    let upstream = start();
    upstream.script(|script| {
        script.callback = vec![("note", "a\nb".to_owned()), ("state", "other".to_owned())];
        script.prompts = vec![("select_account", "account_selection_required")];
    });
    let back = come_back(&upstream, "").await;
    assert_eq!(back.redirect_param("note").as_deref(), Some("a\nb"));
    assert_eq!(back.redirect_param("state").as_deref(), Some("other"));
    assert!(back.redirect_param("code").is_some());
    let back = come_back(&upstream, "&prompt=select_account").await;
    assert_eq!(back.redirect_param("error").as_deref(), Some("account_selection_required"));
    assert_eq!(back.redirect_param("code"), None);
}

#[tokio::test]
async fn refreshes_are_answered_and_refused_as_the_script_says() {
    let upstream = start();
    upstream.script(|script| {
        script.refresh_omits = vec!["scope"];
        script.dead_grant = Some((400, "InvalidRequest"));
    });
    let code = come_back(&upstream, "").await.redirect_param("code").unwrap();
    let first = token(&upstream, "code", &code).await.json();
    assert_eq!(first["scope"], "atproto", "a code's answer is whole");
    let refresh = first["refresh_token"].as_str().unwrap();
    let second = token(&upstream, "refresh_token", refresh).await.json();
    assert!(second.get("scope").is_none() && second["refresh_token"].is_string(), "{second}");
    let again = token(&upstream, "refresh_token", refresh).await;
    assert_eq!(again.refusal(), "400 InvalidRequest");
}

#[tokio::test]
async fn methods_refuse_tokens_as_the_script_says() {
    for (form, status, challenge, error) in [
        (TokenRefusal::Unquoted, 401, "DPoP error=invalid_token", "InvalidToken"),
        (TokenRefusal::Xrpc("ExpiredToken"), 400, "", "ExpiredToken"),
    ] {
        let refused = super::xrpc::refuse_token(form);
        let header = refused.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap());
        assert_eq!((refused.status().as_u16(), header), (status, challenge));
        let body = actix_web::body::to_bytes(refused.into_body()).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains(error), "{body:?}");
    }
}

#[tokio::test]
async fn documents_name_the_pds_that_the_script_says() {
    let upstream = start();
    upstream.script(|script| script.pds = Some("http://elsewhere.test".to_owned()));
    let url = format!("{}/did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", upstream.origin);
    let document = Agent::default().get(&url).await.unwrap().json();
    assert_eq!(document["service"][0]["serviceEndpoint"], "http://elsewhere.test");
}
