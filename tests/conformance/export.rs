//! Sessions for clients that authenticate as themselves: looking one up, and session export.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::client::Entitlement;
use causeway_testkit::{Agent, Answer, OauthClient, Tokens};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, OTHER_DID, Scene, on_each_database};

/// As the client, by HTTP Basic.
async fn get(client: &OauthClient, path: &str) -> Result<Answer> {
    let agent = Agent::default();
    let request = agent.request("GET".parse()?, &format!("{}{path}", client.issuer));
    agent.send(request.basic_auth(&client.client_id, client.client_secret.as_deref())).await
}

/// As the client, in the body.
async fn post(client: &OauthClient, path: &str, params: &[(&str, &str)]) -> Result<Answer> {
    client.post(&Agent::default(), path, params).await
}

async fn session(scene: &Scene, tokens: &Tokens) -> Result<Value> {
    Ok(scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json())
}

fn part(jwt: &str, index: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

on_each_database! {
    /// No token fixes the kind here, so it has to be named. Without a fingerprint the device session that was
    /// used last; with an unknown one none.
    async fn looked_up_by_kind(database) {
        let scene = Scene::with_bob(database).await?;
        let client = scene.client_with_entitlements(&[Entitlement::BackgroundAccess]).await?;
        let on_device = OauthClient { scope: "atproto".to_owned(), ..client.clone() };
        let background = session(&scene, &client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?).await?;
        let first = on_device.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let phone = Agent::default();
        let second = on_device.sign_in(&phone, &scene.upstream, HANDLE).await?;
        let (first, on_phone) = (session(&scene, &first).await?, session(&scene, &second).await?);
        let fingerprint = |session: &Value| session["fingerprint"].as_str().unwrap().to_owned();
        assert_eq!(background["fingerprint"], Value::Null);
        assert_ne!(fingerprint(&first), fingerprint(&on_phone));
        let elsewhere = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let elsewhere = session(&scene, &elsewhere).await?;
        assert_ne!(fingerprint(&first), fingerprint(&elsewhere), "two clients cannot compare notes");

        let ask = async |query: &str| get(&client, &format!("/api/sessions?{query}")).await;
        let id = |answer: &Answer| answer.json()["session_id"].clone();
        let found = ask(&format!("sub={DID}&session_kind=background")).await?;
        assert_eq!((found.status, id(&found)), (200, background["session_id"].clone()), "{found:?}");
        assert_eq!(found.json()["scope"], "atproto transition:generic background_access");
        scene.app.clock.advance(61);
        scene.works(&second).await?;
        assert_eq!(id(&ask(&format!("sub={DID}&session_kind=device")).await?), on_phone["session_id"]);
        let by_name = |name: &str| format!("sub={DID}&session_kind=device&fingerprint={name}");
        assert_eq!(id(&ask(&by_name(&fingerprint(&first))).await?), first["session_id"]);
        let posted = post(&client, "/api/sessions", &[("sub", DID), ("session_kind", "background")]).await?;
        assert_eq!(id(&posted), background["session_id"]);

        for (query, refusal) in [
            (format!("sub={DID}"), "400 invalid_request"),
            (format!("sub={DID}&session_kind=any"), "400 invalid_request"),
            (format!("sub={DID}&session_kind=background&fingerprint=x"), "400 invalid_request"),
            ("session_kind=device".to_owned(), "400 invalid_request"),
            (format!("sub={HANDLE}&session_kind=device"), "400 invalid_request"),
            (by_name("unknown"), "404 not_found"),
            (by_name(&fingerprint(&elsewhere)), "404 not_found"),
            (format!("sub={OTHER_DID}&session_kind=device"), "404 not_found"),
        ] {
            assert_eq!(ask(&query).await?.refusal(), refusal, "{query}");
        }
        let stranger = scene.client_with_entitlements(&[]).await?;
        let query = format!("/api/sessions?sub={DID}&session_kind=background");
        assert_eq!(get(&stranger, &query).await?.refusal(), "404 not_found");
        assert_eq!(get(&scene.client, &query).await?.refusal(), "403 unauthorized_client", "a public one");
        let in_query = format!("{query}&client_id={}&client_secret={}", client.client_id, client.client_secret.clone().unwrap());
        assert_eq!(scene.agent.get(&scene.app.at(&in_query)).await?.refusal(), "401 invalid_client", "never in a query");
        Ok(())
    }

    /// The upstream access token, refreshed, and proofs by a key that stays here: enough to call the PDS
    /// without the relay.
    async fn exported_to_a_trusted_client(database) {
        let scene = Scene::set(database).await?;
        let client = scene.client_with_entitlements(&[Entitlement::BackgroundAccess, Entitlement::SessionExport]).await?;
        let device = OauthClient { scope: "atproto".to_owned(), ..client.clone() };
        for (client, kind) in [(&client, "background"), (&device, "device")] {
            let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
            let id = scene.session_id(&tokens).await?;
            let path = format!("/api/sessions/{id}");
            let exported = get(client, &path).await?;
            let body = exported.json();
            assert_eq!((exported.status, exported.header("cache-control")), (200, "no-store"), "{exported:?}");
            for (name, value) in [("session_id", &*id), ("session_kind", kind), ("sub", DID), ("token_type", "DPoP"), ("pds", &scene.upstream.origin)] {
                assert_eq!(body[name], value, "{name}");
            }
            assert_eq!((&body["expires_in"], &body["head_iteration"]), (&json!(3600), &json!(1)));
            assert!(body["access_token"].as_str().unwrap().starts_with("upstream-access-"));
            assert!(!exported.text.contains("refresh-") && !exported.text.contains("\"d\""), "{exported:?}");
            scene.app.clock.advance(3600);
            let fresh = post(client, &path, &[]).await?.json();
            assert_eq!((&fresh["expires_in"], &fresh["head_iteration"]), (&json!(3600), &json!(2)));
            assert_ne!(fresh["access_token"], body["access_token"]);

            let htu = format!("{}/xrpc/com.atproto.server.getSession", scene.upstream.origin);
            let proof = post(client, &format!("{path}/dpop-proof"), &[("htm", "GET"), ("htu", &format!("{htu}?a=b")), ("nonce", "n-1")]).await?;
            assert_eq!((proof.status, &proof.json()["head_iteration"]), (200, &json!(2)), "{proof:?}");
            let proof = proof.json()["dpop_proof"].as_str().unwrap().to_owned();
            let (header, claims) = (part(&proof, 0), part(&proof, 1));
            assert_eq!((&header["typ"], &header["alg"], header["jwk"].get("d")), (&json!("dpop+jwt"), &json!("ES256"), None));
            assert_eq!((&claims["htm"], &claims["htu"], &claims["nonce"]), (&json!("GET"), &json!(htu), &json!("n-1")));
            let token = fresh["access_token"].as_str().unwrap();
            assert_eq!(claims["ath"], URL_SAFE_NO_PAD.encode(openssl::sha::sha256(token.as_bytes())));
            let direct = scene.agent.request("GET".parse()?, &htu).header("authorization", format!("DPoP {token}")).header("dpop", &proof);
            assert_eq!(scene.agent.send(direct).await?.status, 200, "the server takes both");

            let url = scene.app.at(&format!("{path}/dpop-proof"));
            let in_json = scene.agent.request("POST".parse()?, &url)
                .basic_auth(&client.client_id, client.client_secret.as_deref())
                .header("content-type", "application/json")
                .body(json!({"htm": "POST", "htu": htu}).to_string());
            assert_eq!(scene.agent.send(in_json).await?.status, 200);
            for (htm, htu, nonce) in [
                ("DELETE", &*htu, ""),
                ("get", &*htu, ""),
                ("", &*htu, ""),
                ("GET", "", ""),
                ("GET", "https://elsewhere.example/xrpc/com.atproto.server.getSession", ""),
                ("POST", &*format!("{}/oauth/token", scene.upstream.origin), ""),
                ("GET", &*htu, "two words"),
            ] {
                let refused = post(client, &format!("{path}/dpop-proof"), &[("htm", htm), ("htu", htu), ("nonce", nonce)]).await?;
                assert_eq!(refused.refusal(), "400 invalid_request", "{htm} {htu} {nonce}");
            }
        }
        Ok(())
    }

    /// Nothing else is exported: not without the entitlement, no other client's sessions, no ended ones.
    async fn exported_to_nobody_else(database) {
        let scene = Scene::set(database).await?;
        let trusted = scene.client_with_entitlements(&[Entitlement::SessionExport]).await?;
        let trusted = OauthClient { scope: "atproto".to_owned(), ..trusted };
        let plain = OauthClient { scope: "atproto".to_owned(), ..scene.client_with_entitlements(&[]).await? };
        crate::support::grant_entitlements(scene.app.store(), &scene.client, &[Entitlement::SessionExport]).await?;
        let htu = format!("{}/xrpc/com.atproto.server.getSession", scene.upstream.origin);
        let mut ids = Vec::new();
        for client in [&trusted, &plain, &scene.client] {
            ids.push(scene.session_id(&client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?).await?);
        }
        let tokens = trusted.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let over = scene.session_id(&tokens).await?;
        trusted.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        for (client, id, refusal) in [
            (&trusted, &ids[1], "404 not_found"),
            (&trusted, &over, "404 not_found"),
            (&trusted, &"us_nothing".to_owned(), "404 not_found"),
            (&plain, &ids[1], "403 unauthorized_client"),
            (&plain, &ids[0], "403 unauthorized_client"),
            (&scene.client, &ids[2], "403 unauthorized_client"),
            (&OauthClient { client_secret: Some("cw_cs_x".to_owned()), ..trusted.clone() }, &ids[0], "401 invalid_client"),
        ] {
            assert_eq!(post(client, &format!("/api/sessions/{id}"), &[]).await?.refusal(), refusal);
            let proof = post(client, &format!("/api/sessions/{id}/dpop-proof"), &[("htm", "GET"), ("htu", &htu)]).await?;
            assert_eq!(proof.refusal(), refusal);
        }
        let bearer = scene.agent.get_with(&scene.app.at(&format!("/api/sessions/{}", ids[0])), &tokens.access_token).await?;
        assert_eq!(bearer.refusal(), "401 invalid_client", "a token is no authentication");
        assert_eq!(get(&trusted, &format!("/api/sessions/{}", ids[0])).await?.status, 200);
        scene.app.clock.advance(7 * 86_400);
        assert_eq!(get(&trusted, &format!("/api/sessions/{}", ids[0])).await?.refusal(), "404 not_found", "idle for too long");
        Ok(())
    }
}
