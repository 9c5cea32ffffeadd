//! OpenID Connect: who signed in, when, and for whom.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_testkit::{OauthClient, Tokens, decide};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, OTHER_DID, Scene, on_each_database};

/// A claim set, unverified: signatures are verified by clients that we did not write, in the journeys.
pub(super) fn claims(jwt: &Value) -> Value {
    let payload = jwt.as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn header(jwt: &Value) -> Value {
    let header = jwt.as_str().unwrap().split('.').next().unwrap().to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

async fn sign_in(scene: &Scene, extra: &[(&str, &str)]) -> anyhow::Result<Tokens> {
    let mut authorization = scene.client.authorization(Some(HANDLE));
    for (name, value) in extra {
        authorization = authorization.with(name, Some(value));
    }
    let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
    let answer = decide(&scene.agent, &consent, "allow").await?;
    let code = answer.redirect_param("code").expect("a code");
    Tokens::read(&scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?)
}

on_each_database! {
    /// OpenID Connect Core sections 2, 3.1.3.6 and 12.2.
    async fn id_token_says_who_signed_in(database) {
        let scene = Scene::set(database).await?;
        let tokens = sign_in(&scene, &[("scope", "openid profile atproto"), ("nonce", "n-1")]).await?;
        assert_eq!(tokens.answer["scope"], "openid profile atproto");
        let jwt = &tokens.answer["id_token"];
        assert_eq!((&header(jwt)["alg"], &header(jwt)["typ"]), (&json!("RS256"), &json!("JWT")));
        let jwks = scene.agent.get(&scene.app.at("/oauth/jwks")).await?.json();
        assert!(jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header(jwt)["kid"]), "{jwks}");
        let first = claims(jwt);
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
        let now = scene.app.ctx.now().as_secs();
        let hash = causeway_jose::left_half_hash(&tokens.access_token);
        assert_eq!(first, json!({
            "iss": scene.app.issuer, "sub": DID, "aud": scene.client.client_id, "azp": scene.client.client_id,
            "exp": now + 3600, "iat": now, "auth_time": now, "sid": session["session_id"], "nonce": "n-1",
            "at_hash": hash, "preferred_username": HANDLE,
        }));

        scene.app.clock.advance(100);
        let refreshed = scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.json();
        let second = claims(&refreshed["id_token"]);
        assert_eq!((&second["sub"], &second["auth_time"]), (&first["sub"], &first["auth_time"]));
        assert_eq!((second["iat"].as_i64(), &second["nonce"]), (Some(now + 100), &Value::Null));
        Ok(())
    }

    /// An id_token is issued only on request: without `openid` there is none.
    async fn no_id_token_without_openid(database) {
        let scene = Scene::set(database).await?;
        let tokens = sign_in(&scene, &[("scope", "atproto"), ("nonce", "n-1")]).await?;
        assert_eq!(tokens.answer.get("id_token"), None);
        Ok(())
    }

    /// A client may have its answers signed with ES256, and its userinfo signed at all.
    async fn algorithms_are_the_clients_choice(database) {
        let mut scene = Scene::set(database).await?;
        let metadata = json!({
            "redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "RS256",
        });
        let url = scene.app.at("/oauth/register");
        let client = scene.agent.post_body(&url, "application/json", metadata.to_string()).await?.json();
        assert_eq!(client["id_token_signed_response_alg"], "ES256");
        scene.client.client_id = client["client_id"].as_str().unwrap().to_owned();
        let tokens = sign_in(&scene, &[("scope", "openid atproto")]).await?;
        assert_eq!(header(&tokens.answer["id_token"])["alg"], "ES256");
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &tokens.access_token).await?;
        assert_eq!((userinfo.status, userinfo.header("content-type")), (200, "application/jwt"));
        let jwt = json!(userinfo.text);
        assert_eq!((&header(&jwt)["alg"], &header(&jwt)["typ"]), (&json!("RS256"), &json!("userinfo+jwt")));
        assert_eq!(claims(&jwt), json!({
            "iss": scene.app.issuer, "aud": client["client_id"], "sub": DID, "preferred_username": HANDLE,
        }));
        Ok(())
    }

    /// `prompt=none` answers from a live grant of this browser, and from nothing else.
    async fn silent_answers(database) {
        let mut scene = Scene::set(database).await?;
        scene.client = scene.web_app().await?;
        let silent = |extra: &[(&str, &str)]| {
            let mut authorization = scene.client.authorization(None).with("prompt", Some("none"));
            for (name, value) in extra {
                authorization = authorization.with(name, Some(value));
            }
            authorization
        };
        let error = async |extra: &[(&str, &str)]| {
            let answer = scene.agent.get(&silent(extra).url(&scene.app.issuer)).await?;
            anyhow::Ok(answer.redirect_param("error").unwrap_or_else(|| format!("{answer:?}")))
        };
        assert_eq!(error(&[]).await?, "login_required");
        let first = sign_in(&scene, &[("scope", "openid atproto")]).await?;

        let again = silent(&[("scope", "openid atproto"), ("login_hint", DID)]);
        let answer = scene.agent.get(&again.url(&scene.app.issuer)).await?;
        let code = answer.redirect_param("code").unwrap_or_else(|| panic!("{answer:?}"));
        let second = Tokens::read(&scene.client.redeem(&scene.agent, &code, &again.verifier).await?)?;
        assert_eq!(claims(&second.answer["id_token"])["sid"], claims(&first.answer["id_token"])["sid"]);

        assert_eq!(error(&[("scope", "openid atproto transition:generic")]).await?, "consent_required");
        assert_eq!(error(&[("scope", "atproto"), ("login_hint", OTHER_DID)]).await?, "login_required");
        scene.app.clock.advance(10);
        assert_eq!(error(&[("scope", "atproto"), ("max_age", "9")]).await?, "login_required");
        let elsewhere = causeway_testkit::Agent::default();
        let answer = elsewhere.get(&silent(&[("scope", "atproto")]).url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("login_required"));
        scene.client.post(&scene.agent, "/oauth/revoke", &[("token", &first.refresh_token)]).await?;
        assert_eq!(error(&[("scope", "atproto")]).await?, "login_required");
        scene.still_works().await
    }

    /// An `id_token_hint` identifies the user, however old it is; one that we did not sign is refused.
    async fn hints(database) {
        let mut scene = Scene::set(database).await?;
        scene.client = scene.web_app().await?;
        let tokens = sign_in(&scene, &[("scope", "openid atproto")]).await?;
        let hint = tokens.answer["id_token"].as_str().unwrap();
        scene.app.clock.advance(7200);
        let with = |token: &str| {
            let request = scene.client.authorization(None).with("id_token_hint", Some(token));
            request.with("prompt", Some("none")).with("scope", Some("atproto")).url(&scene.app.issuer)
        };
        assert!(scene.agent.get(&with(hint)).await?.redirect_param("code").is_some());
        let (signed, _) = hint.rsplit_once('.').unwrap();
        for forged in [format!("{signed}.{}", "A".repeat(342)), format!("{signed}."), "nonsense".to_owned()] {
            let answer = scene.agent.get(&with(&forged)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"), "{forged}");
        }
        let pushed = scene.client.authorization(None).with("id_token_hint", Some(hint));
        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &pushed.form()).await?;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        let pushed = pushed.json();
        let request_uri = pushed["request_uri"].as_str().unwrap();
        let query = [("client_id", &*scene.client.client_id), ("request_uri", request_uri)];
        let url = url::Url::parse_with_params(&scene.app.at("/oauth/authorize"), query)?;
        scene.agent.get(url.as_str()).await?;
        assert_eq!(scene.upstream.last_pushed().get("login_hint").map(String::as_str), Some(DID));
        Ok(())
    }

    /// Everything that we sign about a user has its own `typ`, and is accepted as nothing else: not by us,
    /// and not by a client that checks `typ` (RFC 8725 section 3.11).
    async fn nothing_stands_in_for_an_id_token(database) {
        let mut scene = Scene::set(database).await?;
        let metadata = json!({
            "redirect_uris": ["https://app.example/cb"], "post_logout_redirect_uris": ["https://app.example/out"],
            "userinfo_signed_response_alg": "RS256", "access_token_format": "jwt",
            "introspection_signed_response_alg": "RS256", "token_endpoint_auth_method": "client_secret_post",
        });
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
        scene.client = OauthClient { redirect_uri: "https://app.example/cb".to_owned(), ..client };
        let tokens = sign_in(&scene, &[("scope", "openid atproto")]).await?;
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &tokens.access_token).await?.text;
        let form = scene.client.form(&[("token", &tokens.access_token)]);
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/oauth/introspect")).form(&form);
        let request = request.header("accept", "application/token-introspection+jwt");
        let introspected = scene.agent.send(request).await?.text;
        let id_token = tokens.answer["id_token"].as_str().unwrap();
        let types = [id_token, &userinfo, &tokens.access_token, &introspected].map(|token| header(&json!(token))["typ"].clone());
        assert_eq!(types, [json!("JWT"), json!("userinfo+jwt"), json!("at+jwt"), json!("token-introspection+jwt")]);
        let asks = |hint: &str| {
            let request = scene.client.authorization(None).with("id_token_hint", Some(hint)).with("prompt", Some("none"));
            request.with("scope", Some("atproto")).url(&scene.app.issuer)
        };
        let elsewhere = causeway_testkit::Agent::default();
        for (hint, error) in [(&userinfo, true), (&tokens.access_token, true), (&introspected, true), (&id_token.to_owned(), false)] {
            let answer = scene.agent.get(&asks(hint)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request").filter(|_| error), "{answer:?}");
            let out = url::Url::parse_with_params(&scene.app.at("/oauth/logout"), [("id_token_hint", &**hint), ("post_logout_redirect_uri", "https://app.example/out")])?;
            let page = elsewhere.get(out.as_str()).await?;
            assert_eq!(page.text.contains("needs an id_token_hint of this issuer"), error, "{}", page.text);
        }
        Ok(())
    }

    /// `prompt=login` and `max_age` reach the authorization server, which alone knows when the user
    /// authenticated.
    async fn login_is_asked_for_upstream(database) {
        let scene = Scene::set(database).await?;
        for (name, value, forwarded) in
            [("prompt", "login", "login"), ("max_age", "0", "login"), ("prompt", "select_account", "select_account")]
        {
            let authorization = scene.client.authorization(Some(HANDLE)).with(name, Some(value));
            scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            let pushed = scene.upstream.last_pushed();
            assert_eq!(pushed.get("prompt").map(String::as_str), Some(forwarded), "{name}={value}");
        }
        Ok(())
    }

    /// Section 5.5.1.1: an essential `acr` that cannot be satisfied fails authentication, with the code of
    /// "unmet_authentication_requirements 1.0"; a voluntary one, and `acr_values`, are ignored.
    async fn an_acr_that_has_to_be(database) {
        let mut scene = Scene::set(database).await?;
        scene.client = scene.web_app().await?;
        sign_in(&scene, &[("scope", "openid atproto")]).await?;
        let with = |acr: Value| {
            let claims = json!({"id_token": {"acr": acr}}).to_string();
            scene.client.authorization(Some(HANDLE)).with("claims", Some(&claims)).with("scope", Some("openid atproto"))
        };
        for acr in [json!({"essential": true, "values": ["urn:mfa"]}), json!({"essential": true, "value": "urn:mfa"})] {
            for prompt in [None, Some("none")] {
                let answer = scene.agent.get(&with(acr.clone()).with("prompt", prompt).url(&scene.app.issuer)).await?;
                assert_eq!(answer.redirect_param("error").as_deref(), Some("unmet_authentication_requirements"), "{answer:?}");
            }
            let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &with(acr).form()).await?;
            assert_eq!(pushed.refusal(), "400 unmet_authentication_requirements");
        }
        for acr in [json!({"essential": true}), json!({"values": ["urn:mfa"]}), json!(null)] {
            let request = with(acr.clone()).with("prompt", Some("none")).with("acr_values", Some("urn:mfa"));
            let answer = scene.agent.get(&request.url(&scene.app.issuer)).await?;
            assert!(answer.redirect_param("code").is_some(), "{acr}: {answer:?}");
        }
        Ok(())
    }

    /// OpenID Connect Dynamic Client Registration section 2: `default_max_age` stands where a request says nothing.
    async fn default_max_age(database) {
        let mut scene = Scene::set(database).await?;
        let more = json!({"redirect_uris": ["https://app.example/cb"], "default_max_age": 9, "token_endpoint_auth_method": "none"});
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, more).await?;
        scene.client = OauthClient { redirect_uri: "https://app.example/cb".to_owned(), ..client };
        sign_in(&scene, &[("scope", "openid atproto")]).await?;
        assert_eq!(scene.upstream.last_pushed().get("prompt").map(String::as_str), Some("login"));
        let silent = async |max_age: Option<&str>| {
            let request = scene.client.authorization(None).with("prompt", Some("none")).with("scope", Some("openid atproto"));
            let answer = scene.agent.get(&request.with("max_age", max_age).url(&scene.app.issuer)).await?;
            anyhow::Ok(answer.redirect_param("error"))
        };
        assert_eq!(silent(None).await?, None);
        scene.app.clock.advance(10);
        assert_eq!(silent(None).await?.as_deref(), Some("login_required"));
        assert_eq!(silent(Some("60")).await?, None, "the request's own counts");
        Ok(())
    }

    /// RFC 6749 section 4.1.2.1, in the form that the client asked for.
    async fn response_modes(database) {
        let scene = Scene::set(database).await?;
        let refused = |mode| {
            let request = scene.client.authorization(None).with("response_mode", Some(mode));
            request.with("code_challenge", None).url(&scene.app.issuer)
        };
        let fragment = scene.agent.get(&refused("fragment")).await?.location()?;
        assert!(fragment.starts_with("http://127.0.0.1:49152/callback#error=invalid_request&"), "{fragment}");
        let form = scene.agent.get(&refused("form_post")).await?;
        assert_eq!(form.status, 200);
        assert!(!form.header("content-security-policy").contains("form-action"), "{form:?}");
        assert!(form.text.contains(r#"action="http://127.0.0.1:49152/callback""#), "{form:?}");
        assert!(form.text.contains(r#"name="error" value="invalid_request""#), "{form:?}");
        for (name, value) in [("response_mode", "web_message"), ("prompt", "none login"), ("max_age", "-1")] {
            let url = scene.client.authorization(None).with(name, Some(value)).url(&scene.app.issuer);
            let answer = scene.agent.get(&url).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"), "{name}");
        }
        Ok(())
    }
}
