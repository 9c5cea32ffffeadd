//! The client credentials grant (RFC 6749 section 4.4): a token without a user.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::Clock as _;
use causeway_testkit::{DpopKey, OauthClient};
use serde_json::{Value, json};

use super::resources::trusted;
use crate::support::{Scene, on_each_database};

const FORM: [(&str, &str); 1] = [("grant_type", "client_credentials")];

async fn service(scene: &Scene, more: Value) -> Result<OauthClient> {
    let mut metadata = json!({"redirect_uris": [], "grant_types": ["client_credentials"]});
    for (name, value) in more.as_object().into_iter().flatten() {
        metadata[name] = value.clone();
    }
    trusted(scene, metadata).await
}

on_each_database! {
    /// The token says who the client is, and nothing renews it.
    async fn a_token_for_the_client_itself(database) {
        let scene = Scene::set(database).await?;
        let client = service(&scene, json!({"grant_types": ["client_credentials", "refresh_token", "authorization_code"], "redirect_uris": ["http://127.0.0.1/callback"]})).await?;
        let answer = client.post(&scene.agent, "/oauth/token", &FORM).await?;
        let token = answer.json()["access_token"].as_str().expect("a token").to_owned();
        assert_eq!(answer.json(), json!({"access_token": token, "token_type": "Bearer", "expires_in": 86_400}));
        let now = scene.app.clock.now().as_secs();
        let told = client.post(&scene.agent, "/oauth/introspect", &[("token", &token)]).await?.json();
        assert_eq!(told, json!({
            "active": true, "iss": scene.app.issuer, "sub": client.client_id, "client_id": client.client_id,
            "aud": scene.app.issuer, "token_type": "Bearer", "iat": now, "exp": now + 86_400,
        }));
        let other = service(&scene, json!({})).await?;
        let told = other.post(&scene.agent, "/oauth/introspect", &[("token", &token)]).await?.json();
        assert_eq!(told, json!({"active": false}));
        assert_eq!(scene.sessions().await?, 0);

        client.post(&scene.agent, "/oauth/revoke", &[("token", &token)]).await?;
        let told = client.post(&scene.agent, "/oauth/introspect", &[("token", &token)]).await?.json();
        assert_eq!(told, json!({"active": false}), "revoked");
        Ok(())
    }

    /// Such a token gives no access to users' resources: 403 while it is valid.
    async fn it_opens_nothing_of_a_user(database) {
        let scene = Scene::set(database).await?;
        let client = service(&scene, json!({})).await?;
        let token = client.post(&scene.agent, "/oauth/token", &FORM).await?.json();
        let token = token["access_token"].as_str().expect("a token");
        for (method, path) in [
            ("GET", "/oauth/userinfo"),
            ("GET", "/api/session"),
            ("POST", "/api/session/refresh"),
            ("GET", "/xrpc/com.atproto.server.getSession"),
            ("POST", "/graphql"),
        ] {
            let request = scene.agent.request(method.parse()?, &scene.app.at(path)).bearer_auth(token);
            let request = if path == "/graphql" { request.json(&json!({"query": "{ viewer { did } }"})) } else { request };
            let answer = scene.agent.send(request).await?;
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
            assert!(answer.text.contains("a user who signed in"), "{path}: {answer:?}");
            assert!(answer.header("www-authenticate").contains("insufficient_scope"), "{path}: {answer:?}");
        }
        scene.app.clock.advance(86_400);
        let over = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), token).await?;
        assert_eq!(over.refusal(), "401 invalid_token", "expired");
        Ok(())
    }

    /// Clients and parameters that are refused.
    async fn refusals(database) {
        let scene = Scene::set(database).await?;
        let refused = scene.client.post(&scene.agent, "/oauth/token", &FORM).await?;
        assert_eq!(refused.refusal(), "400 unauthorized_client");
        let public = json!({"redirect_uris": [], "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"});
        let url = scene.app.at("/oauth/register");
        let registered = scene.agent.post_body(&url, "application/json", public.to_string()).await?;
        assert_eq!(registered.refusal(), "400 invalid_client_metadata");
        let client = service(&scene, json!({})).await?;
        for scope in ["atproto", "openid", "transition:generic", "offline_access", "nonsense"] {
            let form = [FORM[0], ("scope", scope)];
            assert_eq!(client.post(&scene.agent, "/oauth/token", &form).await?.refusal(), "400 invalid_scope", "{scope}");
        }
        let form = [FORM[0], ("resource", "https://other.example")];
        assert_eq!(client.post(&scene.agent, "/oauth/token", &form).await?.refusal(), "400 invalid_target");
        let mut impostor = client.clone();
        impostor.client_secret = Some("cw_cs_wrong".to_owned());
        assert_eq!(impostor.post(&scene.agent, "/oauth/token", &FORM).await?.refusal(), "401 invalid_client");
        Ok(())
    }

    /// As a JWT, for another resource, bound to a key: `sub` is the client (RFC 9068 section 2.2).
    async fn signed_and_bound(database) {
        let scene = Scene::set(database).await?;
        let client = service(&scene, json!({"access_token_format": "jwt"})).await?;
        let key = DpopKey::new();
        let form = [FORM[0], ("resource", "https://api.example/v1")];
        let proof = key.proof(scene.app.clock.now(), "POST", &scene.app.at("/oauth/token"));
        let answer = client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?.json();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("DPoP"), &json!(600)));
        let token = answer["access_token"].as_str().expect("a token");
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a JWT"))?;
        let claims: Value = serde_json::from_slice(&payload)?;
        let now = scene.app.clock.now().as_secs();
        assert_eq!(claims, json!({
            "iss": scene.app.issuer, "sub": client.client_id, "client_id": client.client_id,
            "aud": "https://api.example/v1", "iat": now, "exp": now + 600, "jti": claims["jti"],
            "cnf": {"jkt": key.jkt()},
        }));
        Ok(())
    }
}
