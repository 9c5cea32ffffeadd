//! Handles change hands: what is handed out is the account's own still.

use anyhow::Result;
use causeway_testkit::{Agent, Answer, Fault, OauthClient, Tokens};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, OTHER_DID, Scene, on_each_database};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
const NEW_HANDLE: &str = "alice-renamed.test";

/// A client that may introspect, and tokens of its own.
struct Told {
    client: OauthClient,
    tokens: Tokens,
}

impl Scene {
    async fn told(&self) -> Result<Told> {
        let more = json!({ "token_endpoint_auth_method": "client_secret_post" });
        let client = OauthClient::register_as(&self.agent, &self.app.issuer, more).await?;
        let client = OauthClient { scope: "openid atproto".to_owned(), ..client };
        let tokens = client.sign_in(&self.agent, &self.upstream, HANDLE).await?;
        Ok(Told { client, tokens })
    }

    /// Alice goes by another handle, and somebody else has hers.
    fn handle_changes_hands(&self) {
        self.upstream.hand_over(HANDLE, OTHER_DID, NEW_HANDLE);
    }

    async fn get_with(&self, path: &str, told: &Told) -> Result<Answer> {
        self.agent.get_with(&self.app.at(path), &told.tokens.access_token).await
    }

    /// The handle, wherever one is handed out: userinfo, the session, GraphQL, introspection of both tokens.
    async fn handed_out(&self, told: &Told) -> Result<Vec<Value>> {
        let userinfo = self.get_with("/oauth/userinfo", told).await?.json();
        let session = self.get_with("/api/session", told).await?.json();
        let query = self.agent.request("POST".parse()?, &self.app.at("/graphql"));
        let query =
            query.bearer_auth(&told.tokens.access_token).json(&json!({"query": "{ viewer { handle } }"}));
        let viewer = self.agent.send(query).await?.json();
        let mut handles = vec![
            userinfo["preferred_username"].clone(),
            session["handle"].clone(),
            viewer["data"]["viewer"]["handle"].clone(),
        ];
        for token in [&told.tokens.access_token, &told.tokens.refresh_token] {
            let form = [
                ("token", token.as_str()),
                ("client_id", &told.client.client_id),
                ("client_secret", told.client.client_secret.as_deref().unwrap_or_default()),
            ];
            let introspected = self.agent.post(&self.app.at("/oauth/introspect"), &form).await?;
            assert_eq!(introspected.json()["active"], true, "{introspected:?}");
            handles.push(introspected.json()["username"].clone());
        }
        Ok(handles)
    }
}

on_each_database! {
    /// The handle is looked up again, in the background, when it is handed out and an hour old; the next one who asks
    /// has the new one. What it is to somebody else by now is never handed out for longer.
    async fn looked_up_again_when_handed_out(database) {
        let scene = Scene::set(database).await?;
        let told = scene.told().await?;
        scene.handle_changes_hands();
        scene.app.clock.advance(HOUR - 1);
        let looked = scene.upstream.hits("directory");
        assert_eq!(scene.handed_out(&told).await?, vec![json!(HANDLE); 5]);
        scene.app.ctx.settle().await;
        assert_eq!(scene.upstream.hits("directory"), looked, "young enough");
        scene.app.clock.advance(1);
        scene.get_with("/oauth/userinfo", &told).await?;
        scene.app.ctx.settle().await;
        assert_eq!(scene.handed_out(&told).await?, vec![json!(NEW_HANDLE); 5]);
        assert_eq!(scene.upstream.hits("directory") - looked, 1, "once");
        // Each of the others would have done it, too.
        for path in ["/api/session", "/oauth/userinfo"] {
            scene.app.clock.advance(HOUR);
            scene.get_with(path, &told).await?;
            scene.app.ctx.settle().await;
        }
        assert_eq!(scene.upstream.hits("directory") - looked, 3);
        Ok(())
    }

    /// A handle that leads elsewhere, or that the account does not claim any more, is left out.
    async fn one_that_does_not_verify_is_left_out(database) {
        let scene = Scene::set(database).await?;
        let told = scene.told().await?;
        scene.upstream.script(|script| script.also_known_as = Some("nobodys.test".to_owned()));
        scene.app.clock.advance(HOUR);
        scene.get_with("/api/session", &told).await?;
        scene.app.ctx.settle().await;
        assert_eq!(scene.handed_out(&told).await?, vec![Value::Null; 5]);
        scene.upstream.script(|script| script.also_known_as = None);
        scene.app.clock.advance(HOUR);
        scene.get_with("/api/session", &told).await?;
        scene.app.ctx.settle().await;
        assert_eq!(scene.handed_out(&told).await?, vec![json!(HANDLE); 5], "and comes back");
        Ok(())
    }

    /// Nobody could be asked: the last one that was verified goes on for a day. Then it is left out, until it verifies.
    async fn a_failed_look_up_keeps_it_for_a_day(database) {
        let scene = Scene::set(database).await?;
        let mut told = scene.told().await?;
        for (directory, handles) in [(Fault::Status(503), Fault::None), (Fault::None, Fault::Status(503))] {
            scene.upstream.script(|script| (script.directory, script.handles) = (directory, handles));
            scene.app.clock.advance(HOUR);
            scene.get_with("/oauth/userinfo", &told).await?;
            scene.app.ctx.settle().await;
            assert_eq!(scene.handed_out(&told).await?, vec![json!(HANDLE); 5]);
        }
        let tried = scene.upstream.hits("handles");
        scene.handed_out(&told).await?;
        scene.app.ctx.settle().await;
        assert_eq!(scene.upstream.hits("handles"), tried, "not with every call");
        scene.app.clock.advance(DAY - 2 * HOUR - 1);
        assert_eq!(scene.handed_out(&told).await?, vec![json!(HANDLE); 5]);
        scene.app.ctx.settle().await;
        // The client's own token ends with the day.
        told.tokens = Tokens::read(&told.client.refresh(&scene.agent, &told.tokens.refresh_token).await?)?;
        scene.app.clock.advance(1);
        assert_eq!(scene.handed_out(&told).await?, vec![Value::Null; 5]);
        scene.upstream.script(|script| script.handles = Fault::None);
        scene.app.clock.advance(60);
        assert_eq!(scene.handed_out(&told).await?, vec![json!(HANDLE); 5], "a caller without a handle waits for it");
        Ok(())
    }

    /// A refresh resolves the account anyway, which updates the handle.
    async fn with_a_refresh(database) {
        let scene = Scene::set(database).await?;
        let told = scene.told().await?;
        scene.handle_changes_hands();
        scene.app.clock.advance(400); // past the cache
        let refresh = scene.agent.request("POST".parse()?, &scene.app.at("/api/session/refresh"));
        let refreshed = scene.agent.send(refresh.bearer_auth(&told.tokens.access_token)).await?;
        assert_eq!(refreshed.json()["handle"], NEW_HANDLE, "{refreshed:?}");
        assert_eq!(scene.handed_out(&told).await?, vec![json!(NEW_HANDLE); 5]);
        scene.upstream.script(|script| script.handles = Fault::Status(503));
        scene.app.clock.advance(3600);
        scene.read(&told.tokens.access_token).await?;
        assert_eq!(scene.handed_out(&told).await?[0], NEW_HANDLE, "it could not be asked");
        Ok(())
    }

    /// The sign-in could not verify the handle: it is handed out as soon as it verifies, in the id_token as well.
    async fn not_verified_at_the_sign_in(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.script(|script| script.handles = Fault::Status(503));
        let more = json!({ "token_endpoint_auth_method": "client_secret_post" });
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, more).await?;
        let client = OauthClient { scope: "openid atproto".to_owned(), ..client };
        let (code, authorization) = client.obtain_code(&scene.agent, &scene.upstream, DID).await?;
        let tokens = Tokens::read(&client.redeem(&Agent::default(), &code, &authorization.verifier).await?)?;
        let told = Told { client, tokens };
        assert_eq!(claims(&told.tokens)["preferred_username"], Value::Null);
        scene.app.ctx.settle().await;
        assert_eq!(scene.handed_out(&told).await?, vec![Value::Null; 5]);
        scene.upstream.script(|script| script.handles = Fault::None);
        scene.app.clock.advance(60);
        scene.handed_out(&told).await?;
        scene.app.ctx.settle().await;
        assert_eq!(scene.handed_out(&told).await?, vec![json!(HANDLE); 5]);
        let refreshed = told.client.refresh(&scene.agent, &told.tokens.refresh_token).await?;
        assert_eq!(claims(&Tokens::read(&refreshed)?)["preferred_username"], HANDLE);
        Ok(())
    }

    /// One that was typed, and verified a moment before, serves when it cannot be asked at the end of the sign-in.
    async fn one_that_was_typed(database) {
        let scene = Scene::set(database).await?;
        let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
        let to_upstream = scene.agent.get(&start).await?.location()?;
        let callback = causeway_testkit::User::approve(&scene.upstream, &to_upstream).await?;
        scene.upstream.script(|script| script.handles = Fault::Status(503));
        let consent = scene.agent.get(&callback).await?.location()?;
        let page = scene.agent.get(&consent).await?;
        assert!(page.text.contains(HANDLE), "{page:?}");
        Ok(())
    }

    /// A name that is somebody else's by now is no way to answer for them in silence, nor to send somebody to.
    async fn a_hint_is_the_accounts_own(database) {
        let scene = Scene::set(database).await?;
        let more = json!({
            "token_endpoint_auth_method": "client_secret_post",
            "redirect_uris": ["https://app.example/callback"],
        });
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, more).await?;
        let redirect_uri = "https://app.example/callback".to_owned();
        let client = OauthClient { redirect_uri, ..client };
        client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.handle_changes_hands();
        scene.app.clock.advance(2 * DAY);
        let silent = |hint: &str| {
            let url = client.authorization(Some(hint)).url(&scene.app.issuer);
            format!("{url}&prompt=none")
        };
        let answer = scene.agent.get(&silent(HANDLE)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("login_required"), "{answer:?}");
        let answer = scene.agent.get(&silent(NEW_HANDLE)).await?;
        assert!(answer.redirect_param("code").is_some(), "{answer:?}");
        Ok(())
    }
}

/// Claims of an id_token.
fn claims(tokens: &Tokens) -> Value {
    use base64::Engine as _;
    let payload = tokens.answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
