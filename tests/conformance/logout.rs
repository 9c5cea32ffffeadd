//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).

use anyhow::Result;
use causeway_testkit::{Agent, Answer, OauthClient, TestDatabase, Tokens, decide};
use serde_json::{Value, json};
use url::Url;

use crate::support::{DID, HANDLE, OTHER_HANDLE, Scene, enter, hidden, on_each_database};

const OUT: &str = "https://app.example/out?from=causeway";

impl Scene {
    /// Two accounts, and a client that has somewhere to go after a logout.
    async fn with_rp(database: &TestDatabase) -> Result<Self> {
        let mut scene = Self::with_bob(database).await?;
        scene.client = scene.rp(json!([OUT, "http://127.0.0.1/out"])).await?;
        Ok(scene)
    }

    async fn rp(&self, post_logout_redirect_uris: Value) -> Result<OauthClient> {
        let metadata = json!({
            "client_name": "Relying party",
            "redirect_uris": ["http://127.0.0.1/callback", "https://app.example/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
            "post_logout_redirect_uris": post_logout_redirect_uris,
        });
        let url = self.app.at("/oauth/register");
        let answer = self.agent.post_body(&url, "application/json", metadata.to_string()).await?;
        let client = answer.json();
        assert_eq!(client["post_logout_redirect_uris"], post_logout_redirect_uris, "{answer:?}");
        let client_id = client["client_id"].as_str().unwrap().to_owned();
        Ok(OauthClient { client_id, scope: "openid atproto".to_owned(), ..self.client.clone() })
    }

    async fn sign_in_as(&self, agent: &Agent, handle: &str) -> Result<Tokens> {
        self.client.sign_in(agent, &self.upstream, handle).await
    }

    async fn logout(&self, agent: &Agent, params: &[(&str, &str)]) -> Result<Answer> {
        let url = Url::parse_with_params(&self.app.at("/oauth/logout"), params)?;
        agent.get(url.as_str()).await
    }
}

fn id_token(tokens: &Tokens) -> &str {
    tokens.answer["id_token"].as_str().unwrap()
}

/// Presses a button of the question.
async fn answer(scene: &Scene, agent: &Agent, page: &Answer, decision: &str) -> Result<Answer> {
    assert_eq!(page.status, 200, "{page:?}");
    let names =
        ["form_token", "client_id", "id_token_hint", "logout_hint", "post_logout_redirect_uri", "state"];
    let there = names.into_iter().filter(|name| page.text.contains(&format!("name=\"{name}\"")));
    let fields: Vec<_> = there.map(|name| (name, hidden(page, name))).collect();
    let mut form: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    form.push(("decision", decision));
    agent.post(&scene.app.at("/oauth/logout/confirm"), &form).await
}

on_each_database! {
    /// With an id_token of a session of this browser, logout takes effect at once: for this client, account
    /// and browser, at the authorization server too, and nothing else.
    async fn at_once_with_an_id_token(database) {
        let scene = Scene::with_rp(database).await?;
        let other_client = OauthClient { client_id: scene.app.client(&scene.agent).await?.client_id, ..scene.client.clone() };
        let first = scene.sign_in_as(&scene.agent, HANDLE).await?;
        let leftover = scene.sign_in_as(&scene.agent, HANDLE).await?;
        let bob = scene.sign_in_as(&scene.agent, OTHER_HANDLE).await?;
        let other = other_client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let elsewhere = scene.sign_in_as(&Agent::default(), HANDLE).await?;
        let background = scene.background(&scene.agent).await?;
        scene.app.clock.advance(7200);

        for _ in 0..2 {
            let params = [("id_token_hint", id_token(&first)), ("post_logout_redirect_uri", OUT), ("state", "s&1")];
            let done = scene.logout(&scene.agent, &params).await?;
            assert_eq!((done.status, &*done.location()?), (303, &*format!("{OUT}&state=s%261")));
            assert!(!scene.works(&first).await? && !scene.works(&leftover).await?);
        }
        for (tokens, whose) in [(&bob, "another account"), (&other, "another client"), (&elsewhere, "another browser")] {
            assert!(scene.works(tokens).await?, "{whose}");
        }
        let page = scene.agent.get(&scene.app.at("/account")).await?;
        assert!(page.text.contains(background.as_str()), "background sessions are never touched");
        assert_eq!(scene.upstream.live_grants(), 3, "two were revoked");
        let silent = scene.client.authorization(Some(DID)).with("prompt", Some("none"));
        let silent = silent.with("redirect_uri", Some("https://app.example/cb"));
        let answer = scene.agent.get(&silent.url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("login_required"));
        Ok(())
    }

    /// Without an id_token, or with one that we did not sign, the user is asked, and sees the client and the
    /// account.
    async fn otherwise_the_user_is_asked(database) {
        let scene = Scene::with_rp(database).await?;
        let tokens = scene.sign_in_as(&scene.agent, HANDLE).await?;
        let (signed, _) = id_token(&tokens).rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", "A".repeat(342));
        let id = scene.client.client_id.clone();
        let ways = [vec![("client_id", &*id)], vec![("client_id", &*id), ("id_token_hint", &*forged)]];
        for mut params in ways {
            params.extend([("post_logout_redirect_uri", OUT), ("state", "s")]);
            let page = scene.logout(&scene.agent, &params).await?;
            assert_eq!((page.status, page.header("location")), (200, ""));
            for shown in ["Sign out of <bdi>Relying party", "app.example", HANDLE, DID] {
                assert!(page.text.contains(shown), "{shown}: {}", page.text);
            }
            assert!(!page.header("content-security-policy").contains("form-action"), "its answer leaves");
            assert!(scene.works(&tokens).await?, "nothing has happened yet");
            let stayed = answer(&scene, &scene.agent, &page, "stay").await?;
            assert_eq!(stayed.location()?, scene.app.at("/account"));
            let form = [("client_id", &*id), ("decision", "sign-out")];
            let forged = scene.agent.post(&scene.app.at("/oauth/logout/confirm"), &form).await?;
            assert_eq!((forged.status, scene.works(&tokens).await?), (403, true));
        }
        let page = scene.logout(&scene.agent, &[("client_id", &id), ("post_logout_redirect_uri", OUT), ("state", "s")]).await?;
        let done = answer(&scene, &scene.agent, &page, "sign-out").await?;
        assert_eq!((done.status, &*done.location()?), (303, &*format!("{OUT}&state=s")));
        assert!(!scene.works(&tokens).await?);
        assert_eq!(scene.upstream.live_grants(), 0);

        let none_left = scene.logout(&scene.agent, &[("client_id", &id)]).await?;
        assert!(none_left.status == 200 && none_left.text.contains("You are signed out"), "{none_left:?}");
        let which = scene.logout(&scene.agent, &[]).await?;
        assert_eq!(which.location()?, scene.app.at("/account"), "no client: the user looks for it");
        Ok(())
    }

    /// A `logout_hint` selects the account; one that matches no account is ignored.
    async fn hints_name_an_account(database) {
        let scene = Scene::with_rp(database).await?;
        scene.sign_in_as(&scene.agent, HANDLE).await?;
        let bob = scene.sign_in_as(&scene.agent, OTHER_HANDLE).await?;
        let asked = async |hint| {
            let params = [("client_id", &*scene.client.client_id), ("logout_hint", hint)];
            let page = scene.logout(&scene.agent, &params).await?;
            anyhow::Ok((page.text.contains(HANDLE), page.text.contains(OTHER_HANDLE), page))
        };
        for hint in [HANDLE, DID] {
            let (alice, bob, _) = asked(hint).await?;
            assert_eq!((alice, bob), (true, false), "{hint}");
        }
        for hint in ["carol.test", "who?"] {
            let (alice, bob, _) = asked(hint).await?;
            assert_eq!((alice, bob), (true, true), "{hint}");
        }
        answer(&scene, &scene.agent, &asked(HANDLE).await?.2, "sign-out").await?;
        assert!(scene.works(&bob).await?);
        Ok(())
    }

    /// RFC 9700 section 4.11.2: anybody can register a client. If none of its sessions was ended, the user
    /// decides whether to follow the redirect; the question is skipped for clients that the operator has
    /// entered, and for redirects within the device.
    async fn no_open_redirector(database) {
        let mut scene = Scene::with_rp(database).await?;
        let id = scene.client.client_id.clone();
        let params = [("client_id", &*id), ("post_logout_redirect_uri", OUT), ("state", "s&1")];
        let stranger = Agent::default();
        for agent in [&stranger, &scene.agent] {
            let page = scene.logout(agent, &params).await?;
            assert_eq!((page.status, page.header("location")), (200, ""), "{page:?}");
            let link = "href=\"https://app.example/out?from=causeway&#38;state=s%261\"";
            assert!(page.text.contains(link) && page.text.contains("Continue to app.example"), "{}", page.text);
        }
        let here = [("client_id", &*id), ("post_logout_redirect_uri", "http://127.0.0.1:49152/out")];
        assert_eq!(scene.logout(&stranger, &here).await?.location()?, here[1].1);

        let tokens = scene.sign_in_as(&scene.agent, HANDLE).await?;
        scene.logout(&scene.agent, &[("id_token_hint", id_token(&tokens))]).await?;
        let twice = [("id_token_hint", id_token(&tokens)), ("post_logout_redirect_uri", OUT)];
        assert_eq!(scene.logout(&scene.agent, &twice).await?.location()?, OUT, "it began here, and is over");
        assert_eq!(scene.logout(&stranger, &twice).await?.status, 200);

        scene.client = scene.rp(json!([OUT])).await?;
        enter(&scene.app, &scene.client).await?;
        let params = [("client_id", &*scene.client.client_id), ("post_logout_redirect_uri", OUT)];
        assert_eq!(scene.logout(&stranger, &params).await?.location()?, OUT);
        Ok(())
    }

    /// An id_token is no power over another browser.
    async fn never_another_browser(database) {
        let scene = Scene::with_rp(database).await?;
        let victim = Agent::default();
        let theirs = scene.sign_in_as(&victim, HANDLE).await?;
        let params = [("id_token_hint", id_token(&theirs)), ("post_logout_redirect_uri", OUT)];
        for stranger in [&Agent::default(), &scene.agent] {
            let answer = scene.logout(stranger, &params).await?;
            assert_eq!((answer.status, answer.header("location")), (200, ""), "nothing of this client is in this browser");
            assert!(answer.text.contains("Continue to app.example"), "{}", answer.text);
            assert!(scene.works(&theirs).await?);
        }
        let mine = scene.sign_in_as(&scene.agent, HANDLE).await?;
        let page = scene.logout(&scene.agent, &params).await?;
        assert!(page.status == 200 && page.text.contains("Sign out of"), "{page:?}");
        answer(&scene, &scene.agent, &page, "sign-out").await?;
        assert_eq!((scene.works(&mine).await?, scene.works(&theirs).await?), (false, true));
        Ok(())
    }

    /// Nobody is sent to an address that the client has not registered for this, and nothing ends then.
    async fn never_redirects_to_a_stranger(database) {
        let scene = Scene::with_rp(database).await?;
        let tokens = scene.sign_in_as(&scene.agent, HANDLE).await?;
        let rival = scene.rp(json!(["https://rival.example/out"])).await?;
        let (hint, id) = (id_token(&tokens), &*scene.client.client_id);
        for (params, code) in [
            (vec![("id_token_hint", hint), ("post_logout_redirect_uri", "https://evil.example/")], "invalid_request"),
            (vec![("id_token_hint", hint), ("post_logout_redirect_uri", "https://rival.example/out")], "invalid_request"),
            (vec![("id_token_hint", hint), ("post_logout_redirect_uri", "https://app.example/out")], "invalid_request"),
            (vec![("id_token_hint", hint), ("post_logout_redirect_uri", "http://127.0.0.1:49152/callback")], "invalid_request"),
            (vec![("client_id", id), ("post_logout_redirect_uri", "https://evil.example/")], "invalid_request"),
            (vec![("post_logout_redirect_uri", OUT)], "invalid_request"),
            (vec![("id_token_hint", "nonsense"), ("post_logout_redirect_uri", OUT)], "invalid_request"),
            (vec![("id_token_hint", hint), ("client_id", &*rival.client_id)], "invalid_request"),
            (vec![("client_id", "nobody"), ("post_logout_redirect_uri", OUT)], "invalid_client"),
            (vec![("client_id", id), ("state", &*"x".repeat(2049))], "invalid_request"),
        ] {
            let page = scene.logout(&scene.agent, &params).await?;
            assert_eq!((page.status, page.header("location")), (400, ""), "{params:?}");
            assert!(page.text.contains(code), "{params:?}: {}", page.text);
            assert!(scene.works(&tokens).await?, "{params:?}");
        }
        let port = [("id_token_hint", hint), ("post_logout_redirect_uri", "http://127.0.0.1:49999/out")];
        assert_eq!(scene.logout(&scene.agent, &port).await?.location()?, "http://127.0.0.1:49999/out");
        for bad in [json!("https://a.example"), json!(["javascript:alert(1)"]), json!(["http://a.example/"])] {
            let metadata = json!({"redirect_uris": ["https://a.example/cb"], "post_logout_redirect_uris": bad});
            let answer = scene.agent.post_body(&scene.app.at("/oauth/register"), "application/json", metadata.to_string()).await?;
            assert_eq!(answer.refusal(), "400 invalid_client_metadata", "{bad}");
        }
        Ok(())
    }

    /// A POST may come from another site, which sends no cookie: it becomes a GET first.
    async fn by_post(database) {
        let scene = Scene::with_rp(database).await?;
        let tokens = scene.sign_in_as(&scene.agent, HANDLE).await?;
        let form = [("id_token_hint", id_token(&tokens)), ("post_logout_redirect_uri", OUT), ("ui_locales", "de")];
        let turned = Agent::default().post(&scene.app.at("/oauth/logout"), &form).await?;
        assert_eq!((turned.status, scene.works(&tokens).await?), (303, true));
        assert_eq!(scene.agent.get(&turned.location()?).await?.location()?, OUT);
        assert!(!scene.works(&tokens).await?);

        let silent = scene.agent.get(&scene.app.at("/oauth/logout?ui_locales=de&client_id=nobody")).await?;
        assert!(silent.text.contains("<html lang=\"de\">"), "{}", silent.text);
        let metadata = scene.agent.get(&scene.app.at("/.well-known/openid-configuration")).await?.json();
        assert_eq!(metadata["end_session_endpoint"], scene.app.at("/oauth/logout"));
        // The session was real: consent is asked for again.
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &scene.client.authorization(Some(HANDLE))).await?;
        assert_eq!(decide(&scene.agent, &consent, "allow").await?.status, 303);
        Ok(())
    }
}
