//! Sessions for automation: how they begin, what they survive, and what alone ends them.

use anyhow::Result;
use causeway_domain::client::Entitlement;
use causeway_store::StoreError;
use causeway_store::clients;
use causeway_testkit::{Agent, Fault, OauthClient, Tokens, decide};
use causeway_types::{ClientId, TenantId};

use crate::support::{HANDLE, OTHER_HANDLE, Scene, hidden, on_each_database};

const DAY: i64 = 86_400;

impl Scene {
    async fn automation(&self) -> Result<OauthClient> {
        self.client_with_entitlements(&[Entitlement::BackgroundAccess]).await
    }

    async fn kind(&self, tokens: &Tokens) -> Result<String> {
        let session = self.agent.get_with(&self.app.at("/api/session"), &tokens.access_token).await?.json();
        Ok(session["session_kind"].as_str().unwrap_or_default().to_owned())
    }
}

on_each_database! {
    /// A background session takes a separate authorization with its own line at consent, and a client with
    /// the entitlement.
    async fn begins_with_consent(database) {
        let scene = Scene::set(database).await?;
        let client = scene.automation().await?;
        let request = client.authorization(Some(HANDLE));
        let consent = client.reach_consent(&scene.agent, &scene.upstream, &request).await?;
        let page = scene.agent.get(&consent).await?;
        assert!(page.text.contains("Keep working while you are away"), "{}", page.text);
        assert_eq!(scene.upstream.last_pushed()["scope"], "atproto transition:generic", "between us and the client");
        let code = decide(&scene.agent, &consent, "allow").await?.redirect_param("code").unwrap();
        let tokens = Tokens::read(&client.redeem(&scene.agent, &code, &request.verifier).await?)?;
        assert_eq!(tokens.answer["scope"], "atproto transition:generic background_access");
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
        assert_eq!((&session["session_kind"], &session["session_expires_at"]), (&"background".into(), &serde_json::Value::Null));

        // The same browser, client and account again: consent is asked for again, and nothing goes in silence.
        let again = client.reach_consent(&scene.agent, &scene.upstream, &client.authorization(Some(HANDLE))).await?;
        assert!(scene.agent.get(&again).await?.text.contains("while you are away"));
        let silent = client.authorization(None).with("prompt", Some("none"));
        let refused = scene.agent.get(&silent.url(&scene.app.issuer)).await?;
        assert_eq!(refused.redirect_param("error").as_deref(), Some("consent_required"));

        let by_itself = OauthClient::register_as(&scene.agent, &scene.app.issuer, serde_json::json!({"allow_background_access": true})).await?;
        for not_allowed in [scene.client.clone(), by_itself] {
            let alone = OauthClient { scope: "background_access".to_owned(), ..not_allowed.clone() };
            let refused = scene.agent.get(&alone.authorization(Some(HANDLE)).url(&scene.app.issuer)).await?;
            assert_eq!(refused.redirect_param("error").as_deref(), Some("invalid_scope"), "it is not a client's to take");
            let beside = OauthClient { scope: client.scope.clone(), ..not_allowed };
            let tokens = beside.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
            assert_eq!(tokens.answer["scope"], "atproto transition:generic", "left out, and told");
            let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
            assert_eq!(session["session_kind"], "device");
        }
        Ok(())
    }

    /// It survives idle time, the expiry of every token, the user's logout, and the end of a device session
    /// of the same client and account.
    async fn survives_what_is_not_its_end(database) {
        let scene = Scene::set(database).await?;
        let client = scene.automation().await?;
        let background = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let beside = OauthClient { scope: "openid atproto".to_owned(), ..client.clone() };
        let device = beside.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_eq!((scene.kind(&background).await?, scene.kind(&device).await?), ("background".to_owned(), "device".to_owned()));

        let hint = device.answer["id_token"].as_str().unwrap();
        let out = scene.agent.get(&scene.app.at(&format!("/oauth/logout?id_token_hint={hint}"))).await?;
        assert_eq!(out.status, 200, "{out:?}");
        assert!(!scene.works(&device).await? && scene.works(&background).await?);
        let device = beside.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        client.post(&scene.agent, "/oauth/revoke", &[("token", &device.refresh_token)]).await?;
        assert!(!scene.works(&device).await? && scene.works(&background).await?);
        scene.upkeep().await?;
        assert_eq!(scene.upstream.live_grants(), 1);

        scene.app.clock.advance(13 * DAY);
        scene.upkeep().await?;
        let background = Tokens::read(&client.refresh(&scene.agent, &background.refresh_token).await?)?;
        assert!(scene.works(&background).await?, "idle for 13 days");
        scene.app.clock.advance(400 * DAY);
        scene.upkeep().await?;
        assert!(!scene.works(&background).await?, "the tokens have ended");
        assert_eq!(scene.upstream.live_grants(), 1, "the session has not");
        Ok(())
    }

    /// A newer session replaces the previous one, which is revoked upstream once the new one is committed. A
    /// denial changes nothing; other accounts and clients have their own sessions.
    async fn one_lives(database) {
        let scene = Scene::with_bob(database).await?;
        let client = scene.automation().await?;
        let other_client = scene.automation().await?;
        let elsewhere = Agent::default();
        let first = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let bob = client.sign_in(&scene.agent, &scene.upstream, OTHER_HANDLE).await?;
        let other = other_client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;

        let consent = client.reach_consent(&elsewhere, &scene.upstream, &client.authorization(Some(HANDLE))).await?;
        assert!(scene.works(&first).await?, "not before consent");
        decide(&elsewhere, &consent, "deny").await?;
        assert!(scene.works(&first).await?);
        assert_eq!(scene.upstream.live_grants(), 3);

        let second = client.sign_in(&elsewhere, &scene.upstream, HANDLE).await?;
        assert!(!scene.works(&first).await?);
        assert_eq!(client.refresh(&scene.agent, &first.refresh_token).await?.refusal(), "400 invalid_grant");
        assert_eq!(scene.upstream.live_grants(), 3, "revoked there, too");

        scene.upstream.script(|script| script.revoke = Fault::Status(503));
        let third = client.sign_in(&elsewhere, &scene.upstream, HANDLE).await?;
        assert!(!scene.works(&second).await? && scene.works(&third).await?);
        assert_eq!(scene.upstream.live_grants(), 4, "still to be revoked");
        scene.upstream.script(|script| script.revoke = Fault::None);
        scene.app.clock.advance(3600);
        scene.upkeep().await?;
        assert_eq!(scene.upstream.live_grants(), 3);
        for tokens in [third, bob, other] {
            assert!(scene.works(&tokens).await?);
        }
        Ok(())
    }

    /// It ends when its client revokes its refresh token or its identifier, when the user ends it on the
    /// account page, or when the client is deleted. An access token does not end it, nor does another client.
    async fn ends_when_it_is_revoked(database) {
        let scene = Scene::set(database).await?;
        let client = scene.automation().await?;
        let stranger = scene.automation().await?;
        let sign_in = async || client.sign_in(&scene.agent, &scene.upstream, HANDLE).await;
        let revoke = async |client: &OauthClient, token: &str| client.post(&scene.agent, "/oauth/revoke", &[("token", token)]).await;

        let tokens = sign_in().await?;
        revoke(&client, &tokens.access_token).await?;
        let tokens = Tokens::read(&client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        let id = scene.session_id(&tokens).await?;
        revoke(&stranger, &id).await?;
        revoke(&scene.client, &id).await?;
        assert!(scene.works(&tokens).await?);
        assert_eq!(revoke(&client, &id).await?.status, 200);
        assert!(!scene.works(&tokens).await?);
        assert_eq!(scene.upstream.live_grants(), 0);

        let tokens = sign_in().await?;
        revoke(&client, &tokens.refresh_token).await?;
        assert!(!scene.works(&tokens).await?);
        assert_eq!(scene.upstream.live_grants(), 0);

        let tokens = sign_in().await?;
        let id = scene.session_id(&tokens).await?;
        let page = scene.agent.get(&scene.app.at("/account")).await?;
        assert!(page.text.contains("Runs in the background"), "{}", page.text);
        let form = [("form_token", hidden(&page, "form_token")), ("session", id)];
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        scene.agent.post(&scene.app.at("/account/revoke"), &form).await?;
        assert!(!scene.works(&tokens).await?);
        assert_eq!(scene.upstream.live_grants(), 0);

        let tokens = sign_in().await?;
        let (id, now) = (ClientId::new(&*client.client_id), scene.app.ctx.now());
        let deleted = scene.app.store()
            .write::<_, StoreError, _>(move |c| clients::delete_client(c, &TenantId::default_tenant(), &id, now));
        assert!(deleted.await?);
        assert!(!scene.works(&tokens).await?);
        scene.upkeep().await?;
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }
}
