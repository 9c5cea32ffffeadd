//! `/admin`: the operator's HTTP API.

use causeway_testkit::{Agent, Answer, OauthClient, TestApp};
use causeway_types::SessionKind;
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, Scene, count, on_each_database, within_a_second};

async fn ask(scene: &Scene, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
    let request = scene.agent.request(method.parse()?, &scene.app.at(path)).bearer_auth(TestApp::ADMIN_TOKEN);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    scene.agent.send(request).await
}

/// The client that an answer is about, with its secret.
fn registered(scene: &Scene, made: &Value) -> OauthClient {
    OauthClient {
        client_id: made["client_id"].as_str().unwrap().to_owned(),
        client_secret: made["client_secret"].as_str().map(str::to_owned),
        in_header: made["token_endpoint_auth_method"] == "client_secret_basic",
        ..scene.client.clone()
    }
}

/// The names of what was written down, the first one first.
async fn events(scene: &Scene, query: &str) -> anyhow::Result<Vec<String>> {
    let events = ask(scene, "GET", &format!("/admin/audit{query}"), None).await?.json();
    let names = events["events"].as_array().unwrap().iter().rev().map(|event| {
        assert_eq!(event["actor"] == "operator", event["details"]["by"] == "http", "{event}");
        event["event"].as_str().unwrap().to_owned()
    });
    Ok(names.collect())
}

on_each_database! {
    /// Without the token, or with a wrong one, all of it is refused; repeated guesses are throttled.
    async fn the_operator_alone(database) {
        let scene = Scene::set(database).await?;
        let paths = [
            ("GET", "/admin/clients"), ("POST", "/admin/clients"), ("GET", "/admin/clients/x"),
            ("PUT", "/admin/clients/x"), ("DELETE", "/admin/clients/x"), ("POST", "/admin/clients/x/secret"),
            ("GET", "/admin/sessions"), ("GET", "/admin/sessions/x"), ("DELETE", "/admin/sessions/x"),
            ("POST", "/admin/tokens/revoke"), ("GET", "/admin/keys"), ("POST", "/admin/keys"),
            ("DELETE", "/admin/keys/x"), ("GET", "/admin/audit"), ("GET", "/admin/tenants"), ("POST", "/admin/tenants"),
            ("GET", "/admin/tenants/x"), ("DELETE", "/admin/tenants/x"), ("GET", "/admin/tenants/x/users"),
            ("GET", "/admin/tenants/x/users/y/z"), ("DELETE", "/admin/tenants/x/users/y/z"),
            ("GET", "/admin/tenants/x/connections"), ("GET", "/admin/tenants/x/connections/y"),
            ("DELETE", "/admin/tenants/x/connections/y"), ("POST", "/admin/tenants/x/connections/y/share"),
        ];
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        for (method, path) in paths {
            let request = || scene.agent.request(method.parse().unwrap(), &scene.app.at(path));
            let stranger = scene.agent.send(request()).await?;
            assert_eq!(stranger.refusal(), "401 invalid_token", "{method} {path}");
            assert_eq!(stranger.header("www-authenticate"), "Bearer realm=\"causeway-admin\"");
            let user = scene.agent.send(request().bearer_auth(&tokens.access_token)).await?;
            assert_eq!(user.refusal(), "401 invalid_token", "{method} {path}");
        }
        let guess = || {
            let request = scene.agent.request("GET".parse().unwrap(), &scene.app.at("/admin/clients"));
            scene.agent.send(request.bearer_auth("a-guess-of-mine-here"))
        };
        for _ in 2 * paths.len()..100 {
            assert_eq!(guess().await?.status, 401);
        }
        assert_eq!(guess().await?.refusal(), "429 temporarily_unavailable");
        assert_eq!(ask(&scene, "GET", "/admin/clients", None).await?.status, 200, "the operator at the same address");
        assert_eq!(guess().await?.refusal(), "429 temporarily_unavailable", "which gives guesses no room");
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
        let client = registered(&scene, &made);
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
            events(&scene, &format!("?client={id}")).await?,
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

    /// Sessions at every provider are listed and shown, each by its account there.
    async fn sessions_at_every_provider(database) {
        let scene = Scene::set(database).await?;
        let client_id = &scene.client.client_id;
        let other = scene.app.connect_bearer(client_id, "user-17", SessionKind::Background).await?;
        let tokens = scene.client.sign_in(&Agent::default(), &scene.upstream, HANDLE).await?;
        let own = scene.session_id(&tokens).await?;
        let listed = ask(&scene, "GET", &format!("/admin/sessions?client={client_id}"), None).await?.json();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 2, "{listed}");
        for (id, provider, subject, kind) in
            [(other.session_id.as_str(), "bearer", "user-17", "background"), (&own, "atproto", DID, "device")]
        {
            let shown = ask(&scene, "GET", &format!("/admin/sessions/{id}"), None).await?.json();
            assert!(listed["sessions"].as_array().unwrap().contains(&shown), "{listed}");
            assert_eq!((&shown["provider"], &shown["subject"]), (&json!(provider), &json!(subject)));
            assert_eq!((&shown["credential_kind"], &shown["session_kind"]), (&json!("user"), &json!(kind)));
            assert_eq!(shown["did"].is_null(), provider != "atproto", "{shown}");
            assert_eq!(shown["pds"].is_null(), provider != "atproto", "{shown}");
        }
        let path = format!("/admin/sessions/{}", other.session_id);
        assert_eq!(ask(&scene, "DELETE", &path, None).await?.status, 204);
        assert!(scene.works(&tokens).await?);
        scene.app.ctx.settle().await;
        assert_eq!(scene.upstream.live_grants(), 1, "it was revoked at its provider");
        Ok(())
    }

    /// Finds, shows and ends sessions: one, or all of a user.
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
        let events = events(&scene, "?event=revocation").await?;
        assert_eq!(events.len(), 3, "{events:?}");
        Ok(())
    }

    /// A list goes on where its page ended, and the last page says that it is the last one.
    async fn lists_have_pages(database) {
        let scene = Scene::set(database).await?;
        for _ in 0..3 {
            scene.client.sign_in(&Agent::default(), &scene.upstream, HANDLE).await?;
        }
        for _ in 0..2 {
            OauthClient::register(&scene.agent, &scene.app.issuer).await?;
        }
        for (path, list, key) in [
            ("/admin/sessions?limit=2", "sessions", "session_id"),
            ("/admin/clients?limit=2", "clients", "client_id"),
            ("/admin/audit?event=sign_in&limit=2", "events", "session_id"),
        ] {
            let first = ask(&scene, "GET", path, None).await?.json();
            let next = first["next"].as_str().expect("there is more");
            let second = ask(&scene, "GET", &format!("{path}&after={next}"), None).await?.json();
            assert_eq!(second["next"], Value::Null, "{second}");
            let pages = [&first, &second].map(|page| page[list].as_array().unwrap().clone());
            assert_eq!(pages.each_ref().map(Vec::len), [2, 1], "{path}");
            let keys: std::collections::BTreeSet<String> =
                pages.concat().iter().map(|row| row[key].to_string()).collect();
            assert_eq!(keys.len(), 3, "{path}: none twice, none left out");
        }
        Ok(())
    }

    /// A deleted client counts as deleted with the response; its rows are deleted afterwards, in the
    /// background.
    async fn a_deleted_client_goes_in_the_background(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let path = format!("/admin/clients/{}", scene.client.client_id);
        assert_eq!(ask(&scene, "DELETE", &path, None).await?.status, 204);
        assert!(!scene.works(&tokens).await?);
        assert_eq!(ask(&scene, "GET", &path, None).await?.refusal(), "404 not_found");
        assert_eq!(ask(&scene, "DELETE", &path, None).await?.refusal(), "404 not_found");
        scene.app.ctx.settle().await;
        for table in ["oauth_client", "oauth_access_token", "oauth_refresh_token", "oauth_auth_request"] {
            assert_eq!(count(&scene.app, table).await?, 0, "{table}");
        }
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }

    /// Revoking the tokens of a client revokes its own access tokens; filters that name a user do not match
    /// these.
    async fn what_a_client_has_for_itself(database) {
        let scene = Scene::set(database).await?;
        let body = json!({
            "redirect_uris": [], "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_post",
        });
        let made = ask(&scene, "POST", "/admin/clients", Some(body)).await?.json();
        let client = registered(&scene, &made);
        let form = [("grant_type", "client_credentials")];
        let token = client.post(&scene.agent, "/oauth/token", &form).await?.json();
        let token = token["access_token"].as_str().unwrap();
        let is_active = async || {
            let told = client.post(&scene.agent, "/oauth/introspect", &[("token", token)]).await?.json();
            anyhow::Ok(told["active"] == true)
        };
        let revoke = async |of: Value| {
            anyhow::Ok(ask(&scene, "POST", "/admin/tokens/revoke", Some(of)).await?.json())
        };
        let id = &client.client_id;
        let answer = |revoked: usize| json!({ "ended_sessions": 0, "revoked_client_tokens": revoked });
        assert_eq!(revoke(json!({ "client": id, "user": DID })).await?, answer(0));
        assert_eq!(revoke(json!({ "client": scene.client.client_id })).await?, answer(0));
        assert!(is_active().await?);
        assert_eq!(revoke(json!({ "client": id })).await?, answer(1));
        assert!(!is_active().await?);
        assert_eq!(revoke(json!({ "client": id })).await?, answer(0), "nothing is left to do");
        let query = format!("?client={id}");
        assert_eq!(events(&scene, &query).await?, ["client_created", "revocation"]);
        let written = ask(&scene, "GET", &format!("/admin/audit{query}"), None).await?.json();
        assert_eq!(written["events"][0]["details"]["client_tokens"], 1, "{written}");
        Ok(())
    }

    /// Entitlements, resources and lifetimes: set, in force, unchanged when omitted, removed; and accepted in
    /// the form in which they were returned.
    async fn what_only_the_operator_says(database) {
        let scene = Scene::set(database).await?;
        let plain = json!({
            "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_method": "client_secret_post",
        });
        let with = |more: Value| {
            let mut body = plain.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Some(body)
        };
        let terms = json!({
            "allow_background_access": false, "allow_session_export": true,
            "providers": ["google"], "manage_tenants": true, "import_connections": true, "allow_unconfirmed": true,
            "allowed_resources": ["https://api.example/v1"],
            "access_token_expiration": 60, "refresh_token_expiration": 0,
        });
        let of = |shown: &Value| -> Value {
            terms.as_object().unwrap().keys().map(|name| (name.clone(), shown[name].clone())).collect()
        };
        let made = ask(&scene, "POST", "/admin/clients", with(terms.clone())).await?.json();
        assert_eq!(of(&made), terms);
        let client = registered(&scene, &made);
        let path = format!("/admin/clients/{}", client.client_id);

        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_eq!(tokens.answer["expires_in"], 60);
        let told = client.post(&scene.agent, "/oauth/introspect", &[("token", &tokens.refresh_token)]).await?.json();
        assert_eq!((&told["active"], told.get("exp")), (&json!(true), None), "{told}");
        let own = [("grant_type", "client_credentials"), ("resource", "https://api.example/v1")];
        assert_eq!(client.post(&scene.agent, "/oauth/token", &own).await?.status, 200);

        let kept = ask(&scene, "PUT", &path, with(json!({ "client_name": "Other" }))).await?.json();
        assert_eq!(of(&kept), terms, "left out");
        let mut again = ask(&scene, "PUT", &path, Some(kept.clone())).await?.json();
        let mut read = kept;
        for shown in [&mut again, &mut read] {
            shown.as_object_mut().unwrap().remove("updated_at");
        }
        assert_eq!(again, read, "sent back as it was read");
        let others = json!({
            "allow_background_access": true, "allow_session_export": false, "allowed_resources": [],
            "providers": [], "manage_tenants": false, "import_connections": false, "allow_unconfirmed": false,
            "access_token_expiration": 120, "refresh_token_expiration": 3600,
        });
        assert_eq!(of(&ask(&scene, "PUT", &path, with(others.clone())).await?.json()), others);
        assert_eq!(of(&ask(&scene, "GET", &path, None).await?.json()), others);
        within_a_second(async || {
            let answer = client.post(&scene.agent, "/oauth/token", &own).await?;
            Ok(answer.refusal() == "400 invalid_target")
        })
        .await?;

        for (name, value, refusal) in [
            ("allow_session_export", json!("yes"), "400 invalid_request"),
            ("allowed_resources", json!(["/here"]), "400 invalid_request"),
            ("providers", json!("google"), "400 invalid_request"),
            ("manage_tenants", json!(1), "400 invalid_request"),
            ("access_token_expiration", json!(0), "400 invalid_request"),
            ("refresh_token_expiration", json!(-1), "400 invalid_request"),
            ("client_secret", json!("of-my-own"), "400 invalid_request"),
            ("registration_access_token", json!("of-my-own"), "400 invalid_request"),
            ("scope", json!("identity:*"), "400 invalid_client_metadata"),
        ] {
            for (method, path) in [("POST", "/admin/clients"), ("PUT", &*path)] {
                let answer = ask(&scene, method, path, with(json!({ name: value.clone() }))).await?;
                assert_eq!(answer.refusal(), refusal, "{method} {name}");
                assert!(answer.json()["error_description"].as_str().unwrap().contains(name), "{answer:?}");
            }
        }
        let public = with(json!({
            "grant_types": ["authorization_code"], "token_endpoint_auth_method": "none", "allow_session_export": true,
        }));
        let public = ask(&scene, "POST", "/admin/clients", public).await?;
        assert_eq!(public.refusal(), "400 invalid_client_metadata");
        Ok(())
    }

    /// A client that registers by itself gives itself nothing of that.
    async fn what_no_client_says_of_itself(database) {
        let scene = Scene::set(database).await?;
        let more = json!({
            "allow_session_export": true, "allowed_resources": ["urn:a:b"], "access_token_expiration": 1,
            "refresh_token_expiration": 0, "providers": ["google"], "manage_tenants": true,
            "import_connections": true, "allow_unconfirmed": true,
        });
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, more).await?;
        let shown = ask(&scene, "GET", &format!("/admin/clients/{}", client.client_id), None).await?.json();
        assert_eq!(
            (&shown["allow_session_export"], &shown["allowed_resources"], &shown["access_token_expiration"]),
            (&json!(false), &json!([]), &json!(86_400))
        );
        assert_eq!(shown["refresh_token_expiration"], 1_209_600);
        for entitlement in ["manage_tenants", "import_connections", "allow_unconfirmed"] {
            assert_eq!(shown[entitlement], false, "{entitlement}");
        }
        assert_eq!(shown["providers"], json!([]));
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
        assert_eq!(events(&scene, "?event=key_rotated").await?.len(), 2);
        Ok(())
    }
}
