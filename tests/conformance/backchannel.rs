//! Clients are notified when a user is signed out (OpenID Connect Back-Channel Logout 1.0).

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_jose::{JwkSet, Jws};
use causeway_store::clients;
use causeway_store::operations::admin;
use causeway_store::{PageRequest, StoreError};
use causeway_testkit::{DocumentServer, OauthClient, TestDatabase, Tokens};
use causeway_types::{ClientId, TenantId, UpstreamSessionId};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::{DID, HANDLE, Scene, count, hidden, on_each_database};

/// A scene whose client registered for notifications, and the server that receives them.
async fn told(database: &TestDatabase) -> Result<(Scene, DocumentServer)> {
    let (mut scene, server) = (Scene::set(database).await?, DocumentServer::start()?);
    let metadata = json!({
        "token_endpoint_auth_method": "none", "backchannel_logout_uri": format!("{}/out?x=y", server.origin),
        "backchannel_logout_session_required": true, "id_token_signed_response_alg": "ES256",
    });
    let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
    scene.client = OauthClient { scope: "openid atproto".to_owned(), ..client };
    Ok((scene, server))
}

impl Scene {
    async fn enter(&self) -> Result<Tokens> {
        self.client.sign_in(&self.agent, &self.upstream, HANDLE).await
    }

    /// Waits for background work, then runs the periodic maintenance.
    async fn settled(&self) -> Result<()> {
        self.app.ctx.settle().await;
        self.upkeep().await
    }

    async fn notices(&self) -> Result<i64> {
        count(&self.app, "logout_notice").await
    }
}

fn token(post: &str) -> String {
    let (path, form) = post.split_once(' ').unwrap();
    assert_eq!(path, "/out");
    let pairs: Vec<_> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    assert_eq!(pairs[0].0, "logout_token");
    pairs[0].1.clone()
}

fn sid(tokens: &Tokens) -> Value {
    let payload = tokens.answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["sid"].clone()
}

on_each_database! {
    /// Section 2.4: signed as id_tokens are, about this session, and never to be taken for an id_token.
    async fn the_logout_token(database) {
        let (scene, server) = told(database).await?;
        let tokens = scene.enter().await?;
        let hint = tokens.answer["id_token"].as_str().unwrap();
        let out = url::Url::parse_with_params(&scene.app.at("/oauth/logout"), [("id_token_hint", hint)])?;
        assert_eq!(scene.agent.get(out.as_str()).await?.status, 200);
        scene.settled().await?;
        assert_eq!((server.posts().len(), scene.notices().await?), (1, 0), "told once, and done");
        let token = token(&server.posts()[0]);
        let keys = scene.agent.get(&scene.app.at("/oauth/jwks")).await?.json();
        let jws = Jws::parse(&token, 8192)?;
        assert_eq!((jws.typ(), jws.algorithm().as_str()), (Some("logout+jwt"), "ES256"));
        let claims: Value = jws.verify_with(&JwkSet::parse(&keys)?)?.claims()?;
        let now = scene.app.ctx.now().as_secs();
        assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 16));
        let mut rest = claims;
        rest["jti"] = Value::Null;
        assert_eq!(rest, json!({
            "iss": scene.app.issuer, "aud": scene.client.client_id, "iat": now, "exp": now + 120, "jti": null,
            "sub": DID, "sid": sid(&tokens), "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }));
        let metadata = scene.agent.get(&scene.app.at("/.well-known/openid-configuration")).await?.json();
        assert_eq!(metadata["backchannel_logout_supported"], true);
        assert_eq!(metadata["backchannel_logout_session_supported"], true);
        Ok(())
    }

    /// A logout token names no user, at the authorization endpoint and at logout, although the key of our id_tokens has
    /// signed it (section 2.4; RFC 8725 section 3.11).
    async fn the_logout_token_is_no_hint(database) {
        let (scene, server) = told(database).await?;
        let ended = scene.enter().await?;
        let id_token = ended.answer["id_token"].as_str().unwrap();
        let logout = |params: &[(&str, &str)]| url::Url::parse_with_params(&scene.app.at("/oauth/logout"), params);
        scene.agent.get(logout(&[("id_token_hint", id_token)])?.as_str()).await?;
        scene.settled().await?;
        let logout_token = token(&server.posts()[0]);

        let live = scene.enter().await?;
        for (hint, refused) in [(&*logout_token, true), (live.answer["id_token"].as_str().unwrap(), false)] {
            let hinted = scene.client.authorization(None).with("id_token_hint", Some(hint));
            let answer = scene.agent.get(&hinted.url(&scene.app.issuer)).await?;
            let error = answer.redirect_param("error");
            assert_eq!(error.as_deref(), Some("invalid_request").filter(|_| refused), "{answer:?}");
        }
        let out = logout(&[("id_token_hint", &*logout_token), ("post_logout_redirect_uri", "https://app.example/out")])?;
        let page = scene.agent.get(out.as_str()).await?;
        assert_eq!((page.status, page.header("location")), (400, ""));
        assert!(page.text.contains("needs an id_token_hint of this issuer"), "{}", page.text);
        scene.agent.get(logout(&[("id_token_hint", &*logout_token)])?.as_str()).await?;
        assert!(scene.works(&live).await?, "nobody is signed out by it");
        Ok(())
    }

    /// The session is ended by the user on the account page, by the operator, by a replayed code, or with the
    /// client itself.
    async fn whoever_ends_it(database) {
        let (scene, server) = told(database).await?;
        scene.enter().await?;
        let page = scene.agent.get(&scene.app.at("/account")).await?;
        let form = [("form_token", &*hidden(&page, "form_token")), ("session", &*hidden(&page, "session"))];
        scene.agent.post(&scene.app.at("/account/revoke"), &form).await?;
        scene.settled().await?;
        assert_eq!(server.posts().len(), 1, "account page");

        let tokens = scene.enter().await?;
        let (filter, now) = (admin::SessionFilter::default(), scene.app.ctx.now());
        scene.app.store().write::<_, StoreError, _>(move |c| {
            admin::end_sessions(c, &TenantId::default_tenant(), &filter, &PageRequest::first(10), now)
        }).await?;
        assert_eq!(scene.notices().await?, 1, "in the transaction that ends it");
        scene.settled().await?;
        assert_eq!(server.posts().len(), 2, "operator");
        assert!(!scene.works(&tokens).await?);

        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?;
        scene.app.clock.advance(11);
        scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?;
        scene.settled().await?;
        assert_eq!(server.posts().len(), 3, "code used twice");

        scene.enter().await?;
        let (id, now) = (ClientId::new(&scene.client.client_id), scene.app.ctx.now());
        scene.app.store().write::<_, StoreError, _>(move |c| {
            clients::delete_client(c, &TenantId::default_tenant(), &id, now)
        }).await?;
        scene.settled().await?;
        assert_eq!(server.posts().len(), 4, "deleted");
        Ok(())
    }

    /// No notification when the client itself revoked the session, when it expired, or when there was no
    /// id_token and so nothing to sign out of.
    async fn nobody_is_told_for_nothing(database) {
        let (mut scene, server) = told(database).await?;
        let tokens = scene.enter().await?;
        scene.client.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        scene.settled().await?;
        scene.enter().await?;
        scene.app.clock.advance(8 * 86_400);
        scene.settled().await?;
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &scene.client.authorization(Some(HANDLE))).await?;
        causeway_testkit::decide(&scene.agent, &consent, "deny").await?;
        scene.client.scope = "atproto".to_owned();
        let tokens = scene.enter().await?;
        let session = UpstreamSessionId::new(scene.session_id(&tokens).await?);
        let now = scene.app.ctx.now();
        scene.app.store().write::<_, StoreError, _>(move |c| causeway_store::sessions::end_session(c, &session, now)).await?;
        scene.settled().await?;
        assert_eq!((server.posts(), scene.notices().await?), (Vec::new(), 0));
        Ok(())
    }

    /// Delivery to a client that does not respond is retried at growing intervals, with a fresh token each
    /// time; for a day.
    async fn told_until_it_answers(database) {
        let (scene, server) = told(database).await?;
        server.change(|published| published.status = 503);
        let end = async || {
            scene.enter().await?;
            let (filter, now) = (admin::SessionFilter::default(), scene.app.ctx.now());
            scene.app.store().write::<_, StoreError, _>(move |c| {
                admin::end_sessions(c, &TenantId::default_tenant(), &filter, &PageRequest::first(10), now)
            }).await?;
            scene.settled().await
        };
        end().await?;
        for (seconds, tries) in [(0, 1), (14, 1), (1, 2), (29, 2), (1, 3)] {
            scene.app.clock.advance(seconds);
            scene.settled().await?;
            assert_eq!(server.posts().len(), tries, "{seconds}");
        }
        let posts = server.posts();
        assert_ne!(token(&posts[0]), token(&posts[1]));
        server.change(|published| published.status = 204);
        scene.app.clock.advance(60);
        scene.settled().await?;
        scene.app.clock.advance(3600);
        scene.settled().await?;
        assert_eq!((server.posts().len(), scene.notices().await?), (4, 0));

        server.change(|published| (published.status, published.location) = (302, Some(format!("{}/other", server.origin))));
        end().await?;
        assert_eq!((server.posts().len(), scene.notices().await?), (5, 1), "a redirect is no answer and leads nowhere");
        scene.app.clock.advance(86_400);
        scene.settled().await?;
        assert_eq!((server.posts().len(), scene.notices().await?), (5, 0), "given up");
        Ok(())
    }

    /// Of several servers on one database, one notifies the client.
    async fn one_of_many_servers(database) {
        let (scene, server) = told(database).await?;
        scene.enter().await?;
        let other = scene.beside(database).await?;
        let (filter, now) = (admin::SessionFilter::default(), scene.app.ctx.now());
        scene.app.store().write::<_, StoreError, _>(move |c| {
            admin::end_sessions(c, &TenantId::default_tenant(), &filter, &PageRequest::first(10), now)
        }).await?;
        let tellers = (0..8).map(|n| causeway_flow::logout::backchannel::deliver_due(if n % 2 == 0 { &scene.app.ctx } else { &other.ctx }));
        futures_util::future::try_join_all(tellers).await?;
        assert_eq!((server.posts().len(), scene.notices().await?), (1, 0));
        Ok(())
    }

    /// Without dev mode, clients are notified over https on the public internet or not at all.
    async fn never_into_our_own_network(database) {
        let (scene, server) = told(database).await?;
        scene.enter().await?;
        server.change(|published| published.status = 200);
        let strict = causeway_testkit::TestApp::start_tuned(database, &scene.upstream.environment(), |parts| {
            parts.outbound = causeway_testkit::strict_outbound().unwrap();
            parts.ring = scene.app.ring.clone();
        }).await?;
        let (filter, now) = (admin::SessionFilter::default(), scene.app.ctx.now());
        strict.store().write::<_, StoreError, _>(move |c| {
            admin::end_sessions(c, &TenantId::default_tenant(), &filter, &PageRequest::first(10), now)
        }).await?;
        causeway_flow::logout::backchannel::deliver_due(&strict.ctx).await?;
        assert_eq!((server.posts().len(), scene.notices().await?), (0, 1));
        for bad in [json!("http://app.example/out"), json!("https://app.example/out#x"), json!("javascript:alert(1)")] {
            let metadata = json!({"redirect_uris": ["https://a.example/cb"], "backchannel_logout_uri": bad});
            let answer = scene.agent.post_body(&scene.app.at("/oauth/register"), "application/json", metadata.to_string()).await?;
            assert_eq!(answer.refusal(), "400 invalid_client_metadata", "{bad}");
        }
        Ok(())
    }
}
