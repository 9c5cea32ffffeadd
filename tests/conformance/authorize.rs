//! `/oauth/authorize`, `/oauth/par`, the sign-in and consent pages.

use std::time::Duration;

use causeway_domain::authorization::{AUTH_REQUEST_SECONDS, PAR_SECONDS};
use causeway_testkit::{Agent, User as _, decide};
use url::Url;

use crate::support::{HANDLE, Scene, hidden, on_each_database};

on_each_database! {
    /// Errors of the client or the redirect URI are shown and never redirected.
    async fn never_redirects_to_a_stranger(database) {
        let scene = Scene::set(database).await?;
        let begin = || scene.client.authorization(Some(HANDLE));
        for (authorization, code) in [
            (begin().with("client_id", None), "invalid_request"),
            (begin().with("client_id", Some("nobody")), "invalid_client"),
            (begin().with("redirect_uri", None), "invalid_request"),
            (begin().with("redirect_uri", Some("https://evil.example/cb")), "invalid_request"),
            (begin().with("redirect_uri", Some("http://127.0.0.1/callback/")), "invalid_request"),
            (begin().with("redirect_uri", Some("not a uri")), "invalid_request"),
            (begin().with("request_uri", Some("urn:ietf:params:oauth:request_uri:x")), "invalid_request_uri"),
        ] {
            let page = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!((page.status, page.header("location")), (400, ""), "{authorization:?}");
            assert!(page.text.contains(code), "{code}: {}", page.text);
            let policy = page.header("content-security-policy");
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
            assert!(!page.header("x-request-id").is_empty() && page.text.contains(page.header("x-request-id")));
        }
        let twice = format!("{}&state=again", begin().url(&scene.app.issuer));
        assert_eq!(scene.agent.get(&twice).await?.status, 400, "a parameter sent twice");
        for bad in ["%ff", "%00", "x%0a"] {
            let invalid = format!("{}&nonce={bad}", begin().url(&scene.app.issuer));
            assert_eq!(scene.agent.get(&invalid).await?.status, 400, "{bad}");
        }
        scene.still_works().await
    }

    /// Everything else goes to the client, with its state and our issuer.
    async fn tells_the_client(database) {
        let scene = Scene::set(database).await?;
        let begin = || scene.client.authorization(Some(HANDLE));
        let long = "x".repeat(3000);
        for (authorization, error) in [
            (begin().with("response_type", None), "invalid_request"),
            (begin().with("response_type", Some("token")), "unsupported_response_type"),
            (begin().with("response_mode", Some("web_message")), "invalid_request"),
            (begin().with("code_challenge", None), "invalid_request"),
            (begin().with("code_challenge_method", Some("plain")), "invalid_request"),
            (begin().with("code_challenge_method", None), "invalid_request"),
            (begin().with("code_challenge", Some("short")), "invalid_request"),
            (begin().with("scope", Some("atproto repo:nonsense")), "invalid_scope"),
            (begin().with("scope", Some("\"")), "invalid_scope"),
            (begin().with("nonce", Some(&long)), "invalid_request"),
            (begin().with("request", Some("e30.e30.")), "invalid_request_object"),
        ] {
            let answer = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some(error), "{answer:?}");
            assert_eq!(answer.redirect_param("state").as_ref(), Some(&authorization.state));
            assert_eq!(answer.redirect_param("iss").as_ref(), Some(&scene.app.issuer));
            assert!(answer.location()?.starts_with(&scene.client.redirect_uri));
        }
        assert_eq!(scene.upstream.hits("par"), 0, "nothing reached the PDS");
        // Apps keep all that they want to know again in it.
        for (bytes, taken) in [(8192, true), (8193, false)] {
            let authorization = begin().with("state", Some(&"s".repeat(bytes))).with("prompt", Some("none"));
            let answer = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref() == Some("invalid_request"), !taken, "{bytes}");
            assert_eq!(answer.redirect_param("state").map(|state| state.len()), Some(bytes));
            let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &authorization.form()).await?;
            assert_eq!(pushed.status, if taken { 201 } else { 400 }, "{bytes}: {pushed:?}");
        }
        scene.still_works().await
    }

    /// Without a hint the user is asked for a handle; a wrong one can be corrected.
    async fn sign_in_page(database) {
        let scene = Scene::set(database).await?;
        let page = scene.agent.get(&scene.client.authorization(None).url(&scene.app.issuer)).await?;
        assert_eq!(page.status, 200);
        let request = hidden(&page, "request");
        let url = scene.app.at("/oauth/sign-in");
        for typed in ["", "nobody.test", "not a handle", "did:plc:short"] {
            let again = scene.agent.post(&url, &[("request", &request), ("identifier", typed)]).await?;
            assert_eq!(again.status, 400, "{typed}");
            assert!(again.text.contains("role=\"alert\""), "{}", again.text);
            assert_eq!(hidden(&again, "request"), request);
        }
        let stranger = Agent::default();
        assert_eq!(stranger.post(&url, &[("request", &request), ("identifier", HANDLE)]).await?.status, 400);
        let typed = format!(" \u{2068}@{HANDLE}\u{2069} ");
        let onward = scene.agent.post(&url, &[("request", &request), ("identifier", &typed)]).await?;
        assert!(onward.location()?.starts_with(&scene.upstream.origin));
        Ok(())
    }

    /// Cancelling goes to the client as `access_denied`, once.
    async fn cancel(database) {
        let scene = Scene::set(database).await?;
        let page = scene.agent.get(&scene.client.authorization(None).url(&scene.app.issuer)).await?;
        let request = hidden(&page, "request");
        let form = [("request", &*request), ("identifier", ""), ("decision", "deny")];
        let answer = scene.agent.post(&scene.app.at("/oauth/sign-in"), &form).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        let again = scene.agent.post(&scene.app.at("/oauth/sign-in"), &form).await?;
        assert_eq!(again.status, 400);
        scene.still_works().await
    }

    /// Denial, there or here, goes to the client; the fresh session is revoked upstream.
    async fn denial(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.script(|script| script.deny = true);
        let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
        let callback = scene.upstream.approve(&scene.agent.get(&start).await?.location()?).await?;
        let answer = scene.agent.get(&callback).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        scene.upstream.script(|script| script.deny = false);

        let authorization = scene.client.authorization(Some(HANDLE));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        assert_eq!(scene.upstream.live_grants(), 1);
        let answer = decide(&scene.agent, &consent, "deny").await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        assert_eq!(answer.redirect_param("state"), Some(authorization.state));
        assert_eq!(scene.upstream.live_grants(), 0);
        assert_eq!(scene.agent.get(&consent).await?.status, 400, "decided");
        scene.still_works().await
    }

    /// An abandoned consent is revoked upstream when it expires.
    async fn abandoned_consent(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        scene.app.clock.advance(AUTH_REQUEST_SECONDS + 1);
        assert_eq!(scene.agent.get(&consent).await?.status, 400);
        scene.upkeep().await?;
        assert_eq!(scene.upstream.live_grants(), 0);
        scene.still_works().await
    }

    /// Consent belongs to the browser that signed in.
    async fn consent_of_another_browser(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let stranger = Agent::default();
        assert_eq!(stranger.get(&consent).await?.status, 400, "without a cookie");
        stranger.get(&scene.client.authorization(None).url(&scene.app.issuer)).await?;
        assert_eq!(stranger.get(&consent).await?.status, 400, "with another cookie");
        let request = consent.split_once("request=").unwrap().1.to_owned();
        let form = [("request", &*request), ("decision", "allow")];
        assert_eq!(stranger.post(&scene.app.at("/oauth/consent"), &form).await?.status, 400);
        let neither = [("request", &*request), ("decision", "perhaps")];
        assert_eq!(scene.agent.post(&scene.app.at("/oauth/consent"), &neither).await?.status, 400);
        assert!(decide(&scene.agent, &consent, "allow").await?.redirect_param("code").is_some());
        Ok(())
    }

    /// The state of a callback is bound to its browser, works once, and ends after 900 s.
    async fn callback_state(database) {
        let scene = Scene::set(database).await?;
        let start = || scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
        let callback = scene.upstream.approve(&scene.agent.get(&start()).await?.location()?).await?;
        let stranger = Agent::default();
        stranger.get(&start()).await?;
        for (agent, url) in [(&Agent::default(), &callback), (&stranger, &callback)] {
            let page = agent.get(url).await?;
            assert_eq!(page.status, 400);
            assert!(page.text.contains("nonce_invalid_or_reused") && page.text.contains("href=\"/\""), "{}", page.text);
        }
        assert_eq!(scene.upstream.hits("token"), 0);
        assert_eq!(scene.agent.get(&callback).await?.status, 303, "its own browser");
        let again = scene.agent.get(&callback).await?;
        assert_eq!(again.status, 400);
        assert!(again.text.contains("nonce_invalid_or_reused"));

        let late = scene.upstream.approve(&scene.agent.get(&start()).await?.location()?).await?;
        scene.app.clock.advance(AUTH_REQUEST_SECONDS);
        assert!(scene.agent.get(&late).await?.text.contains("nonce_invalid_or_reused"));
        for nonsense in ["/oauth/atp/callback", "/oauth/atp/callback?state=x&code=y&iss=z"] {
            assert_eq!(scene.agent.get(&scene.app.at(nonsense)).await?.status, 400);
        }
        scene.still_works().await
    }

    /// PAR: checked when pushed, survives a reload in its browser, ends with the decision.
    async fn pushed_requests(database) {
        let scene = Scene::set(database).await?;
        let (app, agent) = (&scene.app, &scene.agent);
        let push = |authorization: causeway_testkit::Authorization| async move {
            agent.post(&app.at("/oauth/par"), &authorization.form()).await
        };
        for (authorization, refusal) in [
            (scene.client.authorization(None).with("code_challenge", None), "400 invalid_request"),
            (scene.client.authorization(None).with("scope", Some("repo:nonsense")), "400 invalid_scope"),
            (scene.client.authorization(None).with("redirect_uri", Some("https://evil.example")), "400 invalid_request"),
            (scene.client.authorization(None).with("request_uri", Some("urn:x")), "400 invalid_request"),
            (scene.client.authorization(None).with("client_id", Some("nobody")), "401 invalid_client"),
        ] {
            assert_eq!(push(authorization).await?.refusal(), refusal);
        }
        let authorization = scene.client.authorization(Some(HANDLE));
        let state = authorization.state.clone();
        let pushed = push(authorization).await?;
        assert_eq!((pushed.status, pushed.json()["expires_in"].as_i64() >= Some(60)), (201, true));
        let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let (moment, random) = uri.strip_prefix("urn:ietf:params:oauth:request_uri:").unwrap().split_at(11);
        assert_eq!(i64::from_str_radix(moment, 16)? / 1000, scene.app.ctx.now().as_secs());
        assert_eq!(random.len(), 43, "256 bits");
        let url = |client_id: &str| {
            Url::parse_with_params(&scene.app.at("/oauth/authorize"), [("client_id", client_id), ("request_uri", &*uri)])
        };
        let mine = url(&scene.client.client_id)?.to_string();
        let stranger = scene.app.client(agent).await?;
        assert_eq!(agent.get(url(&stranger.client_id)?.as_str()).await?.status, 400, "another client's");
        agent.get(&mine).await?.location()?;
        assert_eq!(Agent::default().get(&mine).await?.status, 400, "another browser");
        let to_upstream = agent.get(&mine).await?.location()?;
        let consent = agent.get(&scene.upstream.approve(&to_upstream).await?).await?.location()?;
        assert_eq!(agent.get(&mine).await?.location()?, consent, "a reload after the sign-in");
        let answer = decide(agent, &consent, "allow").await?;
        assert_eq!(answer.redirect_param("state"), Some(state));
        assert_eq!(agent.get(&mine).await?.status, 400, "decided");

        let expired = push(scene.client.authorization(None)).await?.json()["request_uri"].as_str().unwrap().to_owned();
        scene.app.clock.advance(PAR_SECONDS);
        let late = Url::parse_with_params(&scene.app.at("/oauth/authorize"), [("client_id", &*scene.client.client_id), ("request_uri", &expired)])?;
        let page = agent.get(late.as_str()).await?;
        assert_eq!((page.status, page.text.contains("invalid_request_uri")), (400, true));
        scene.still_works().await
    }

    /// RFC 6749 sections 3.1 and 3.2, OpenID Connect Core section 15.1: unknown parameters are ignored, and
    /// empty ones count as omitted.
    async fn unknown_parameters_are_ignored(database) {
        let scene = Scene::set(database).await?;
        let mut authorization = scene.client.authorization(Some(HANDLE));
        for (name, value) in [
            ("nobody_knows", "x"), ("display", "popup"), ("acr_values", "urn:example:gold"), ("claims_locales", "de"),
            ("response_mode", ""), ("prompt", ""), ("max_age", ""), ("dpop_jkt", ""),
        ] {
            authorization = authorization.with(name, Some(value));
        }
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let code = decide(&scene.agent, &consent, "allow").await?.redirect_param("code").unwrap();
        let form = [
            ("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", authorization.verifier.expose()),
            ("redirect_uri", ""), ("scope", ""), ("nobody_knows", "x"),
        ];
        assert_eq!(scene.client.post(&scene.agent, "/oauth/token", &form).await?.status, 200);
        Ok(())
    }

    /// A POST may come from another site without our cookie: it becomes a GET first.
    async fn post_becomes_get(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let answer = scene.agent.post(&scene.app.at("/oauth/authorize"), &authorization.form()).await?;
        assert_eq!(answer.status, 303);
        assert!(answer.header("set-cookie").is_empty());
        let onward = scene.agent.get(&answer.location()?).await?;
        assert!(onward.location()?.starts_with(&scene.upstream.origin));
        Ok(())
    }

    /// Pages requested at `localhost` redirect to the address that PDSes send users back to, before any
    /// cookie is set.
    async fn localhost_moves(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let elsewhere = authorization.url(&scene.app.issuer.replace("127.0.0.1", "localhost"));
        let moved = scene.agent.get(&elsewhere).await?;
        assert_eq!((moved.location()?, moved.header("set-cookie")), (authorization.url(&scene.app.issuer), ""));
        Ok(())
    }

    /// A double click on "allow": the browser shows the second answer, and its code is the one that works.
    async fn double_click(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let request = consent.split_once("request=").unwrap().1.to_owned();
        let click = || scene.agent.send(scene.agent.request("POST".parse().unwrap(), &scene.app.at("/oauth/consent")).form(&[("request", &*request), ("decision", "allow")]));
        let first = click().await?.redirect_param("code").unwrap();
        let second = click().await?.redirect_param("code").unwrap();
        assert_ne!(first, second);
        assert_eq!(scene.client.redeem(&scene.agent, &first, &authorization.verifier).await?.refusal(), "400 invalid_grant");
        assert_eq!(scene.client.redeem(&scene.agent, &second, &authorization.verifier).await?.status, 200);
        assert_eq!(click().await?.status, 400, "redeemed");
        Ok(())
    }

    /// The same request is sent upstream twice (a reload): the second callback leads to the page of the
    /// first, and the tokens that it brought are revoked.
    async fn sent_on_twice(database) {
        let scene = Scene::set(database).await?;
        let page = scene.agent.get(&scene.client.authorization(None).url(&scene.app.issuer)).await?;
        let form = [("request", &*hidden(&page, "request")), ("identifier", HANDLE)];
        let mut callbacks = Vec::new();
        for _ in 0..2 {
            let onward = scene.agent.post(&scene.app.at("/oauth/sign-in"), &form).await?.location()?;
            callbacks.push(scene.upstream.approve(&onward).await?);
        }
        // Both are under way before either is stored.
        scene.upstream.script(|script| script.holds_answer = Some(Duration::from_millis(300)));
        let (one, two) = tokio::join!(scene.agent.get(&callbacks[0]), scene.agent.get(&callbacks[1]));
        assert_eq!(scene.upstream.hits("issued"), 2);
        assert_eq!(one?.location()?, two?.location()?);
        scene.app.ctx.settle().await;
        assert_eq!((scene.upstream.live_grants(), scene.sessions().await?), (1, 1));
        Ok(())
    }

    /// Two sign-ins of one browser at once do not break each other.
    async fn two_tabs(database) {
        let scene = Scene::set(database).await?;
        let (one, two) = (scene.client.authorization(Some(HANDLE)), scene.client.authorization(Some(HANDLE)));
        let first = scene.client.reach_consent(&scene.agent, &scene.upstream, &one).await?;
        let second = scene.client.reach_consent(&scene.agent, &scene.upstream, &two).await?;
        for (consent, state) in [(second, two.state), (first, one.state)] {
            let answer = decide(&scene.agent, &consent, "allow").await?;
            assert_eq!(answer.redirect_param("state"), Some(state));
            assert!(answer.redirect_param("code").is_some());
        }
        Ok(())
    }
}
