//! Token introspection (RFC 7662, RFC 9701).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_testkit::{OauthClient, Tokens};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, Scene, on_each_database};

async fn confidential(scene: &Scene) -> anyhow::Result<(OauthClient, Tokens)> {
    let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
    let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
    Ok((client, tokens))
}

on_each_database! {
    /// Everything about a token that holds, to its own client.
    async fn its_own_tokens(database) {
        let scene = Scene::set(database).await?;
        let (client, tokens) = confidential(&scene).await?;
        let ask = async |token: &str| {
            anyhow::Ok(client.post(&scene.agent, "/oauth/introspect", &[("token", token)]).await?.json())
        };
        let now = scene.app.ctx.now().as_secs();
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
        let common = json!({
            "active": true, "iss": scene.app.issuer, "sub": DID, "username": HANDLE,
            "client_id": client.client_id, "aud": scene.app.issuer, "scope": "atproto transition:generic", "iat": now,
            "sid": session["session_id"],
        });
        let with = |exp: i64, token_type: Option<&str>| {
            let mut all = common.clone();
            all["exp"] = json!(now + exp);
            if let Some(token_type) = token_type {
                all["token_type"] = json!(token_type);
            }
            all
        };
        assert_eq!(ask(&tokens.access_token).await?, with(86_400, Some("Bearer")));
        assert_eq!(ask(&tokens.refresh_token).await?, with(1_209_600, None));

        client.refresh(&scene.agent, &tokens.refresh_token).await?;
        assert_eq!(ask(&tokens.refresh_token).await?, json!({"active": false}), "used");
        scene.app.clock.advance(86_400);
        assert_eq!(ask(&tokens.access_token).await?, json!({"active": false}), "expired");
        Ok(())
    }

    /// No information about other clients' tokens, and none for clients that do not authenticate.
    async fn nobody_elses(database) {
        let scene = Scene::set(database).await?;
        let (client, tokens) = confidential(&scene).await?;
        let (other, _) = confidential(&scene).await?;
        for token in [&*tokens.access_token, &*tokens.refresh_token, "nonsense"] {
            let answer = other.post(&scene.agent, "/oauth/introspect", &[("token", token)]).await?;
            assert_eq!((answer.status, answer.json()), (200, json!({"active": false})));
        }
        let token = [("token", &*tokens.access_token)];
        let public = scene.client.post(&scene.agent, "/oauth/introspect", &token).await?;
        assert_eq!(public.refusal(), "401 invalid_client");
        let mut impostor = client.clone();
        impostor.client_secret = Some("cw_cs_wrong".to_owned());
        let refused = impostor.post(&scene.agent, "/oauth/introspect", &token).await?;
        assert_eq!(refused.refusal(), "401 invalid_client");
        let missing = client.post(&scene.agent, "/oauth/introspect", &[]).await?;
        assert_eq!(missing.refusal(), "400 invalid_request");

        client.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        let answer = client.post(&scene.agent, "/oauth/introspect", &token).await?;
        assert_eq!(answer.json(), json!({"active": false}), "revoked");
        Ok(())
    }

    /// RFC 7662 section 2.1: a hint only says where to look first.
    async fn hints_are_only_hints(database) {
        let scene = Scene::set(database).await?;
        let (client, tokens) = confidential(&scene).await?;
        for token in [&*tokens.access_token, &*tokens.refresh_token] {
            for hint in ["access_token", "refresh_token", "nobody_knows"] {
                let form = [("token", token), ("token_type_hint", hint)];
                let answer = client.post(&scene.agent, "/oauth/introspect", &form).await?.json();
                assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!(DID)), "{hint}");
            }
        }
        Ok(())
    }

    /// The same, signed, for a client that asks for it.
    async fn signed(database) {
        let scene = Scene::set(database).await?;
        let (client, tokens) = confidential(&scene).await?;
        let form = [
            ("token", &*tokens.access_token),
            ("client_id", &*client.client_id),
            ("client_secret", client.client_secret.as_deref().unwrap()),
        ];
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/oauth/introspect"));
        let request = request.header("accept", "application/token-introspection+jwt").form(&form);
        let answer = scene.agent.send(request).await?;
        assert_eq!(answer.header("content-type"), "application/token-introspection+jwt");
        let part = |at: usize| {
            let part = answer.text.split('.').nth(at).unwrap();
            serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0)["typ"], "token-introspection+jwt");
        assert_eq!(part(1)["aud"], json!(client.client_id));
        assert_eq!(part(1)["token_introspection"]["sub"], DID);
        assert_eq!(part(1)["sub"], Value::Null, "RFC 9701 section 5: not to be taken for an access token");
        Ok(())
    }
}
