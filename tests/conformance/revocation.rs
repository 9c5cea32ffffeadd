//! `/oauth/revoke` (RFC 7009) and the deletion of clients.

use std::time::Duration;

use causeway_domain::Clock as _;
use causeway_store::StoreError;
use causeway_store::clients;
use causeway_testkit::Tokens;
use causeway_types::{ClientId, TenantId};
use serde_json::json;

use crate::support::{HANDLE, Scene, on_each_database};

on_each_database! {
    /// A refresh token takes the grant with it, at the authorization server too; an access token is revoked
    /// alone.
    async fn what_goes_with_what(database) {
        let scene = Scene::set(database).await?;
        let userinfo = scene.app.at("/oauth/userinfo");
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let revoke = |token: String| {
            let (client, agent) = (&scene.client, &scene.agent);
            async move { client.post(agent, "/oauth/revoke", &[("token", &*token)]).await }
        };
        let revoked = revoke(tokens.access_token.clone()).await?;
        assert_eq!((revoked.status, revoked.json()), (200, json!({})), "some libraries read it as JSON");
        assert_eq!(scene.agent.get_with(&userinfo, &tokens.access_token).await?.refusal(), "401 invalid_token");
        let tokens = Tokens::read(&scene.client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        assert_eq!(scene.agent.get_with(&userinfo, &tokens.access_token).await?.status, 200);

        assert_eq!(revoke(tokens.refresh_token.clone()).await?.status, 200);
        assert_eq!(scene.agent.get_with(&userinfo, &tokens.access_token).await?.refusal(), "401 invalid_token");
        assert_eq!(scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.refusal(), "400 invalid_grant");
        assert_eq!(scene.upstream.live_grants(), 0);

        assert_eq!(revoke(tokens.refresh_token).await?.status, 200, "again");
        assert_eq!(revoke("nonsense".to_owned()).await?.status, 200);
        assert_eq!(scene.client.post(&scene.agent, "/oauth/revoke", &[]).await?.refusal(), "400 invalid_request");
        scene.still_works().await
    }

    /// Section 2.1: a hint only says where to look first, and one that nobody knows is no error.
    async fn hints_are_only_hints(database) {
        let scene = Scene::set(database).await?;
        for hint in ["access_token", "refresh_token", "nobody_knows"] {
            let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
            let form = [("token", &*tokens.access_token), ("token_type_hint", hint)];
            let answer = scene.client.post(&scene.agent, "/oauth/revoke", &form).await?;
            assert_eq!((answer.status, scene.works(&tokens).await?), (200, false), "{hint}");
            assert_eq!(scene.upstream.live_grants(), 1, "{hint}");
            let form = [("token", &*tokens.refresh_token), ("token_type_hint", hint)];
            let answer = scene.client.post(&scene.agent, "/oauth/revoke", &form).await?;
            assert_eq!((answer.status, scene.upstream.live_grants()), (200, 0), "{hint}");
        }
        Ok(())
    }

    /// A revocation that the authorization server does not accept is stored and retried later.
    async fn upstream_revocation_is_not_forgotten(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.upstream.script(|script| script.revoke = causeway_testkit::Fault::Status(503));
        assert_eq!(scene.client.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?.status, 200);
        assert_eq!(scene.upstream.live_grants(), 1);
        scene.upstream.script(|script| script.revoke = causeway_testkit::Fault::None);
        scene.app.clock.advance(3600);
        scene.upkeep().await?;
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }

    /// Another process deletes a client: the running server refuses it, and its sessions end upstream.
    async fn deleted_client(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let (id, now) = (ClientId::new(&*scene.client.client_id), scene.app.clock.now());
        let beside = database.store().await;
        let deleted = beside
            .write::<_, StoreError, _>(move |c| clients::delete_client(c, &TenantId::default_tenant(), &id, now))
            .await?;
        assert!(deleted);
        // Never a token, never a server error, and within a second the client is unknown.
        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &scene.client.authorization(None).form()).await?;
        assert_eq!(pushed.refusal(), "401 invalid_client");
        let begun = scene.agent.get(&scene.client.authorization(None).url(&scene.app.issuer)).await?;
        assert_eq!(begun.status, 400);
        let noticed = async {
            loop {
                let refused = scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.refusal();
                if refused != "400 invalid_grant" {
                    return anyhow::Ok(refused);
                }
            }
        };
        assert_eq!(tokio::time::timeout(Duration::from_secs(1), noticed).await??, "401 invalid_client");
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &tokens.access_token).await?;
        assert_eq!(userinfo.refusal(), "401 invalid_token");
        let page = scene.agent.get(&scene.client.authorization(None).url(&scene.app.issuer)).await?;
        assert_eq!(page.status, 400);
        scene.upkeep().await?;
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }
}
