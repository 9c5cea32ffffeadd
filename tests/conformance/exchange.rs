//! Token exchange (RFC 8693): a background session's identifier for an access token.

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_domain::client::Entitlement;
use causeway_testkit::{Agent, Answer, DpopKey, OauthClient, Tokens};

use crate::support::{DID, HANDLE, Scene, on_each_database};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const SESSION: &str = "urn:causeway:token-type:session";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

async fn exchange(client: &OauthClient, session_id: &str, more: &[(&str, &str)]) -> Result<Answer> {
    let mut form =
        vec![("grant_type", GRANT), ("subject_token", session_id), ("subject_token_type", SESSION)];
    form.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    form.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    client.post(&Agent::default(), "/oauth/token", &form).await
}

on_each_database! {
    /// With nobody there: an access token for the session, as wide as it or narrower, bound to a key if one is
    /// proven, and nothing to refresh.
    async fn a_token_for_the_background_session(database) {
        let scene = Scene::set(database).await?;
        let client = scene.client_with_entitlements(&[Entitlement::BackgroundAccess]).await?;
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let id = scene.session_id(&tokens).await?;
        scene.app.clock.advance(60 * 86_400);
        scene.upkeep().await?;
        assert!(!scene.works(&tokens).await?);

        let answer = exchange(&client, &id, &[]).await?;
        let body = answer.json();
        assert_eq!(answer.status, 200, "{answer:?}");
        for (name, value) in [("issued_token_type", ACCESS_TOKEN), ("token_type", "Bearer"), ("sub", DID), ("scope", "atproto transition:generic background_access")] {
            assert_eq!(body[name], value, "{name}");
        }
        assert!(body["expires_in"].is_i64() && body.get("refresh_token").is_none() && body.get("id_token").is_none());
        assert_eq!(answer.header("cache-control"), "no-store");
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(scene.read(token).await?.status, 200);
        let session = scene.agent.get_with(&scene.app.at("/api/session"), token).await?.json();
        assert_eq!((&session["session_id"], &session["head_iteration"]), (&id.as_str().into(), &2.into()));
        let again = exchange(&client, &id, &[("requested_token_type", ACCESS_TOKEN), ("audience", &scene.app.issuer)]).await?.json();
        let session = scene.agent.get_with(&scene.app.at("/api/session"), again["access_token"].as_str().unwrap()).await?.json();
        assert_eq!(session["session_iteration"], 2, "provenance");

        let narrow = exchange(&client, &id, &[("scope", "atproto repo:app.bsky.feed.post?action=create")]).await?.json();
        assert_eq!(narrow["scope"], "atproto repo:app.bsky.feed.post?action=create");
        let refused = scene.agent.send(scene.xrpc("POST", "com.atproto.repo.deleteRecord", narrow["access_token"].as_str().unwrap())
            .header("content-type", "application/json").body(r#"{"repo":"did:plc:a","collection":"app.bsky.feed.post","rkey":"a"}"#)).await?;
        assert_eq!(refused.refusal(), "403 insufficient_scope");
        assert_eq!(exchange(&client, &id, &[("scope", "atproto transition:email")]).await?.refusal(), "400 invalid_scope");

        let key = DpopKey::new();
        let form = [("grant_type", GRANT), ("subject_token", &*id), ("subject_token_type", SESSION)];
        let proof = key.proof(scene.app.clock.now(), "POST", &scene.app.at("/oauth/token"));
        let bound = client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?;
        assert_eq!(bound.json()["token_type"], "DPoP", "{bound:?}");
        let token = bound.json()["access_token"].as_str().unwrap().to_owned();
        let url = scene.app.at("/oauth/userinfo");
        assert_eq!(scene.agent.get_with(&url, &token).await?.status, 401);
        let with_proof = key.proof_with_token(scene.app.clock.now(), "GET", &url, &token);
        assert_eq!(scene.agent.get_with_proof(&url, &token, &with_proof).await?.status, 200);
        let replayed = client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?;
        assert_eq!(replayed.refusal(), "400 invalid_dpop_proof");
        Ok(())
    }

    /// Nothing else can be exchanged: no device session, no other client's, no ended one; errors use the
    /// codes of the specification.
    async fn for_nothing_else(database) {
        let scene = Scene::set(database).await?;
        let client = scene.client_with_entitlements(&[Entitlement::BackgroundAccess]).await?;
        let stranger = scene.client_with_entitlements(&[Entitlement::BackgroundAccess]).await?;
        let without_leave = scene.client_with_entitlements(&[]).await?;
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let id = scene.session_id(&tokens).await?;
        let device = OauthClient { scope: "atproto".to_owned(), ..client.clone() };
        let device = scene.session_id(&device.sign_in(&scene.agent, &scene.upstream, HANDLE).await?).await?;
        let over = scene.session_id(&stranger.sign_in(&scene.agent, &scene.upstream, HANDLE).await?).await?;
        stranger.post(&scene.agent, "/oauth/revoke", &[("token", &over)]).await?;
        let waiting = client.reach_consent(&scene.agent, &scene.upstream, &client.authorization(Some(HANDLE))).await?;
        assert!(waiting.contains("/oauth/consent"));

        let unknown = exchange(&client, "us_nothing", &[]).await?;
        assert_eq!(unknown.refusal(), "400 invalid_request");
        for (client, id) in [(&client, &device), (&stranger, &id), (&stranger, &over), (&client, &tokens.access_token)] {
            let refused = exchange(client, id, &[]).await?;
            assert_eq!(refused.refusal(), "400 invalid_request");
            assert_eq!(refused.json()["error_description"], unknown.json()["error_description"], "one text for all");
        }
        for (name, value, refusal) in [
            ("subject_token", "", "400 invalid_request"),
            ("subject_token_type", "", "400 invalid_request"),
            ("subject_token_type", ACCESS_TOKEN, "400 invalid_request"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token", "400 invalid_request"),
            ("actor_token", "x", "400 invalid_request"),
            ("audience", "https://elsewhere.example", "400 invalid_target"),
            ("resource", "https://elsewhere.example/", "400 invalid_target"),
            ("scope", "nonsense", "400 invalid_scope"),
        ] {
            assert_eq!(exchange(&client, &id, &[(name, value)]).await?.refusal(), refusal, "{name}={value}");
        }
        assert_eq!(exchange(&scene.client, &id, &[]).await?.refusal(), "400 unauthorized_client", "a public one");
        assert_eq!(exchange(&without_leave, &id, &[]).await?.refusal(), "400 unauthorized_client");
        let wrong = OauthClient { client_secret: Some("cw_cs_wrong".to_owned()), ..client.clone() };
        assert_eq!(exchange(&wrong, &id, &[]).await?.refusal(), "401 invalid_client");
        let nobody = OauthClient { client_secret: None, ..client.clone() };
        assert_eq!(exchange(&nobody, &id, &[]).await?.refusal(), "401 invalid_client");
        assert_eq!(exchange(&client, &id, &[]).await?.status, 200, "none of this used anything up");
        assert_eq!(Tokens::read(&client.refresh(&scene.agent, &tokens.refresh_token).await?)?.answer["sub"], DID);
        Ok(())
    }
}
