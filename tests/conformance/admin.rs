//! `/admin`: what whoever runs the server does to it over HTTP.

use causeway_testkit::{Agent, Answer, OauthClient, TestApp};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, Scene, on_each_database, within_a_second};

async fn ask(scene: &Scene, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
    let request = scene.agent.request(method.parse()?, &scene.app.at(path)).bearer_auth(TestApp::ADMIN_TOKEN);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    scene.agent.send(request).await
}

/// The names of what was written down, the first one first.
async fn acts(scene: &Scene, query: &str) -> anyhow::Result<Vec<String>> {
    let acts = ask(scene, "GET", &format!("/admin/audit{query}"), None).await?.json();
    let names = acts["events"].as_array().unwrap().iter().rev().map(|act| {
        assert_eq!(act["actor"] == "operator", act["details"]["by"] == "http", "{act}");
        act["event"].as_str().unwrap().to_owned()
    });
    Ok(names.collect())
}

on_each_database! {
    /// Without the token, or with another one, nothing of it is to be had; and it is not guessed at for long.
    async fn the_operator_alone(database) {
        let scene = Scene::set(database).await?;
        let paths = [
            ("GET", "/admin/clients"), ("POST", "/admin/clients"), ("GET", "/admin/clients/x"),
            ("PUT", "/admin/clients/x"), ("DELETE", "/admin/clients/x"), ("POST", "/admin/clients/x/secret"),
            ("GET", "/admin/sessions"), ("GET", "/admin/sessions/x"), ("DELETE", "/admin/sessions/x"),
            ("POST", "/admin/tokens/revoke"), ("GET", "/admin/keys"), ("POST", "/admin/keys"),
            ("DELETE", "/admin/keys/x"), ("GET", "/admin/audit"),
        ];
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        for (method, path) in paths {
            let request = || scene.agent.request(method.parse().unwrap(), &scene.app.at(path));
            let stranger = scene.agent.send(request()).await?;
            assert_eq!(stranger.refusal(), "401 invalid_token", "{method} {path}");
            assert_eq!(stranger.header("www-authenticate"), "Bearer realm=\"causeway-admin\"");
            let person = scene.agent.send(request().bearer_auth(&tokens.access_token)).await?;
            assert_eq!(person.refusal(), "401 invalid_token", "{method} {path}");
        }
        let guess = || {
            let request = scene.agent.request("GET".parse().unwrap(), &scene.app.at("/admin/clients"));
            scene.agent.send(request.bearer_auth("a-guess-of-mine-here"))
        };
        for _ in 2 * paths.len()..100 {
            assert_eq!(guess().await?.status, 401);
        }
        assert_eq!(guess().await?.refusal(), "429 temporarily_unavailable");
        Ok(())
    }

    /// Made, shown, changed, given another secret, deleted.
    async fn clients(database) {
        let scene = Scene::set(database).await?;
        let body = json!({
            "client_name": "Made here", "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_post", "allow_background_access": true,
        });
        let made = ask(&scene, "POST", "/admin/clients", Some(body.clone())).await?;
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        assert_eq!(made["allow_background_access"], true);
        let id = made["client_id"].as_str().unwrap();
        let path = format!("/admin/clients/{id}");
        let shown = ask(&scene, "GET", &path, None).await?.json();
        assert_eq!((&shown["client_name"], shown.get("client_secret")), (&json!("Made here"), None));
        let listed = ask(&scene, "GET", "/admin/clients?limit=1", None).await?.json();
        assert_eq!(listed["clients"].as_array().unwrap().len(), 1);
        let other = json!({
            "client_name": "Changed here", "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_post",
        });
        let changed = ask(&scene, "PUT", &path, Some(other.clone())).await?.json();
        assert_eq!((&changed["client_name"], &changed["allow_background_access"]), (&json!("Changed here"), &json!(true)));
        for (named, status) in [("cw_client_another", 400), (id, 200)] {
            let mut body = other.clone();
            body["client_id"] = json!(named);
            assert_eq!(ask(&scene, "PUT", &path, Some(body)).await?.status, status, "{named}");
        }
        let client = OauthClient {
            client_id: id.to_owned(),
            client_secret: made["client_secret"].as_str().map(str::to_owned),
            ..scene.client.clone()
        };
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let rotated = ask(&scene, "POST", &format!("{path}/secret"), None).await?.json();
        let wrong = [("token", "x")];
        within_a_second(async || {
            let answer = client.post(&scene.agent, "/oauth/introspect", &wrong).await?;
            Ok(answer.refusal() == "401 invalid_client")
        })
        .await?;
        assert_eq!(client.refresh(&scene.agent, &tokens.refresh_token).await?.refusal(), "401 invalid_client");
        let client_secret = rotated["client_secret"].as_str().map(str::to_owned);
        let client = OauthClient { client_secret, ..client };
        assert_eq!(client.refresh(&scene.agent, &tokens.refresh_token).await?.status, 200);
        assert_eq!(ask(&scene, "DELETE", &path, None).await?.status, 204);
        assert!(!scene.works(&tokens).await?);
        for (method, path, body) in [
            ("GET", &*path, None), ("DELETE", &path, None), ("PUT", &path, Some(body.clone())),
            ("POST", &*format!("{path}/secret"), None),
            ("POST", &*format!("/admin/clients/{}/secret", scene.client.client_id), None),
        ] {
            assert_eq!(ask(&scene, method, path, body).await?.refusal(), "404 not_found", "{method} {path}");
        }
        assert_eq!(
            acts(&scene, &format!("?client={id}")).await?,
            ["client_created", "client_updated", "client_updated", "sign_in", "consent", "client_secret_rotated", "client_deleted"]
        );
        for (body, refusal) in [
            (json!({"redirect_uris": ["http://evil.example/cb"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["https://a.example"], "allow_background_access": "yes"}), "400 invalid_request"),
            (json!([]), "400 invalid_client_metadata"),
        ] {
            assert_eq!(ask(&scene, "POST", "/admin/clients", Some(body.clone())).await?.refusal(), refusal, "{body}");
        }
        Ok(())
    }

    /// Found, shown, ended: one, or all of a person.
    async fn sessions_and_tokens(database) {
        let scene = Scene::set(database).await?;
        let sign_in = async || {
            let tokens = scene.client.sign_in(&Agent::default(), &scene.upstream, HANDLE).await?;
            let id = scene.session_id(&tokens).await?;
            anyhow::Ok((tokens, id))
        };
        let (first, first_id) = sign_in().await?;
        let (second, _) = sign_in().await?;
        let (third, _) = sign_in().await?;
        let listed = ask(&scene, "GET", &format!("/admin/sessions?user={DID}"), None).await?.json();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 3, "{listed}");
        let path = format!("/admin/sessions/{first_id}");
        let shown = ask(&scene, "GET", &path, None).await?.json();
        assert_eq!((&shown["did"], &shown["session_state"]), (&json!(DID), &json!("active")));
        assert!(!shown.to_string().contains(&first.access_token));
        assert_eq!(ask(&scene, "DELETE", &path, None).await?.status, 204);
        assert_eq!(ask(&scene, "DELETE", &path, None).await?.status, 204, "nothing is left to do");
        assert!(!scene.works(&first).await? && scene.works(&second).await?);
        let all = ask(&scene, "POST", "/admin/tokens/revoke", Some(json!({ "user": DID }))).await?.json();
        assert_eq!(all["ended_sessions"], 2);
        assert!(!scene.works(&second).await? && !scene.works(&third).await?);
        for (method, path, body, refusal) in [
            ("GET", "/admin/sessions/us_nobody", None, "404 not_found"),
            ("DELETE", "/admin/sessions/us_nobody", None, "404 not_found"),
            ("GET", "/admin/sessions?user=alice", None, "400 invalid_request"),
            ("GET", "/admin/sessions?limit=0", None, "400 invalid_request"),
            ("GET", "/admin/sessions?usr=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", None, "400 invalid_request"),
            ("GET", "/admin/sessions?ended=yes", None, "400 invalid_request"),
            ("GET", "/admin/clients?name=x", None, "400 invalid_request"),
            ("GET", "/admin/keys?alg=RS256", None, "400 invalid_request"),
            ("GET", "/admin/audit?kind=consent", None, "400 invalid_request"),
            ("POST", "/admin/tokens/revoke", Some(json!({})), "400 invalid_request"),
        ] {
            assert_eq!(ask(&scene, method, path, body).await?.refusal(), refusal, "{method} {path}");
        }
        let acts = acts(&scene, "?event=revocation").await?;
        assert_eq!(acts.len(), 3, "{acts:?}");
        Ok(())
    }

    /// Signing keys: rotated, then retired.
    async fn keys(database) {
        let scene = Scene::set(database).await?;
        let rotate = || ask(&scene, "POST", "/admin/keys", Some(json!({ "alg": "ES256" })));
        let old = rotate().await?.json()["kid"].as_str().unwrap().to_owned();
        assert_eq!(ask(&scene, "DELETE", &format!("/admin/keys/{old}"), None).await?.refusal(), "404 not_found");
        let new = rotate().await?.json()["kid"].as_str().unwrap().to_owned();
        assert_ne!(old, new);
        assert_eq!(ask(&scene, "DELETE", &format!("/admin/keys/{old}"), None).await?.status, 204);
        let keys = ask(&scene, "GET", "/admin/keys", None).await?.json();
        let signs: Vec<&Value> =
            keys["keys"].as_array().unwrap().iter().filter(|key| key["signs"] == true).collect();
        assert_eq!((signs.len(), &signs[0]["kid"]), (1, &json!(new)), "{keys}");
        assert!(!keys.to_string().contains("private"));
        let none = ask(&scene, "POST", "/admin/keys", Some(json!({ "alg": "HS256" }))).await?;
        assert_eq!(none.refusal(), "400 invalid_request");
        assert_eq!(acts(&scene, "?event=key_rotated").await?.len(), 2);
        Ok(())
    }
}
