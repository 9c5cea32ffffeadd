//! Invalid requests of clients: status and code as the specifications demand, helpful text, a request id, and
//! nothing lost. The table is in one place, so that changes of the text show.

use anyhow::Result;
use causeway_testkit::{Answer, TestApp};
use serde_json::Value;

use crate::support::{HANDLE, Scene, on_each_database};

/// An error of an API endpoint is JSON with a code, a description and the id of the request.
fn check(answer: &Answer, refusal: &str, says: &str) {
    assert_eq!(answer.refusal(), refusal, "{answer:?}");
    let body = answer.json();
    assert!(body["error_description"].as_str().is_some_and(|text| text.contains(says)), "{says:?}: {body}");
    assert_eq!(body["request_id"], Value::from(answer.header("x-request-id")));
    assert_eq!(answer.header("cache-control"), "no-store");
}

const FORM: &str = "application/x-www-form-urlencoded";

async fn post(scene: &Scene, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Result<Answer> {
    scene.agent.post_body(&scene.app.at(path), content_type, body).await
}

on_each_database! {
    /// Bodies.
    async fn bodies(database) {
        let scene = Scene::set(database).await?;
        let id = &scene.client.client_id;
        for path in ["/oauth/token", "/oauth/par", "/oauth/revoke"] {
            let at = |content_type: &'static str, body: Vec<u8>| post(&scene, path, content_type, body);
            check(&at("application/json", b"{}".to_vec()).await?, "415 invalid_request", "application/x-www-form-urlencoded");
            check(&at(FORM, format!("client_id={id}&client_id={id}").into_bytes()).await?, "400 invalid_request", "client_id was sent more than once");
            check(&at(FORM, b"client_id=%ff".to_vec()).await?, "400 invalid_request", "UTF-8");
            check(&at(FORM, vec![0xff, 0xfe]).await?, "400 invalid_request", "UTF-8");
            check(&at(FORM, vec![b'a'; 70_000]).await?, "413 invalid_request", "larger than");
            let many = (0..65).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
            check(&at(FORM, many.into_bytes()).await?, "400 invalid_request", "more than 64");
            check(&at(FORM, Vec::new()).await?, "401 invalid_client", "client_id is missing");
        }
        check(&post(&scene, "/oauth/register", FORM, "a=b").await?, "415 invalid_request", "application/json");
        check(&post(&scene, "/oauth/register", "application/json", "{").await?, "400 invalid_client_metadata", "JSON");
        let uris = r#""redirect_uris":["https://a.example/cb"]"#;
        for twice in [format!("{{{uris},{uris}}}"), format!(r#"{{{uris},"x":{{"y":1,"y":1}}}}"#), format!(r#"{{{uris},"z":1,"z":1}}"#)] {
            check(&post(&scene, "/oauth/register", "application/json", twice).await?, "400 invalid_client_metadata", "more than once");
        }
        check(&post(&scene, "/oauth/register", "application/json", vec![b' '; 70_000]).await?, "413 invalid_request", "larger than");
        scene.still_works().await
    }

    /// Grants.
    async fn grants(database) {
        let scene = Scene::set(database).await?;
        let id = &scene.client.client_id;
        for (body, refusal, says) in [
            (format!("client_id={id}"), "400 invalid_request", "grant_type is missing"),
            (format!("client_id={id}&grant_type="), "400 invalid_request", "grant_type is missing"),
            (format!("client_id={id}&grant_type=password"), "400 unsupported_grant_type", "authorization_code"),
            (format!("client_id={id}&grant_type=authorization_code"), "400 invalid_request", "code is missing"),
            (format!("client_id={id}&grant_type=authorization_code&code=x"), "400 invalid_request", "code_verifier is missing"),
            (format!("client_id={id}&grant_type=authorization_code&code=x&code_verifier={}", "v".repeat(43)), "400 invalid_grant", "code is unknown"),
            (format!("client_id={id}&grant_type=refresh_token"), "400 invalid_request", "refresh_token is missing"),
            (format!("client_id={id}&grant_type=refresh_token&refresh_token=x"), "400 invalid_grant", "refresh token is unknown"),
            ("client_id=nobody&grant_type=refresh_token".to_owned(), "401 invalid_client", "unknown client_id"),
            (format!("client_id={id}&client_secret=x&grant_type=refresh_token"), "401 invalid_client", "registered with none"),
        ] {
            check(&post(&scene, "/oauth/token", FORM, body.clone()).await?, refusal, says);
        }
        let only_code = serde_json::json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none"});
        let registered = post(&scene, "/oauth/register", "application/json", only_code.to_string()).await?.json();
        let body = format!("client_id={}&grant_type=refresh_token&refresh_token=x", registered["client_id"].as_str().unwrap());
        check(&post(&scene, "/oauth/token", FORM, body).await?, "400 unauthorized_client", "grant_type");
        scene.still_works().await
    }

    /// U+0000, which PostgreSQL takes nowhere, in a path: it names nothing.
    async fn nul_in_paths(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for (method, path) in [
            ("GET", "/admin/clients/%00"), ("PUT", "/admin/clients/a%00b"), ("DELETE", "/admin/clients/%00"),
            ("POST", "/admin/clients/%00/secret"), ("GET", "/admin/sessions/%00"), ("DELETE", "/admin/sessions/%00"),
            ("DELETE", "/admin/keys/%00"), ("GET", "/oauth/register/%00"), ("PUT", "/oauth/register/%00"),
            ("POST", "/api/sessions/us_%00"), ("POST", "/api/sessions/us_%00/dpop-proof"), ("GET", "/xrpc/%00"),
            ("GET", "/oauth-client-metadata/clients/%00.json"), ("GET", "/assets/%1b"),
        ] {
            let request = || scene.agent.request(method.parse().unwrap(), &scene.app.at(path));
            for token in [TestApp::ADMIN_TOKEN, &token] {
                let body = request().bearer_auth(token).header("content-type", "application/json").body(r#"{"redirect_uris":["http://127.0.0.1/cb"]}"#);
                check(&scene.agent.send(body).await?, "404 not_found", "");
            }
        }
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/admin/tokens/revoke")).bearer_auth(TestApp::ADMIN_TOKEN);
        let nul = request.header("content-type", "application/json").body(r#"{"client":"\u0000"}"#);
        check(&scene.agent.send(nul).await?, "400 invalid_request", "client");
        for body in [r#"{"redirect_uris":["https://a.example/cb"],"x":{"y":["\u0000"]}}"#, r#"{"redirect_uris":["https://a.example/cb"],"\u0000":1}"#] {
            check(&post(&scene, "/oauth/register", "application/json", body).await?, "400 invalid_client_metadata", "U+0000");
        }
        scene.still_works().await
    }

    /// Access tokens.
    async fn access_tokens(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        for path in ["/oauth/userinfo", "/api/session"] {
            let url = scene.app.at(path);
            let none = scene.agent.get(&url).await?;
            let document = scene.app.at("/.well-known/oauth-protected-resource");
            let challenge = format!("Bearer realm=\"causeway\", resource_metadata=\"{document}\"");
            assert_eq!((none.status, none.header("www-authenticate")), (401, &*challenge));
            let wrong = scene.agent.get_with(&url, "cw_at_nonsense").await?;
            check(&wrong, "401 invalid_token", "unknown, expired or revoked");
            assert!(wrong.header("www-authenticate").contains("error=\"invalid_token\""));
            let request = scene.agent.request("GET".parse()?, &url).header("authorization", "Basic eDp5");
            check(&scene.agent.send(request).await?, "400 invalid_request", "Bearer ACCESS_TOKEN");
            let query = scene.agent.get(&format!("{url}?access_token={}", tokens.access_token)).await?;
            assert_eq!(query.status, 401, "never in the query");
            let refresh = scene.agent.get_with(&url, &tokens.refresh_token).await?;
            check(&refresh, "401 invalid_token", "unknown");
        }
        let body = [("access_token", tokens.access_token.as_str())];
        assert_eq!(scene.agent.post(&scene.app.at("/oauth/userinfo"), &body).await?.status, 200, "RFC 6750 section 2.2");
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/oauth/userinfo"));
        let both = scene.agent.send(request.bearer_auth(&tokens.access_token).form(&body)).await?;
        check(&both, "400 invalid_request", "more than one way");
        Ok(())
    }
}
