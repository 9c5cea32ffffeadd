//! `/oauth/register` (RFC 7591).

use causeway_flow::client::registration::RegistrationPolicy;
use causeway_testkit::{Agent, Answer, OauthClient, ScriptedUpstream, TestApp};
use causeway_types::Secret;
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, Scene, count, on_each_database};

/// A request to a registration's own address.
async fn manage(
    scene: &Scene,
    method: &str,
    client: &Value,
    token: &str,
    body: Option<&Value>,
) -> anyhow::Result<Answer> {
    let request = scene.agent.request(method.parse()?, client["registration_client_uri"].as_str().unwrap());
    let request = request.bearer_auth(token);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    scene.agent.send(request).await
}

on_each_database! {
    /// The answer repeats what was registered and hands out a secret once, to those that have one.
    async fn answers(database) {
        let scene = Scene::set(database).await?;
        let url = scene.app.at("/oauth/register");
        let register = |body: Value| scene.agent.post_body(&url, "application/json", body.to_string());
        let refused = register(json!([])).await?;
        assert_eq!(refused.refusal(), "400 invalid_client_metadata");
        assert!(refused.text.contains("expected a JSON object"), "in words of JSON: {refused:?}");
        let answer = register(json!({"redirect_uris": ["https://app.example/cb"], "client_name": "App", "logo_uri": "https://app.example/l"})).await?;
        assert_eq!(answer.status, 201);
        let body = answer.json();
        assert_eq!(body["token_endpoint_auth_method"], "client_secret_basic");
        assert!(body["client_secret"].as_str().unwrap().starts_with("cw_cs_"));
        assert_eq!(body["client_secret_expires_at"], 0);
        assert_eq!(body["grant_types"], json!(["authorization_code"]));
        assert_eq!(body["response_types"], json!(["code"]));
        assert_eq!((&body["client_name"], &body["logo_uri"]), (&json!("App"), &json!("https://app.example/l")));
        let public = register(json!({"redirect_uris": ["com.example.app:/cb"], "token_endpoint_auth_method": "none"})).await?.json();
        assert_eq!((public.get("client_secret"), public["client_id"].is_string()), (None, true));

        let own_by_name = scene.app.issuer.replace("127.0.0.1", "localhost");
        for (body, refusal) in [
            (json!({}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["http://evil.example/cb"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["javascript:alert(1)"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["https://a.example/cb", "javascript.x:/cb"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["https:///a.example/cb"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["example://cb"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": [scene.app.at("/oauth/callback")]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": [own_by_name]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["https://a.example"], "post_logout_redirect_uris": [scene.app.at("/")]}), "400 invalid_client_metadata"),
            (json!({"redirect_uris": ["https://a.example"], "post_logout_redirect_uris": ["https://a.example/out", own_by_name]}), "400 invalid_client_metadata"),
            (json!({"redirect_uris": ["https://a.example"], "scope": "repo:nonsense"}), "400 invalid_client_metadata"),
            (json!({"redirect_uris": "https://a.example"}), "400 invalid_client_metadata"),
            (json!({"redirect_uris": ["https://a.example"], "token_endpoint_auth_method": "tls_client_auth"}), "400 invalid_client_metadata"),
        ] {
            assert_eq!(register(body.clone()).await?.refusal(), refusal, "{body}");
        }
        Ok(())
    }

    /// Stock clients send empty members and unsuitable ones: the response shows what was stored.
    async fn leaves_out_what_says_nothing(database) {
        let scene = Scene::set(database).await?;
        let url = scene.app.at("/oauth/register");
        let body = json!({
            "redirect_uris": ["cursor://anysphere.cursor-retrieval/oauth/callback", "https://www.cursor.example/cb", "http://localhost:8787/cb"],
            "token_endpoint_auth_method": "none", "client_name": "Cur\u{200b}sor\u{202e}", "client_uri": "", "scope": "",
            "jwks": {"keys": []}, "jwks_uri": "", "logo_uri": "http://app.example/l.png", "tos_uri": "javascript:alert(1)",
            "policy_uri": "https://app.example/privacy", "software_id": "", "contacts": [""],
        });
        let answer = scene.agent.post_body(&url, "application/json", body.to_string()).await?;
        assert_eq!(answer.status, 201, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["redirect_uris"], body["redirect_uris"]);
        assert_eq!((&answer["client_name"], &answer["policy_uri"]), (&json!("Cursor"), &body["policy_uri"]));
        assert_eq!(answer["token_endpoint_auth_method"], "none");
        for gone in ["client_uri", "scope", "jwks", "jwks_uri", "logo_uri", "tos_uri", "software_id"] {
            assert_eq!(answer.get(gone), None, "{gone}");
        }
        Ok(())
    }

    /// A registered loopback address stands for every port of the device, but not for this server's own.
    async fn no_way_back_to_this_server(database) {
        let scene = Scene::set(database).await?;
        for own in [scene.app.at("/callback"), scene.app.at("/callback?x")] {
            let authorization = scene.client.authorization(Some(HANDLE)).with("redirect_uri", Some(&own));
            let page = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!((page.status, page.header("location")), (400, ""), "{own}: {page:?}");
        }
        let loopback = url::form_urlencoded::byte_serialize(scene.app.at("/cb").as_bytes()).collect::<String>();
        let itself = OauthClient { client_id: format!("http://localhost?redirect_uri={loopback}"), ..scene.client.clone() };
        let page = scene.agent.get(&itself.authorization(None).url(&scene.app.issuer)).await?;
        assert!(page.status == 400 && page.text.contains("an address of this server"), "{page:?}");
        Ok(())
    }

    /// RFC 7592: a client reads, changes and deletes its registration with the token that it was given.
    async fn management(database) {
        let mut scene = Scene::set(database).await?;
        let metadata = json!({
            "redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "client_name": "One",
        });
        let url = scene.app.at("/oauth/register");
        let client = scene.agent.post_body(&url, "application/json", metadata.to_string()).await?.json();
        let token = client["registration_access_token"].as_str().unwrap().to_owned();
        assert!(token.starts_with("cw_rg_"));
        scene.client.client_id = client["client_id"].as_str().unwrap().to_owned();
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;

        let shown = manage(&scene, "GET", &client, &token, None).await?;
        assert_eq!((shown.status, &shown.json()["client_name"]), (200, &json!("One")));
        assert_eq!(shown.json()["registration_access_token"], *token, "section 3: it is in every answer");
        assert_eq!(shown.json()["registration_client_uri"], client["registration_client_uri"]);
        for wrong in ["cw_rg_wrong", &tokens.access_token] {
            for method in ["GET", "PUT", "DELETE"] {
                assert_eq!(manage(&scene, method, &client, wrong, Some(&metadata)).await?.refusal(), "401 invalid_token");
            }
        }

        let mut changed = metadata.clone();
        changed["client_name"] = json!("Two");
        assert_eq!(manage(&scene, "PUT", &client, &token, Some(&changed)).await?.refusal(), "400 invalid_client_metadata");
        changed["client_id"] = client["client_id"].clone();
        let answer = manage(&scene, "PUT", &client, &token, Some(&changed)).await?;
        assert_eq!((answer.status, &answer.json()["client_name"]), (200, &json!("Two")));
        for member in ["registration_access_token", "registration_client_uri", "client_id_issued_at"] {
            assert_eq!(answer.json()[member], client[member], "{member}");
        }
        changed["post_logout_redirect_uris"] = json!(["https://app.example/out", scene.app.at("/logged-out")]);
        let refused = manage(&scene, "PUT", &client, &token, Some(&changed)).await?;
        assert_eq!(refused.refusal(), "400 invalid_client_metadata");
        assert!(refused.text.contains("post_logout_redirect_uris") && refused.text.contains("/logged-out"), "{refused:?}");
        changed["post_logout_redirect_uris"] = json!(["https://app.example/out"]);
        changed["redirect_uris"] = json!(["javascript:alert(1)"]);
        assert_eq!(manage(&scene, "PUT", &client, &token, Some(&changed)).await?.refusal(), "400 invalid_redirect_uri");
        assert_eq!(manage(&scene, "GET", &client, &token, None).await?.json()["client_name"], "Two");
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &tokens.access_token).await?;
        assert_eq!(userinfo.json()["sub"], DID, "tokens outlive a change");

        changed["redirect_uris"] = json!(["https://app.example/cb"]);
        changed["token_endpoint_auth_method"] = json!("client_secret_basic");
        let secret = manage(&scene, "PUT", &client, &token, Some(&changed)).await?.json()["client_secret"].clone();
        assert!(secret.as_str().unwrap().starts_with("cw_cs_"));
        let shown = manage(&scene, "GET", &client, &token, None).await?.json();
        assert_eq!(shown["redirect_uris"], json!(["https://app.example/cb"]), "replaced, not added to");
        changed["client_secret"] = json!("cw_cs_another");
        assert_eq!(manage(&scene, "PUT", &client, &token, Some(&changed)).await?.refusal(), "400 invalid_client_metadata");

        assert_eq!(scene.upstream.live_grants(), 1);
        assert_eq!(manage(&scene, "DELETE", &client, &token, None).await?.status, 204);
        scene.app.ctx.settle().await;
        assert_eq!(scene.upstream.live_grants(), 0, "its sessions are revoked at the PDS");
        assert_eq!(manage(&scene, "GET", &client, &token, None).await?.refusal(), "401 invalid_token");
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &tokens.access_token).await?;
        assert_eq!(userinfo.status, 401);
        Ok(())
    }

    /// The answer confirms what is honoured: what asks for a protection that is not given here is refused, and what
    /// means nothing here is not in it. What is null is left out, as when a client sends back what it was shown.
    async fn only_what_is_honoured(database) {
        let scene = Scene::set(database).await?;
        let url = scene.app.at("/oauth/register");
        let register = |more: Value| {
            let mut body = json!({"redirect_uris": ["https://app.example/cb"]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            scene.agent.post_body(&url, "application/json", body.to_string())
        };
        for (name, value) in [
            ("subject_type", json!("pairwise")),
            ("id_token_encrypted_response_alg", json!("RSA-OAEP")),
            ("userinfo_encrypted_response_enc", json!("A256GCM")),
            ("request_object_encryption_alg", json!("RSA-OAEP")),
            ("request_object_signing_alg", json!("none")),
            ("request_object_signing_alg", json!("HS256")),
            ("require_signed_request_object", json!("true")),
            ("require_pushed_authorization_requests", json!(1)),
            ("tls_client_certificate_bound_access_tokens", json!(true)),
            ("default_max_age", json!("60")),
        ] {
            assert_eq!(register(json!({ name: value })).await?.refusal(), "400 invalid_client_metadata", "{name}");
        }
        let answer = register(json!({
            "frontchannel_logout_uri": "https://app.example/out", "authorization_signed_response_alg": "RS256",
            "jwks_uri": null, "scope": null, "client_name": null, "grant_types": null, "logo_uri": null,
            "jwks": null, "post_logout_redirect_uris": null, "backchannel_logout_uri": null,
            "default_max_age": 60, "subject_type": "public", "request_object_signing_alg": "ES256",
        })).await?;
        assert_eq!(answer.status, 201, "{answer:?}");
        let body = answer.json();
        for kept in [("default_max_age", json!(60)), ("subject_type", json!("public")), ("request_object_signing_alg", json!("ES256"))] {
            assert_eq!(body[kept.0], kept.1, "{kept:?}");
        }
        for gone in ["frontchannel_logout_uri", "authorization_signed_response_alg", "logo_uri", "jwks_uri", "scope"] {
            assert_eq!(body.get(gone), None, "{gone}");
        }
        assert_eq!(register(json!({"redirect_uris": null})).await?.refusal(), "400 invalid_redirect_uri", "left out");
        Ok(())
    }

    /// RFC 9126 section 4: what was pushed is checked again when it is used, by what the client is then.
    async fn a_change_counts_for_what_was_pushed(database) {
        let scene = Scene::set(database).await?;
        let mut metadata = json!({"redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none"});
        let url = scene.app.at("/oauth/register");
        let registered = scene.agent.post_body(&url, "application/json", metadata.to_string()).await?.json();
        let client_id = registered["client_id"].as_str().unwrap().to_owned();
        let client = OauthClient { client_id: client_id.clone(), ..scene.client.clone() };
        let authorization = client.authorization(Some(HANDLE));
        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &authorization.form()).await?.json();
        let request_uri = pushed["request_uri"].as_str().unwrap().to_owned();

        metadata["client_id"] = json!(client_id);
        metadata["redirect_uris"] = json!(["https://app.example/cb"]);
        let token = registered["registration_access_token"].as_str().unwrap();
        assert_eq!(manage(&scene, "PUT", &registered, token, Some(&metadata)).await?.status, 200);
        // At a server that has not met the client before: clients are kept in memory for half a second.
        let other = scene.beside(database).await?;
        let query = [("client_id", &*client_id), ("request_uri", &*request_uri)];
        let begin = url::Url::parse_with_params(&other.at("/oauth/authorize"), query)?;
        let page = scene.agent.get(begin.as_str()).await?;
        assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");
        assert!(page.text.contains("is not registered for this client"), "{page:?}");
        Ok(())
    }

    /// The operator decides who may register, and the metadata reflects it.
    async fn policies(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let agent = Agent::default();
        let body = json!({"redirect_uris": ["https://app.example/cb"]}).to_string();
        for (policy, without, with, advertised) in [
            (RegistrationPolicy::Open, 201, 201, true),
            (RegistrationPolicy::Token(Secret::new("the initial access token")), 401, 201, true),
            (RegistrationPolicy::Off, 403, 403, false),
        ] {
            let tune = |parts: &mut causeway_flow::CtxParts| parts.registration = policy.clone();
            let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
            let url = app.at("/oauth/register");
            assert_eq!(agent.post_body(&url, "application/json", body.clone()).await?.status, without, "{policy:?}");
            for (token, status) in [("the initial access token", with), ("another token", without)] {
                let request = agent.request("POST".parse()?, &url).bearer_auth(token);
                let request = request.header("content-type", "application/json").body(body.clone());
                assert_eq!(agent.send(request).await?.status, status, "{policy:?} {token}");
            }
            let metadata = agent.get(&app.at("/.well-known/oauth-authorization-server")).await?.json();
            assert_eq!(metadata.get("registration_endpoint").is_some(), advertised, "{policy:?}");
        }
        Ok(())
    }

    /// A registration that nobody signs in to goes after thirty days; one in use, and what the operator made, stays.
    async fn unused_ones_go(database) {
        let scene = Scene::set(database).await?;
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.app.client(&scene.agent).await?;
        let before = count(&scene.app, "oauth_client").await?;
        scene.app.clock.advance(30 * 86_400 - 3600);
        scene.upkeep().await?;
        assert_eq!(count(&scene.app, "oauth_client").await?, before);
        scene.app.clock.advance(7200);
        scene.upkeep().await?;
        assert_eq!(count(&scene.app, "oauth_client").await?, before - 1);
        Ok(())
    }
}
