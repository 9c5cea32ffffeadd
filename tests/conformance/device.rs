//! The device authorization grant (RFC 8628).

use std::time::Duration;

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_domain::authorization::device::{DEVICE_CODE_SECONDS, DeviceStage, UserCode};
use causeway_jose::EcKey;
use causeway_store::StoreError;
use causeway_store::authorization::device_codes;
use causeway_testkit::{Agent, Answer, DpopKey, OauthClient, Tokens, User as _, decide};
use causeway_types::TenantId;
use causeway_types::secret::{DeviceCode, PlainToken};
use serde_json::{Value, json};

use crate::forge;
use crate::support::{DID, HANDLE, Scene, hidden, on_each_database};

pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A client on a device: it has no redirect URI.
pub(crate) async fn television(scene: &Scene, more: Value) -> Result<OauthClient> {
    let mut metadata = json!({
        "client_name": "Television", "client_uri": "https://tv.example/about", "redirect_uris": [],
        "token_endpoint_auth_method": "none", "grant_types": [GRANT, "refresh_token"],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        metadata[name] = value.clone();
    }
    OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await
}

/// The codes of a device that begins.
pub(crate) struct Begun {
    pub(crate) device_code: String,
    pub(crate) user_code: String,
    answer: Value,
}

pub(crate) async fn begin(scene: &Scene, client: &OauthClient) -> Result<Begun> {
    let form = [("scope", "atproto openid transition:generic")];
    let answer = client.post(&scene.agent, "/oauth/device_authorization", &form).await?;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{answer:?}");
    let answer = answer.json();
    let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
    Ok(Begun { device_code: text("device_code"), user_code: text("user_code"), answer })
}

pub(crate) async fn poll(agent: &Agent, client: &OauthClient, device_code: &str) -> Result<Answer> {
    client.post(agent, "/oauth/token", &[("grant_type", GRANT), ("device_code", device_code)]).await
}

/// A user's browser at `/device`.
pub(crate) struct Browser<'a> {
    scene: &'a Scene,
    pub(crate) agent: Agent,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(scene: &'a Scene) -> Self {
        Self { scene, agent: Agent::default() }
    }

    /// Sends a form of the pages, with what proves that it is one.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let page = self.agent.get(&self.scene.app.at("/device")).await?;
        let token = hidden(&page, "form_token");
        let form = [fields, &[("form_token", &*token)]].concat();
        self.agent.post(&self.scene.app.at(path), &form).await
    }

    async fn look(&self, typed: &str) -> Result<Answer> {
        self.send("/device", &[("user_code", typed)]).await
    }

    async fn confirm(&self, typed: &str, decision: &str) -> Result<Answer> {
        self.send("/device/confirm", &[("user_code", typed), ("decision", decision)]).await
    }

    /// From the sign-in page to the consent page's address.
    async fn sign_in(&self, page: &Answer) -> Result<String> {
        assert_eq!(page.status, 200, "{page:?}");
        let form = [("request", &*hidden(page, "request")), ("identifier", HANDLE)];
        let to_upstream = self.agent.post(&self.scene.app.at("/oauth/sign-in"), &form).await?.location()?;
        let callback = self.scene.upstream.approve(&to_upstream).await?;
        self.agent.get(&callback).await?.location()
    }

    /// The whole way, to the page at its end.
    pub(crate) async fn approve(&self, user_code: &str) -> Result<Answer> {
        let consent = self.sign_in(&self.confirm(user_code, "continue").await?).await?;
        let done = decide(&self.agent, &consent, "allow").await?;
        assert_eq!(done.location()?, self.scene.app.at("/device/done"));
        self.agent.get(&done.location()?).await
    }
}

/// How far a device's request has come.
async fn stage(scene: &Scene, begun: &Begun) -> Result<DeviceStage> {
    let code = PlainToken::<DeviceCode>::presented(begun.device_code.clone()).hash();
    let found = scene.app.store().read(move |c| device_codes::find_device_code(c, &code)).await?;
    Ok(found.expect("the device").stage)
}

on_each_database! {
    /// A poll during which the user decides gets its result the next time: a JWT is signed before the
    /// transaction that issues it, and at that point there was nothing to sign.
    async fn a_decision_during_a_poll(database) {
        let scene = Scene::set(database).await?;
        if scene.app.store().is_shared() {
            // The queue in which they stand is that of SQLite's writer.
            return Ok(());
        }
        let client = television(&scene, json!({"access_token_format": "jwt"})).await?;
        let begun = begin(&scene, &client).await?;
        let browser = Browser::new(&scene);
        let consent = browser.sign_in(&browser.confirm(&begun.user_code, "continue").await?).await?;

        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let hold = scene.app.store().write(move |_| {
            let _ = held.lock().unwrap().recv();
            Ok::<_, StoreError>(())
        });
        let stand_in_line = async |how_many| {
            while scene.app.store().stats().queue_depth < how_many {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let busy = async {
            // The first is not in line: it is being run.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let decided = async {
            busy.await;
            decide(&browser.agent, &consent, "allow").await
        };
        let polled = async {
            stand_in_line(1).await;
            poll(&scene.agent, &client, &begun.device_code).await
        };
        let released = async {
            stand_in_line(2).await;
            drop(release);
        };
        let all = async { tokio::join!(hold, decided, polled, released) };
        let (held, decided, polled, ()) = tokio::time::timeout(Duration::from_secs(20), all).await?;
        held?;
        assert_eq!(decided?.location()?, scene.app.at("/device/done"));
        assert_eq!(polled?.refusal(), "400 authorization_pending");
        scene.app.clock.advance(5);
        let tokens = Tokens::read(&poll(&scene.agent, &client, &begun.device_code).await?)?;
        assert_eq!(tokens.access_token.split('.').count(), 3, "signed: {}", tokens.answer);
        Ok(())
    }

    /// The whole flow of sections 3.1 to 3.5, with every page that the user sees.
    async fn whole_way(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({})).await?;
        let metadata = scene.agent.get(&scene.app.at("/.well-known/oauth-authorization-server")).await?.json();
        assert_eq!(metadata["device_authorization_endpoint"], scene.app.at("/oauth/device_authorization"));
        assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)));

        let begun = begin(&scene, &client).await?;
        let complete = format!("{}?user_code={}", scene.app.at("/device"), begun.user_code);
        assert_eq!(begun.answer, json!({
            "device_code": begun.device_code, "user_code": begun.user_code, "expires_in": 600, "interval": 5,
            "verification_uri": scene.app.at("/device"), "verification_uri_complete": complete,
        }));
        assert!(begun.device_code.starts_with("cw_dc_") && UserCode::parse(&begun.user_code).is_some());
        assert_eq!(poll(&scene.agent, &client, &begun.device_code).await?.refusal(), "400 authorization_pending");

        let browser = Browser::new(&scene);
        let prefilled = browser.agent.get(&complete).await?;
        assert!(prefilled.text.contains(&begun.user_code), "{prefilled:?}");
        assert_eq!(stage(&scene, &begun).await?, DeviceStage::Pending, "an address confirms nothing");
        let question = browser.look(&begun.user_code.to_lowercase().replace('-', "")).await?;
        for shown in ["Television", "the origin of this app is unknown", &begun.user_code] {
            assert!(question.text.contains(shown), "{shown}: {question:?}");
        }
        assert!(!question.text.contains("tv.example"), "anybody may claim it: {question:?}");
        assert_eq!(stage(&scene, &begun).await?, DeviceStage::Pending, "a look confirms nothing");
        let sign_in = browser.confirm(&begun.user_code, "continue").await?;
        assert!(!sign_in.text.contains("tv.example"), "{sign_in:?}");
        let consent = browser.sign_in(&sign_in).await?;
        let asked = browser.agent.get(&consent).await?;
        assert!(!asked.text.contains("tv.example") && asked.text.contains("the origin of this app is unknown"), "{asked:?}");
        assert!(asked.text.contains("go back to your device"), "{asked:?}");
        scene.app.clock.advance(5);
        assert_eq!(poll(&scene.agent, &client, &begun.device_code).await?.refusal(), "400 authorization_pending");
        let done = decide(&browser.agent, &consent, "allow").await?;
        let again = decide(&browser.agent, &consent, "allow").await;
        assert!(again.is_err(), "the question is not shown again");
        let done = browser.agent.get(&done.location()?).await?;
        assert!(done.status == 200 && done.text.contains("go back to your device"), "{done:?}");

        let tokens = Tokens::read(&poll(&scene.agent, &client, &begun.device_code).await?)?;
        assert_eq!((&tokens.answer["sub"], &tokens.answer["scope"]), (&json!(DID), &json!("atproto openid transition:generic")));
        assert!(tokens.answer["id_token"].is_string());
        assert!(scene.works(&tokens).await?);
        assert_eq!(poll(&scene.agent, &client, &begun.device_code).await?.refusal(), "400 invalid_grant", "once");
        assert!(scene.works(&tokens).await?);
        let refreshed = Tokens::read(&client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        assert!(scene.works(&refreshed).await?);
        assert_eq!(scene.read(&refreshed.access_token).await?.status, 200);
        Ok(())
    }

    /// A device that polls too often has to wait longer, by 5 seconds each time, wherever it polls
    /// (section 3.5).
    async fn slow_down(database) {
        let scene = Scene::set(database).await?;
        let beside = scene.beside(database).await?;
        let client = television(&scene, json!({})).await?;
        let mut other = client.clone();
        other.issuer.clone_from(&beside.issuer);
        let begun = begin(&scene, &client).await?;
        for (seconds, client, refusal) in [
            (0, &client, "400 authorization_pending"),
            (4, &client, "400 slow_down"),
            (9, &other, "400 slow_down"),
            (15, &client, "400 authorization_pending"),
            (14, &other, "400 slow_down"),
            (20, &client, "400 authorization_pending"),
        ] {
            scene.app.clock.advance(seconds);
            assert_eq!(poll(&scene.agent, client, &begun.device_code).await?.refusal(), refusal, "{seconds}");
        }
        Browser::new(&scene).approve(&begun.user_code).await?;
        Tokens::read(&poll(&scene.agent, &client, &begun.device_code).await?)?;
        Ok(())
    }

    /// The user denies: at the question, instead of signing in, and at consent.
    async fn denied(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({})).await?;
        for way in ["question", "after the question", "sign-in", "consent"] {
            let begun = begin(&scene, &client).await?;
            let browser = Browser::new(&scene);
            let answer = match way {
                "question" => browser.confirm(&begun.user_code, "deny").await?,
                "after the question" => {
                    browser.confirm(&begun.user_code, "continue").await?;
                    browser.confirm(&begun.user_code, "deny").await?
                }
                "sign-in" => {
                    let page = browser.confirm(&begun.user_code, "continue").await?;
                    let form = [("request", &*hidden(&page, "request")), ("decision", "deny")];
                    browser.agent.post(&scene.app.at("/oauth/sign-in"), &form).await?
                }
                _ => {
                    let consent = browser.sign_in(&browser.confirm(&begun.user_code, "continue").await?).await?;
                    decide(&browser.agent, &consent, "deny").await?
                }
            };
            assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"), "{way}");
            let done = browser.agent.get(&answer.location()?).await?;
            assert!(done.status == 200 && done.text.contains("Nothing was connected"), "{way}");
            for _ in 0..2 {
                assert_eq!(poll(&scene.agent, &client, &begun.device_code).await?.refusal(), "400 access_denied", "{way}");
            }
            assert_eq!(browser.look(&begun.user_code).await?.status, 400, "{way}");
        }
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }

    /// Nobody comes in time, or comes too late.
    async fn expired(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({})).await?;
        let begun = begin(&scene, &client).await?;
        let browser = Browser::new(&scene);
        let page = browser.confirm(&begun.user_code, "continue").await?;
        scene.app.clock.advance(DEVICE_CODE_SECONDS - 1);
        let consent = browser.sign_in(&page).await?;
        scene.app.clock.advance(1);
        assert_eq!(browser.agent.get(&consent).await?.status, 400);
        assert_eq!(poll(&scene.agent, &client, &begun.device_code).await?.refusal(), "400 expired_token");
        assert_eq!(browser.look(&begun.user_code).await?.status, 400);
        scene.upkeep().await?;
        assert_eq!(poll(&scene.agent, &client, &begun.device_code).await?.refusal(), "400 expired_token");
        scene.app.clock.advance(86_400);
        scene.upkeep().await?;
        assert_eq!(poll(&scene.agent, &client, &begun.device_code).await?.refusal(), "400 invalid_grant", "swept");
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }

    /// A code is its client's, and from its confirmation on one browser's.
    async fn whose_code(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({})).await?;
        let begun = begin(&scene, &client).await?;
        let other = television(&scene, json!({})).await?;
        assert_eq!(poll(&scene.agent, &other, &begun.device_code).await?.refusal(), "400 invalid_grant");
        assert_eq!(poll(&scene.agent, &scene.client, &begun.device_code).await?.refusal(), "400 unauthorized_client");
        let begin_elsewhere = scene.client.post(&scene.agent, "/oauth/device_authorization", &[]).await?;
        assert_eq!(begin_elsewhere.refusal(), "400 unauthorized_client");
        let missing = client.post(&scene.agent, "/oauth/token", &[("grant_type", GRANT)]).await?;
        assert_eq!(missing.refusal(), "400 invalid_request");
        for unknown in [&*begun.user_code, "cw_dc_nonsense"] {
            assert_eq!(poll(&scene.agent, &client, unknown).await?.refusal(), "400 invalid_grant");
        }
        let beyond = [("scope", "identity:*")];
        let refused = client.post(&scene.agent, "/oauth/device_authorization", &beyond).await?;
        assert_eq!(refused.refusal(), "400 invalid_scope");
        let beyond = [("resource", "https://api.example")];
        let refused = client.post(&scene.agent, "/oauth/device_authorization", &beyond).await?;
        assert_eq!(refused.refusal(), "400 invalid_target");

        let (first, second) = (Browser::new(&scene), Browser::new(&scene));
        let page = first.confirm(&begun.user_code, "continue").await?;
        assert_eq!(second.look(&begun.user_code).await?.status, 400);
        assert_eq!(second.confirm(&begun.user_code, "continue").await?.status, 400);
        assert_eq!(second.confirm(&begun.user_code, "deny").await?.status, 400);
        let again = first.confirm(&begun.user_code, "continue").await?;
        assert_eq!(hidden(&again, "request"), hidden(&page, "request"), "a reload goes on where it was");
        let consent = first.sign_in(&again).await?;
        assert_eq!(first.confirm(&begun.user_code, "continue").await?.location()?, consent);
        decide(&first.agent, &consent, "allow").await?;
        Tokens::read(&poll(&scene.agent, &client, &begun.device_code).await?)?;
        assert_eq!(first.look(&begun.user_code).await?.status, 400, "once");
        Ok(())
    }

    /// No other site's form confirms a code in somebody's browser.
    async fn forms_of_others(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({})).await?;
        let begun = begin(&scene, &client).await?;
        let browser = Browser::new(&scene);
        let page = browser.agent.get(&scene.app.at("/device")).await?;
        let token = hidden(&page, "form_token");
        let foreign = hidden(&Agent::default().get(&scene.app.at("/device")).await?, "form_token");
        for path in ["/device", "/device/confirm"] {
            let fields = [("user_code", &*begun.user_code), ("decision", "continue")];
            assert_eq!(browser.agent.post(&scene.app.at(path), &fields).await?.status, 403, "{path}");
            let with = [&fields[..], &[("form_token", &*foreign)]].concat();
            assert_eq!(browser.agent.post(&scene.app.at(path), &with).await?.status, 403, "{path}");
            let with = [&fields[..], &[("form_token", &*token)]].concat();
            let request = browser.agent.request("POST".parse()?, &scene.app.at(path)).form(&with);
            let cross = browser.agent.send(request.header("sec-fetch-site", "cross-site")).await?;
            assert_eq!(cross.status, 403, "{path}");
        }
        assert_eq!(stage(&scene, &begun).await?, DeviceStage::Pending);
        Ok(())
    }

    /// Guesses of user codes are limited by browser and by address, without locking out others for long
    /// (section 5.1).
    async fn guesses_are_counted(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({})).await?;
        let begun = begin(&scene, &client).await?;
        let guesser = Browser::new(&scene);
        for _ in 0..10 {
            assert_eq!(guesser.look("BBBB-BBBB").await?.status, 400);
        }
        for typed in ["BBBB-BBBB", &begun.user_code] {
            let stopped = guesser.look(typed).await?;
            assert_eq!((stopped.status, stopped.header("retry-after")), (429, "60"), "{stopped:?}");
            assert_eq!(guesser.confirm(typed, "continue").await?.status, 429);
        }
        for _ in 0..20 {
            assert_eq!(Browser::new(&scene).look("BBBB-BBBB").await?.status, 400);
        }
        assert_eq!(Browser::new(&scene).look(&begun.user_code).await?.status, 429, "a new cookie at the same address");
        scene.app.clock.advance(600);
        let begun = begin(&scene, &client).await?;
        for _ in 0..40 {
            assert_eq!(guesser.look(&begun.user_code).await?.status, 200, "who knows the code does not guess");
        }
        Ok(())
    }

    /// The session is the device's: the browser in which it was agreed to can do nothing with it
    /// (invariant 17).
    async fn the_session_is_the_devices(database) {
        let mut scene = Scene::set(database).await?;
        let both = json!({
            "redirect_uris": ["https://app.example/cb"],
            "grant_types": ["authorization_code", "refresh_token", GRANT],
        });
        let client = television(&scene, both).await?;
        let client = OauthClient { redirect_uri: "https://app.example/cb".to_owned(), ..client };
        let begun = begin(&scene, &client).await?;
        let browser = Browser::new(&scene);
        browser.approve(&begun.user_code).await?;
        let tokens = Tokens::read(&poll(&scene.agent, &client, &begun.device_code).await?)?;
        let silent = client.authorization(None).with("prompt", Some("none"));
        let answer = browser.agent.get(&silent.url(&scene.app.issuer)).await?;
        assert_eq!(answer.status, 400, "this browser has signed in to nothing: {answer:?}");
        assert!(answer.text.contains("login_required"), "{}", answer.text);
        let account = browser.agent.get(&scene.app.at("/account")).await?;
        assert!(!account.text.contains("data-testid=\"app\""), "{account:?}");
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
        assert_eq!(session["session_kind"], "device");
        assert!(scene.works(&tokens).await?);

        scene.agent = browser.agent;
        let mine = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_ne!(scene.session_id(&mine).await?, scene.session_id(&tokens).await?);
        Ok(())
    }

    /// A key that the device names at the beginning has to be proven at each poll (RFC 9449 section 10.1).
    async fn bound_to_a_key(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({"access_token_format": "jwt"})).await?;
        let key = DpopKey::new();
        let proof = |key: &DpopKey, path| key.proof(scene.app.clock.now(), "POST", &scene.app.at(path));
        let path = "/oauth/device_authorization";
        let other = [("dpop_jkt", DpopKey::new().jkt().to_owned())];
        let other: Vec<_> = other.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = client.post_with_proof(&scene.agent, path, &other, &proof(&key, path)).await?;
        assert_eq!(refused.refusal(), "400 invalid_request");
        let own = scene.app.at("/mcp");
        let form = [("resource", &*own)];
        let begun = client.post_with_proof(&scene.agent, path, &form, &proof(&key, path)).await?.json();
        let (device_code, user_code) = (begun["device_code"].as_str().unwrap(), begun["user_code"].as_str().unwrap());
        Browser::new(&scene).approve(user_code).await?;
        assert_eq!(poll(&scene.agent, &client, device_code).await?.refusal(), "400 invalid_grant");
        let form = [("grant_type", GRANT), ("device_code", device_code)];
        let stranger = proof(&DpopKey::new(), "/oauth/token");
        let refused = client.post_with_proof(&scene.agent, "/oauth/token", &form, &stranger).await?;
        assert_eq!(refused.refusal(), "400 invalid_grant");
        let granted = client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof(&key, "/oauth/token")).await?;
        let tokens = Tokens::read(&granted)?;
        assert_eq!((&tokens.answer["token_type"], &tokens.answer["expires_in"]), (&json!("DPoP"), &json!(600)));
        Ok(())
    }

    /// Section 3.1: a client authenticates as at the token endpoint, or gets no code.
    async fn client_authentication(database) {
        let scene = Scene::set(database).await?;
        let (agent, url) = (&scene.agent, scene.app.at("/oauth/device_authorization"));
        let path = "/oauth/device_authorization";
        let public = television(&scene, json!({})).await?;
        assert_eq!(public.post(agent, path, &[]).await?.status, 200);
        let posing = OauthClient { client_secret: Some("nonsense".to_owned()), ..public };
        assert_eq!(posing.post(agent, path, &[]).await?.refusal(), "401 invalid_client", "it has no secret");

        let post = television(&scene, json!({"token_endpoint_auth_method": "client_secret_post"})).await?;
        assert_eq!(post.post(agent, path, &[]).await?.status, 200);
        for secret in [None, Some("nonsense".to_owned()), Some(post.client_secret.clone().unwrap() + "x")] {
            let wrong = OauthClient { client_secret: secret, ..post.clone() };
            assert_eq!(wrong.post(agent, path, &[]).await?.refusal(), "401 invalid_client");
        }

        let basic = television(&scene, json!({"token_endpoint_auth_method": "client_secret_basic"})).await?;
        let with = |secret: Option<&str>| agent.request("POST".parse().unwrap(), &url).basic_auth(&basic.client_id, secret).form(&[("scope", "atproto")]);
        assert_eq!(agent.send(with(basic.client_secret.as_deref())).await?.status, 200);
        let wrong = agent.send(with(Some("nonsense"))).await?;
        assert_eq!(wrong.refusal(), "401 invalid_client");
        assert!(wrong.header("www-authenticate").starts_with("Basic"), "{wrong:?}");

        let key = EcKey::generate()?;
        let keys = json!({"keys": [key.published_jwk()]});
        let signing = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys});
        let signing = television(&scene, signing).await?;
        let now = scene.app.clock.now();
        let assertion = |key: &EcKey, aud: &str| {
            forge::signed(key, &json!({}), &json!({
                "iss": signing.client_id, "sub": signing.client_id, "aud": aud, "jti": forge::jti(),
                "iat": now.as_secs(), "exp": now.plus(60).as_secs(),
            }))
        };
        let send = async |assertion: &str| {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            signing.post(agent, path, &[("client_assertion_type", kind), ("client_assertion", assertion)]).await
        };
        let good = assertion(&key, &scene.app.issuer);
        assert_eq!(send(&good).await?.status, 200);
        assert_eq!(send(&good).await?.refusal(), "401 invalid_client", "it works once");
        for wrong in [assertion(&EcKey::generate()?, &scene.app.issuer), assertion(&key, &url), assertion(&key, "https://other.example")] {
            assert_eq!(send(&wrong).await?.refusal(), "401 invalid_client");
        }
        assert_eq!(signing.post(agent, path, &[]).await?.refusal(), "401 invalid_client", "its name is not enough");
        Ok(())
    }

    /// Codes read from the tables cannot be used.
    async fn hashed_at_rest(database) {
        let scene = Scene::set(database).await?;
        let client = television(&scene, json!({})).await?;
        let begun = begin(&scene, &client).await?;
        let code = UserCode::parse(&begun.user_code).expect("a code").hash();
        let tenant = TenantId::default_tenant();
        let now = scene.app.clock.now();
        let row = scene.app.store().read(move |c| device_codes::find_user_code(c, &tenant, &code, now)).await?;
        let row = row.expect("the row");
        assert_ne!(row.device_code.as_str(), begun.device_code);
        assert!(UserCode::parse(&row.user_code).is_none());
        assert_eq!(poll(&scene.agent, &client, row.device_code.as_str()).await?.refusal(), "400 invalid_grant");
        Ok(())
    }
}
