//! Refresh tokens that come again (RFC 9700 section 4.14.2): what was lost can be had again, and what was superseded and
//! shows up all the same proves that two hold it.

use anyhow::Result;
use causeway_domain::token::{REFRESH_RETRY_SECONDS, REFRESH_RETRY_SECONDS_UNPROVEN};
use causeway_testkit::{Answer, DpopKey, OauthClient, Tokens};

use crate::support::{HANDLE, Scene, count, on_each_database};

/// A pair whose answer was lost, or stolen, and the pair of the late retry.
struct Superseded {
    scene: Scene,
    client: OauthClient,
    lost: Tokens,
    retried: Tokens,
}

impl Superseded {
    async fn of(scene: Scene, client: OauthClient) -> Result<Self> {
        let first = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let lost = Tokens::read(&client.refresh(&scene.agent, &first.refresh_token).await?)?;
        let window = if client.client_secret.is_some() {
            REFRESH_RETRY_SECONDS
        } else {
            REFRESH_RETRY_SECONDS_UNPROVEN
        };
        scene.app.clock.advance(window + 1);
        let retried = Tokens::read(&client.refresh(&scene.agent, &first.refresh_token).await?)?;
        Ok(Self { scene, client, lost, retried })
    }

    /// Of a client that authenticates: it may introspect.
    async fn confidential(database: &causeway_testkit::TestDatabase) -> Result<Self> {
        let scene = Scene::set(database).await?;
        let client =
            OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        Self::of(scene, client).await
    }

    async fn get(&self, path: &str, token: &str) -> Result<Answer> {
        self.scene.agent.get_with(&self.scene.app.at(path), token).await
    }

    async fn introspect(&self, token: &str) -> Result<bool> {
        let form = [("token", token)];
        Ok(self.client.post(&self.scene.agent, "/oauth/introspect", &form).await?.json()["active"] == true)
    }

    /// Nobody has anything any more: here, at the PDS, and in the log of the operator.
    async fn has_ended(&self) -> Result<()> {
        assert_eq!(self.get("/oauth/userinfo", &self.retried.access_token).await?.status, 401);
        let refused = self.client.refresh(&self.scene.agent, &self.retried.refresh_token).await?;
        assert_eq!(refused.refusal(), "400 invalid_grant");
        assert_eq!(self.scene.upstream.live_grants(), 0);
        let list = self
            .scene
            .app
            .at(&format!("/admin/audit?event=refresh_token_reuse&client={}", self.client.client_id));
        let events = self.scene.agent.get_with(&list, causeway_testkit::TestApp::ADMIN_TOKEN).await?;
        assert_eq!(events.text.matches("\"refresh_token_reuse\"").count(), 1, "{}", events.text);
        self.scene.still_works().await
    }
}

on_each_database! {
    /// Use of a superseded token, access or refresh, at any endpoint ends the grant.
    async fn a_superseded_token_ends_the_grant(database) {
        for at in ["refresh", "userinfo", "session", "xrpc", "introspect access", "introspect refresh", "revoke access", "revoke refresh"] {
            let it = Superseded::confidential(database).await?;
            let (access, refresh) = (&it.lost.access_token, &it.lost.refresh_token);
            match at {
                "refresh" => assert_eq!(it.client.refresh(&it.scene.agent, refresh).await?.refusal(), "400 invalid_grant"),
                "userinfo" => assert_eq!(it.get("/oauth/userinfo", access).await?.status, 401),
                "session" => assert_eq!(it.get("/api/session", access).await?.status, 401),
                "xrpc" => assert_eq!(it.scene.read(access).await?.status, 401),
                "introspect access" => assert!(!it.introspect(access).await?),
                "introspect refresh" => assert!(!it.introspect(refresh).await?),
                _ => {
                    let token = if at == "revoke access" { access } else { refresh };
                    let answer = it.client.post(&it.scene.agent, "/oauth/revoke", &[("token", token)]).await?;
                    assert_eq!(answer.status, 200);
                    assert_eq!(it.get("/oauth/userinfo", &it.retried.access_token).await?.status, 401, "{at}");
                    assert_eq!(it.scene.upstream.live_grants(), 0);
                    continue;
                }
            }
            it.has_ended().await.map_err(|error| error.context(at))?;
            it.scene.app.stop().await;
        }
        Ok(())
    }

    /// Somebody who replays the spent token of a public client just after the window, before its owner uses the successor,
    /// does not keep what they get.
    async fn a_late_replay_does_not_pay(database) {
        let scene = Scene::set(database).await?;
        let client = scene.client.clone();
        let it = Superseded::of(scene, client).await?;
        // Both work at first: the thief's, and the owner's sign-in is not noticed by anybody.
        assert_eq!(it.get("/oauth/userinfo", &it.retried.access_token).await?.status, 200);
        // The owner goes on as if nothing had happened, long after the access token has expired.
        it.scene.app.clock.advance(86_400);
        assert_eq!(it.get("/oauth/userinfo", &it.lost.access_token).await?.status, 401);
        it.has_ended().await
    }

    /// A token that was introspected has arrived: a retry after that is no honest one.
    async fn an_introspected_token_was_used(database) {
        let scene = Scene::set(database).await?;
        let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        let first = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let second = Tokens::read(&client.refresh(&scene.agent, &first.refresh_token).await?)?;
        let form = [("token", &*second.access_token)];
        assert_eq!(client.post(&scene.agent, "/oauth/introspect", &form).await?.json()["active"], true);
        scene.app.clock.advance(REFRESH_RETRY_SECONDS + 1);
        assert_eq!(client.refresh(&scene.agent, &first.refresh_token).await?.refusal(), "400 invalid_grant");
        assert!(!scene.works(&second).await?);
        Ok(())
    }

    /// A superseded bound token without its key has no effect; with the key, it ends the grant.
    async fn a_bound_token_takes_its_key(database) {
        let scene = Scene::set(database).await?;
        let (key, other) = (DpopKey::new(), DpopKey::new());
        let client = scene.client.clone();
        let refresh = async |key: &DpopKey, token: &str| {
            let proof = key.proof(scene.app.ctx.now(), "POST", &scene.app.at("/oauth/token"));
            let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
            client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await
        };
        let show = async |key: &DpopKey, token: &str| {
            let url = scene.app.at("/oauth/userinfo");
            let proof = key.proof_with_token(scene.app.ctx.now(), "GET", &url, token);
            anyhow::Ok(scene.agent.get_with_proof(&url, token, &proof).await?.status)
        };
        let first = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let bound = Tokens::read(&refresh(&key, &first.refresh_token).await?)?;
        let lost = Tokens::read(&refresh(&key, &bound.refresh_token).await?)?;
        scene.app.clock.advance(REFRESH_RETRY_SECONDS + 1);
        let retried = Tokens::read(&refresh(&key, &bound.refresh_token).await?)?;
        assert_eq!(refresh(&other, &lost.refresh_token).await?.refusal(), "400 invalid_grant");
        assert_eq!(show(&other, &lost.access_token).await?, 401);
        assert!(!scene.works(&lost).await?, "as a bearer token");
        assert_eq!(show(&key, &retried.access_token).await?, 200, "nothing has ended");
        assert_eq!(show(&key, &lost.access_token).await?, 401);
        assert_eq!(show(&key, &retried.access_token).await?, 401, "the grant has ended");
        assert_eq!(count(&scene.app, "upstream_session").await?, 1);
        Ok(())
    }
}
