//! Access tokens as JWTs (RFC 9068): others read them, and what we believe is our own row.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::Clock as _;
use causeway_jose::{JwkSet, Jws};
use causeway_testkit::{Answer, DpopKey, OauthClient, Tokens};
use causeway_types::claims::TokenClaimsError;
use causeway_types::{AccessTokenClaims, Introspection};
use serde_json::{Value, json};

use super::resources::{code_for, trusted};
use crate::forge;
use crate::support::{DID, HANDLE, Scene, on_each_database};

async fn jwt_client(scene: &Scene, extra: &[(&str, Value)]) -> Result<OauthClient> {
    let mut metadata = json!({"access_token_format": "jwt"});
    for (name, value) in extra {
        metadata[*name] = value.clone();
    }
    trusted(scene, metadata).await
}

fn part(jwt: &str, at: usize) -> Value {
    let part = jwt.split('.').nth(at).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn userinfo(scene: &Scene, token: &str) -> Result<Answer> {
    scene.agent.get_with(&scene.app.at("/oauth/userinfo"), token).await
}

on_each_database! {
    /// Section 2: the header, the claims, the signature by a published key; and the same after a refresh.
    async fn what_it_says(database) {
        let scene = Scene::set(database).await?;
        for (alg, extra) in [("RS256", &[][..]), ("ES256", &[("id_token_signed_response_alg", json!("ES256"))])] {
            let client = jwt_client(&scene, extra).await?;
            let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
            let signed_in = scene.app.clock.now().as_secs();
            assert_eq!((&tokens.answer["expires_in"], &tokens.answer["token_type"]), (&json!(600), &json!("Bearer")));
            let jwks = scene.agent.get(&scene.app.at("/oauth/jwks")).await?.json();
            let keys = JwkSet::parse(&jwks)?;
            let claims: Value = Jws::parse(&tokens.access_token, 8192)?.verify_with(&keys)?.claims()?;
            let header = part(&tokens.access_token, 0);
            assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!(alg)));
            let jti = claims["jti"].as_str().expect("a jti");
            assert_eq!(jti.len(), 22);
            assert_eq!(claims, json!({
                "iss": scene.app.issuer, "sub": DID, "aud": scene.app.issuer, "client_id": client.client_id,
                "iat": signed_in, "exp": signed_in + 600, "jti": jti, "scope": "atproto transition:generic",
                "auth_time": signed_in,
            }));

            scene.app.clock.advance(60);
            let second = Tokens::read(&client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
            let again = part(&second.access_token, 1);
            assert_eq!((&again["auth_time"], &again["iat"]), (&json!(signed_in), &json!(signed_in + 60)));
            assert_ne!(again["jti"], claims["jti"]);
        }
        Ok(())
    }

    /// Every endpoint of ours takes it, and forgets it at once when it is revoked.
    async fn it_works_here_until_it_is_revoked(database) {
        let scene = Scene::set(database).await?;
        let client = jwt_client(&scene, &[]).await?;
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let token = &tokens.access_token;
        assert_eq!(userinfo(&scene, token).await?.json()["sub"], DID);
        assert_eq!(scene.agent.get_with(&scene.app.at("/api/session"), token).await?.status, 200);
        assert_eq!(scene.read(token).await?.status, 200);
        let introspected = client.post(&scene.agent, "/oauth/introspect", &[("token", token)]).await?.json();
        assert_eq!((&introspected["active"], &introspected["aud"]), (&json!(true), &json!(scene.app.issuer)));
        client.post(&scene.agent, "/oauth/revoke", &[("token", token)]).await?;
        assert_eq!(userinfo(&scene, token).await?.refusal(), "401 invalid_token");
        assert_eq!(scene.read(token).await?.refusal(), "401 invalid_token");
        let introspected = client.post(&scene.agent, "/oauth/introspect", &[("token", token)]).await?.json();
        assert_eq!(introspected, json!({"active": false}));

        let next = Tokens::read(&client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        assert_eq!(userinfo(&scene, &next.access_token).await?.status, 200);
        scene.app.clock.advance(600);
        assert_eq!(userinfo(&scene, &next.access_token).await?.refusal(), "401 invalid_token", "expired");
        Ok(())
    }

    /// Anything but, byte for byte, a token that we issued is refused.
    async fn forgeries(database) {
        let scene = Scene::set(database).await?;
        let client = jwt_client(&scene, &[]).await?;
        let mut asking = client.clone();
        asking.scope = "openid atproto".to_owned();
        let tokens = asking.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let token = &tokens.access_token;
        let id_token = tokens.answer["id_token"].as_str().expect("an id_token");
        let (head, rest) = token.split_once('.').unwrap();
        let signature = rest.split_once('.').unwrap().1;
        let mut claims = part(token, 1);
        claims["scope"] = json!("atproto transition:generic");
        let widened = URL_SAFE_NO_PAD.encode(claims.to_string());
        for (what, forged) in [
            ("other claims", format!("{head}.{widened}.{signature}")),
            ("zeros", forge::with_zero_signature(token)),
            ("none", forge::unsigned(token, "none")),
            ("none, with the signature", forge::unsigned(token, "none") + signature),
            ("an HMAC", forge::hmac(token, b"secret")),
            ("padding", format!("{token}=")),
            ("an id_token", id_token.to_owned()),
            ("the jti alone", claims["jti"].as_str().unwrap().to_owned()),
        ] {
            assert_eq!(userinfo(&scene, &forged).await?.refusal(), "401 invalid_token", "{what}");
            let told = client.post(&scene.agent, "/oauth/introspect", &[("token", &forged)]).await?.json();
            assert_eq!(told, json!({"active": false}), "{what}");
        }
        assert_eq!(userinfo(&scene, token).await?.status, 200);

        // Resource servers see access tokens: these must not be usable in place of an id_token.
        let hinted = client.authorization(None).with("id_token_hint", Some(token));
        let answer = scene.agent.get(&hinted.url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"), "{answer:?}");
        let hinted = client.authorization(None).with("id_token_hint", Some(id_token));
        let answer = scene.agent.get(&hinted.url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error"), None, "{answer:?}");
        Ok(())
    }

    /// A token for an external resource, bound to a key, holds both.
    async fn bound_and_for_others(database) {
        let scene = Scene::set(database).await?;
        let client = jwt_client(&scene, &[]).await?;
        let (code, authorization) = code_for(&scene, &client, &["https://api.example/v1"]).await?;
        let key = DpopKey::new();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("code_verifier", authorization.verifier.expose()),
        ];
        let proof = key.proof(scene.app.clock.now(), "POST", &scene.app.at("/oauth/token"));
        let answer = client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?;
        let token = Tokens::read(&answer)?.access_token;
        let claims = part(&token, 1);
        assert_eq!(claims["aud"], "https://api.example/v1");
        assert_eq!(claims["cnf"], json!({"jkt": key.jkt()}));
        assert_eq!(answer.json()["token_type"], "DPoP");

        let read: AccessTokenClaims = serde_json::from_value(claims.clone())?;
        assert_eq!(serde_json::to_value(&read)?, claims, "a resource server reads all of it");
        let check = |resource| read.check(&scene.app.issuer, resource, scene.app.clock.now());
        assert_eq!(check("https://api.example/v1"), Ok(()));
        assert_eq!(check(&scene.app.issuer), Err(TokenClaimsError::Audience));
        let introspected = client.post(&scene.agent, "/oauth/introspect", &[("token", &token)]).await?.json();
        let read: Introspection = serde_json::from_value(introspected.clone())?;
        assert_eq!(serde_json::to_value(&read)?, introspected);
        assert!(matches!(read, Introspection::Active(active) if active.cnf.is_some()));
        Ok(())
    }

    /// The format is registered, and shown again.
    async fn registration(database) {
        let scene = Scene::set(database).await?;
        let metadata = |format: Value| {
            json!({"redirect_uris": ["http://127.0.0.1/callback"], "access_token_format": format}).to_string()
        };
        let url = scene.app.at("/oauth/register");
        for format in ["jwt", "opaque"] {
            let made = scene.agent.post_body(&url, "application/json", metadata(json!(format))).await?;
            assert_eq!((made.status, &made.json()["access_token_format"]), (201, &json!(format)));
        }
        let refused = scene.agent.post_body(&url, "application/json", metadata(json!("paseto"))).await?;
        assert_eq!(refused.refusal(), "400 invalid_client_metadata");
        Ok(())
    }
}
