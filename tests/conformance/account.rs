//! The account page: which sessions it shows to whom, and who may end them.

use anyhow::Result;
use causeway_testkit::{Agent, Answer, User as _};

use crate::support::{DID, HANDLE, OTHER_DID, OTHER_HANDLE, Scene, hidden, on_each_database};

impl Scene {
    async fn account_page(&self, agent: &Agent) -> Result<Answer> {
        agent.get(&self.app.at("/account")).await
    }

    /// Posts a form of the account page with the token of this browser.
    async fn press(&self, agent: &Agent, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let token = hidden(&self.account_page(agent).await?, "form_token");
        let mut form = vec![("form_token", token.as_str())];
        form.extend(fields);
        agent.post(&self.app.at(path), &form).await
    }

    /// Signs in to see everything of an account; gives the answer to the return from the server.
    async fn prove(&self, agent: &Agent, handle: &str) -> Result<Answer> {
        let sent = self.press(agent, "/account/sign-in", &[("identifier", handle)]).await?;
        agent.get(&self.upstream.approve(&sent.location()?).await?).await
    }
}

fn apps(page: &Answer) -> usize {
    page.text.matches("data-testid=\"app\"").count()
}

fn accounts(page: &Answer) -> usize {
    page.text.matches("data-testid=\"account\"").count()
}

on_each_database! {
    /// A cookie proves "this browser": what began there is shown, by account, and nothing else.
    async fn shows_what_began_in_this_browser(database) {
        let scene = Scene::with_bob(database).await?;
        let page = scene.account_page(&scene.agent).await?;
        assert_eq!((page.status, accounts(&page)), (200, 0));
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.client.sign_in(&scene.agent, &scene.upstream, OTHER_HANDLE).await?;
        let elsewhere = Agent::default();
        scene.client.sign_in(&elsewhere, &scene.upstream, HANDLE).await?;
        scene.client.reach_consent(&scene.agent, &scene.upstream, &scene.client.authorization(Some(HANDLE))).await?;
        scene.background(&scene.agent).await?;

        let page = scene.account_page(&scene.agent).await?;
        assert_eq!((accounts(&page), apps(&page)), (2, 4), "what waits for consent is nobody's yet");
        for shown in [HANDLE, DID, OTHER_HANDLE, OTHER_DID, "Test client", "an app on this device", "127.0.0.1",
            "Read and write nearly everything", "Runs in the background", "just now"] {
            assert!(page.text.contains(shown), "{shown}: {}", page.text);
        }
        assert!(!page.text.contains("causeway-account"));
        let page = scene.account_page(&elsewhere).await?;
        assert_eq!((accounts(&page), apps(&page), page.text.contains(OTHER_HANDLE)), (1, 1, false));
        let stranger = Agent::default();
        let page = scene.account_page(&stranger).await?;
        assert_eq!((accounts(&page), page.text.contains(DID)), (0, false));

        for (name, value) in [("x-frame-options", "DENY"), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
            assert_eq!(page.header(name), value);
        }
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
        scene.app.clock.advance(7 * 86_400);
        assert_eq!(accounts(&scene.account_page(&elsewhere).await?), 0, "idle for too long");
        Ok(())
    }

    /// Ends one session, or all of an account in this browser, at the authorization server too; no other
    /// account's.
    async fn ends_one_or_all_of_an_account(database) {
        let scene = Scene::with_bob(database).await?;
        let sign_in = async |handle| scene.client.sign_in(&scene.agent, &scene.upstream, handle).await;
        let (first, second, third) = (sign_in(HANDLE).await?, sign_in(HANDLE).await?, sign_in(HANDLE).await?);
        let bob = sign_in(OTHER_HANDLE).await?;
        let elsewhere = scene.client.sign_in(&Agent::default(), &scene.upstream, HANDLE).await?;

        let id = scene.session_id(&first).await?;
        let done = scene.press(&scene.agent, "/account/revoke", &[("session", &id)]).await?;
        assert_eq!((done.status, &*done.location()?), (303, &*scene.app.at("/account?notice=ended")));
        assert!(scene.agent.get(&done.location()?).await?.text.contains("The access has ended."));
        assert_eq!((scene.works(&first).await?, scene.works(&second).await?), (false, true));
        assert_eq!(scene.upstream.live_grants(), 4);
        let again = scene.press(&scene.agent, "/account/revoke", &[("session", &id)]).await?;
        assert_eq!(again.location()?, scene.app.at("/account?notice=gone"));

        let all = scene.press(&scene.agent, "/account/revoke-all", &[("did", DID), ("reach", "here")]).await?;
        assert_eq!(all.location()?, scene.app.at("/account?notice=ended-all"));
        assert_eq!((scene.works(&second).await?, scene.works(&third).await?), (false, false));
        assert_eq!((scene.works(&bob).await?, scene.works(&elsewhere).await?), (true, true));
        assert_eq!(scene.upstream.live_grants(), 2);
        Ok(())
    }

    /// Not with another browser's session, and not with a form that no page of ours made for this browser.
    async fn ends_nothing_for_others(database) {
        let scene = Scene::with_bob(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let id = scene.session_id(&tokens).await?;
        let evil = Agent::default();
        scene.client.sign_in(&evil, &scene.upstream, OTHER_HANDLE).await?;
        let foreign = scene.press(&evil, "/account/revoke", &[("session", &id)]).await?;
        assert_eq!(foreign.location()?, scene.app.at("/account?notice=gone"));
        for reach in ["here", "everywhere"] {
            scene.press(&evil, "/account/revoke-all", &[("did", DID), ("reach", reach)]).await?;
        }
        assert!(scene.works(&tokens).await?);

        let token = hidden(&scene.account_page(&scene.agent).await?, "form_token");
        let stolen = hidden(&scene.account_page(&evil).await?, "form_token");
        let paths = ["/account/revoke", "/account/revoke-all", "/account/leave", "/account/sign-in"];
        for path in paths {
            let fields = [("session", id.as_str()), ("did", DID), ("identifier", HANDLE)];
            for bad in [None, Some(""), Some("nonsense"), Some(stolen.as_str())] {
                let mut form = fields.to_vec();
                form.extend(bad.map(|token| ("form_token", token)));
                assert_eq!(scene.agent.post(&scene.app.at(path), &form).await?.status, 403, "{path} {bad:?}");
            }
            let mut form = fields.to_vec();
            form.push(("form_token", &token));
            for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")] {
                let request = scene.agent.request("POST".parse()?, &scene.app.at(path)).form(&form);
                assert_eq!(scene.agent.send(request.header(name, value)).await?.status, 403, "{path} {value}");
            }
            assert_eq!(Agent::default().post(&scene.app.at(path), &form).await?.status, 400, "{path} without a cookie");
        }
        assert!(scene.works(&tokens).await?);
        assert_eq!(scene.upstream.hits("par"), 2, "nobody was sent anywhere");
        Ok(())
    }

    /// Signing in for it shows and ends everything of that account, in this browser, for ten minutes.
    async fn a_proven_account_is_seen_whole(database) {
        let scene = Scene::with_bob(database).await?;
        let phone = Agent::default();
        let on_phone = scene.client.sign_in(&phone, &scene.upstream, HANDLE).await?;
        scene.background(&phone).await?;
        scene.client.sign_in(&scene.agent, &scene.upstream, OTHER_HANDLE).await?;
        let bob_elsewhere = scene.client.sign_in(&Agent::default(), &scene.upstream, OTHER_HANDLE).await?;
        let grants = scene.upstream.live_grants();

        let back = scene.prove(&scene.agent, HANDLE).await?;
        assert_eq!((back.status, &*back.location()?), (303, &*scene.app.at("/account")));
        let pushed = scene.upstream.last_pushed();
        assert_eq!((&*pushed["prompt"], &*pushed["scope"]), ("login", "atproto"), "afresh, and for no more than the name");
        assert_eq!(scene.upstream.live_grants(), grants, "what it took to sign in is given back");
        let page = scene.account_page(&scene.agent).await?;
        assert_eq!((accounts(&page), apps(&page)), (2, 3), "{}", page.text);
        for shown in ["another browser or device", "Runs in the background", "For 10 minutes"] {
            assert!(page.text.contains(shown), "{shown}");
        }
        assert_eq!(apps(&scene.account_page(&Agent::default()).await?), 0, "no other browser");

        let id = scene.session_id(&on_phone).await?;
        let done = scene.press(&scene.agent, "/account/revoke", &[("session", &id)]).await?;
        assert_eq!(done.location()?, scene.app.at("/account?notice=ended"));
        assert!(!scene.works(&on_phone).await?);
        let id = scene.session_id(&bob_elsewhere).await?;
        let done = scene.press(&scene.agent, "/account/revoke", &[("session", &id)]).await?;
        assert_eq!(done.location()?, scene.app.at("/account?notice=gone"), "another account is not proven");

        let again = scene.client.sign_in(&phone, &scene.upstream, HANDLE).await?;
        let all = scene.press(&scene.agent, "/account/revoke-all", &[("did", DID), ("reach", "everywhere")]).await?;
        assert_eq!(all.location()?, scene.app.at("/account?notice=ended-all"));
        assert!(!scene.works(&again).await?);
        assert_eq!(apps(&scene.account_page(&phone).await?), 0, "the background one too");

        let last = scene.client.sign_in(&phone, &scene.upstream, HANDLE).await?;
        scene.app.clock.advance(599);
        assert_eq!(apps(&scene.account_page(&scene.agent).await?), 2);
        scene.app.clock.advance(1);
        assert_eq!(apps(&scene.account_page(&scene.agent).await?), 1);
        let late = scene.press(&scene.agent, "/account/revoke-all", &[("did", DID), ("reach", "everywhere")]).await?;
        assert_eq!(late.location()?, scene.app.at("/account?notice=not-proven"));
        let id = scene.session_id(&last).await?;
        let late = scene.press(&scene.agent, "/account/revoke", &[("session", &id)]).await?;
        assert_eq!(late.location()?, scene.app.at("/account?notice=gone"));
        assert!(scene.works(&last).await?);

        scene.prove(&scene.agent, HANDLE).await?;
        assert_eq!(apps(&scene.account_page(&scene.agent).await?), 2);
        scene.press(&scene.agent, "/account/leave", &[]).await?;
        assert_eq!(apps(&scene.account_page(&scene.agent).await?), 1, "hidden again");
        scene.upkeep().await?;
        Ok(())
    }

    /// Errors during the sign-in lead back to the account page, with our own message.
    async fn an_unfinished_proof(database) {
        let scene = Scene::with_bob(database).await?;
        let elsewhere = Agent::default();
        scene.client.sign_in(&elsewhere, &scene.upstream, HANDLE).await?;
        scene.upstream.script(|script| script.deny = true);
        let back = scene.prove(&scene.agent, HANDLE).await?;
        assert!(back.location()?.starts_with(&scene.app.at("/account?error=access_denied&")), "{back:?}");
        let page = scene.agent.get(&back.location()?).await?;
        assert_eq!((page.status, apps(&page)), (200, 0));
        assert!(page.text.contains("You did not sign in"));
        scene.upstream.script(|script| script.deny = false);

        let wrong = scene.press(&scene.agent, "/account/sign-in", &[("identifier", "nobody.test")]).await?;
        assert_eq!((wrong.status, wrong.text.contains("role=\"alert\"")), (400, true));
        let request = hidden(&wrong, "request");
        let form = [("request", request.as_str()), ("identifier", HANDLE)];
        let sent = scene.agent.post(&scene.app.at("/oauth/sign-in"), &form).await?.location()?;
        let returned = scene.upstream.approve(&sent).await?;
        assert_eq!(elsewhere.get(&returned).await?.status, 400, "begun in another browser");
        assert_eq!(scene.agent.get(&returned).await?.location()?, scene.app.at("/account"));
        assert_eq!(apps(&scene.account_page(&scene.agent).await?), 1);
        assert_eq!(scene.agent.get(&returned).await?.status, 400, "once");
        Ok(())
    }

    /// The client that stands for this server is nobody else's to use.
    async fn the_account_client_is_ours_alone(database) {
        let scene = Scene::with_bob(database).await?;
        scene.prove(&scene.agent, HANDLE).await?;
        let own = scene.app.at("/account");
        let request = scene.client.authorization(None).with("client_id", Some("causeway-account")).with("redirect_uri", Some(&own));
        let begun = scene.agent.get(&request.url(&scene.app.issuer)).await?;
        assert_eq!((begun.status, begun.header("location")), (400, ""));
        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &request.form()).await?;
        assert_eq!(pushed.status, 400);
        for (grant, field) in [("authorization_code", "code"), ("refresh_token", "refresh_token")] {
            let form = [("client_id", "causeway-account"), ("grant_type", grant), (field, "x"), ("code_verifier", "x")];
            let token = scene.agent.post(&scene.app.at("/oauth/token"), &form).await?;
            assert_eq!(token.refusal(), "400 unauthorized_client");
        }
        Ok(())
    }
}
