//! `email` from the userinfo endpoint and the `claims` parameter (OpenID Connect Core sections 5.3, 5.4, 5.5).

use std::time::Duration;

use anyhow::Result;
use causeway_domain::client::Entitlement;
use causeway_flow::CtxParts;
use causeway_testkit::{
    Agent, Authorization, Fault, ScriptedUpstream, TestApp, TestDatabase, Tokens, XrpcReply, decide,
};
use serde_json::{Value, json};

use super::openid;
use crate::support::{
    DID, HANDLE, OTHER_DID, OTHER_HANDLE, Scene, enter, grant_entitlements, on_each_database, within_a_second,
};

impl Scene {
    /// Where the operator trusts what the PDS says of addresses, and another one does not.
    async fn trusting(database: &TestDatabase, trusted: &str) -> Result<Self> {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let trusted = trusted.replace("ORIGIN", &upstream.origin);
        let trusted = trusted.split(' ').map(str::to_owned).collect();
        let tune = |parts: &mut CtxParts| parts.trusted_email_issuers = trusted;
        let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        enter(&app, &client).await?;
        Ok(Self { app, upstream, agent, client })
    }

    async fn sign_in_by(&self, authorization: &Authorization) -> Result<Tokens> {
        let consent = self.client.reach_consent(&self.agent, &self.upstream, authorization).await?;
        let answer = decide(&self.agent, &consent, "allow").await?;
        let code = answer.redirect_param("code").unwrap();
        Tokens::read(&self.client.redeem(&self.agent, &code, &authorization.verifier).await?)
    }

    async fn userinfo(&self, tokens: &Tokens) -> Result<Value> {
        let answer = self.agent.get_with(&self.app.at("/oauth/userinfo"), &tokens.access_token).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        Ok(answer.json())
    }

    /// Sets the response of `getSession` from now on.
    fn account(&self, body: &Value) {
        let reply = XrpcReply { body: body.to_string(), ..XrpcReply::default() };
        self.upstream.script(|script| script.answer = Some(reply));
    }
}

on_each_database! {
    /// At request time, from the user's PDS, with the scope only; claims that the PDS does not provide are
    /// omitted.
    async fn email_comes_from_the_users_server(database) {
        let scene = Scene::trusting(database, "ORIGIN").await?;
        let asking = |scope| scene.client.authorization(Some(HANDLE)).with("scope", Some(scope));
        scene.account(&json!({"did": DID, "handle": HANDLE, "email": "alice@mail.example", "emailConfirmed": true}));
        let with = scene.sign_in_by(&asking("openid email")).await?;
        assert_eq!(scene.upstream.last_pushed()["scope"], "atproto account:email");
        assert_eq!(with.answer["scope"], "openid email");
        let plain = json!({"sub": DID, "preferred_username": HANDLE});
        let mut whole = plain.clone();
        (whole["email"], whole["email_verified"]) = (json!("alice@mail.example"), json!(true));
        assert_eq!(scene.userinfo(&with).await?, whole);
        let without = scene.sign_in_by(&asking("openid transition:email")).await?;
        let calls = scene.upstream.hits("xrpc");
        assert_eq!(scene.userinfo(&without).await?, plain, "the scope of the token says so");
        assert_eq!(scene.upstream.hits("xrpc"), calls, "and nobody is asked");

        scene.account(&json!({"did": DID, "email": "new@mail.example"}));
        (whole["email"], whole["email_verified"]) = (json!("new@mail.example"), json!(false));
        assert_eq!(scene.userinfo(&with).await?, whole, "nothing is kept");
        for other in [json!({"did": DID}), json!({"did": OTHER_DID, "email": "bob@mail.example"}), json!([])] {
            scene.account(&other);
            assert_eq!(scene.userinfo(&with).await?, plain, "{other}");
        }
        for fault in [Fault::Status(503), Fault::Html, Fault::Silence, Fault::Late(Duration::from_secs(5))] {
            scene.upstream.script(|script| script.xrpc = fault.clone());
            assert_eq!(scene.userinfo(&with).await?, plain, "{fault:?}");
        }
        let metadata = scene.agent.get(&scene.app.at("/.well-known/openid-configuration")).await?.json();
        for claim in ["email", "email_verified", "sub", "preferred_username"] {
            assert!(metadata["claims_supported"].as_array().unwrap().contains(&json!(claim)), "{claim}");
        }
        assert_eq!(metadata["claims_parameter_supported"], true);
        Ok(())
    }

    /// Anybody's PDS can name any address: that it is verified is said only of one that the operator trusts, by the issuer
    /// that the sign-in was proven with, byte for byte.
    async fn verified_only_where_the_operator_trusts(database) {
        let scene = Scene::trusting(database, "https://bsky.social ORIGIN/ ORIGIN.evil.example ORIGIN:443").await?;
        scene.account(&json!({"did": DID, "email": "victim@mail.example", "emailConfirmed": true}));
        let request = scene.client.authorization(Some(HANDLE)).with("scope", Some("openid email"));
        let info = scene.userinfo(&scene.sign_in_by(&request).await?).await?;
        assert_eq!((&info["email"], &info["email_verified"]), (&json!("victim@mail.example"), &json!(false)));
        Ok(())
    }

    /// An invalid address is omitted, together with `email_verified`.
    async fn no_address_no_claim(database) {
        let scene = Scene::trusting(database, "ORIGIN").await?;
        let request = scene.client.authorization(Some(HANDLE)).with("scope", Some("openid email"));
        let tokens = scene.sign_in_by(&request).await?;
        for email in [
            "alice@mail.example\r\nBcc: bob@mail.example",
            "alice@mail.example\u{0}",
            "Alice <alice@mail.example>",
            "alice",
            "",
            &format!("{}@mail.example", "a".repeat(100_000)),
            &format!("alice@{}mail.example", "a.".repeat(130)),
        ] {
            scene.account(&json!({"did": DID, "email": email, "emailConfirmed": true}));
            let info = scene.userinfo(&tokens).await?;
            assert_eq!((info.get("email"), info.get("email_verified")), (None, None), "{info}");
            assert_eq!(info["sub"], DID);
        }
        Ok(())
    }

    /// With the entitlement, an `id_token` has the claims of the userinfo endpoint; one from a refresh does
    /// not wait for the PDS, and one without the entitlement never contains an email address.
    async fn claims_in_the_id_token(database) {
        let scene = Scene::trusting(database, "ORIGIN").await?;
        scene.account(&json!({"did": DID, "email": "alice@mail.example", "emailConfirmed": true}));
        let request = || scene.client.authorization(Some(HANDLE)).with("scope", Some("openid profile email"));
        let said = |tokens: &Tokens| {
            let claims = openid::claims(&tokens.answer["id_token"]);
            ["name", "email", "email_verified"].map(|name| claims[name].clone())
        };
        let without = scene.sign_in_by(&request()).await?;
        assert_eq!(said(&without), [Value::Null, Value::Null, Value::Null]);
        assert_eq!(scene.userinfo(&without).await?["name"], HANDLE);

        grant_entitlements(scene.app.store(), &scene.client, &[Entitlement::IdTokenClaims]).await?;
        within_a_second(async || {
            let with = scene.sign_in_by(&request()).await?;
            Ok(said(&with) == [json!(HANDLE), json!("alice@mail.example"), json!(true)])
        }).await?;
        let narrow = scene.sign_in_by(&request().with("scope", Some("openid"))).await?;
        assert_eq!(said(&narrow), [Value::Null, Value::Null, Value::Null], "the scope says so");
        let with = scene.sign_in_by(&request()).await?;
        let calls = scene.upstream.hits("xrpc");
        let next = Tokens::read(&scene.client.refresh(&scene.agent, &with.refresh_token).await?)?;
        assert_eq!(said(&next), [json!(HANDLE), Value::Null, Value::Null]);
        assert_eq!(scene.upstream.hits("xrpc"), calls, "a refresh asks nobody");
        scene.upstream.script(|script| script.xrpc = Fault::Silence);
        assert_eq!(said(&scene.sign_in_by(&request()).await?), [json!(HANDLE), Value::Null, Value::Null]);
        Ok(())
    }

    /// A server that grants less is believed: the scope says what there is.
    async fn only_what_was_granted(database) {
        let scene = Scene::set(database).await?;
        scene.account(&json!({"did": DID, "email": "alice@mail.example", "emailConfirmed": true}));
        scene.upstream.script(|script| script.scope = Some("atproto".to_owned()));
        let tokens = scene.sign_in_by(&scene.client.authorization(Some(HANDLE)).with("scope", Some("openid email"))).await?;
        assert_eq!(tokens.answer["scope"], "openid");
        assert_eq!(scene.userinfo(&tokens).await?.get("email"), None);
        Ok(())
    }

    /// A refresh for less than `email` gives a token that does not say it; one for no more than that does.
    async fn narrowed_tokens(database) {
        let scene = Scene::set(database).await?;
        scene.account(&json!({"did": DID, "email": "alice@mail.example", "emailConfirmed": true}));
        let tokens = scene.sign_in_by(&scene.client.authorization(Some(HANDLE)).with("scope", Some("openid email"))).await?;
        for (scope, says) in [("openid", false), ("openid email", true)] {
            let params = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token), ("scope", scope)];
            let narrowed = Tokens::read(&scene.client.post(&scene.agent, "/oauth/token", &params).await?)?;
            assert_eq!(scene.userinfo(&narrowed).await?.get("email").is_some(), says, "{scope}");
        }
        Ok(())
    }

    /// `claims` asks for the email address as the scope does, plain and pushed.
    async fn claims_ask_for_email(database) {
        let scene = Scene::set(database).await?;
        let claims = r#"{"userinfo":{"email":{"essential":true},"picture":null},"id_token":{"auth_time":{"essential":true}}}"#;
        let asking = || scene.client.authorization(Some(HANDLE)).with("scope", Some("openid")).with("claims", Some(claims));
        scene.account(&json!({"did": DID, "email": "alice@mail.example", "emailConfirmed": true}));
        let tokens = scene.sign_in_by(&asking()).await?;
        assert_eq!(tokens.answer["scope"], "openid email");
        assert_eq!(scene.userinfo(&tokens).await?["email"], "alice@mail.example");
        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &asking().form()).await?;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        for bad in ["x", "[]", r#"{"userinfo":1}"#, r#"{"id_token":{"sub":{"value":"alice"}}}"#] {
            let url = asking().with("claims", Some(bad)).url(&scene.app.issuer);
            let answer = scene.agent.get(&url).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"), "{bad}");
        }
        Ok(())
    }

    /// Section 5.5.1: a request for a `sub` with a value is answered about that user or not at all.
    async fn claims_name_the_user(database) {
        let mut scene = Scene::with_bob(database).await?;
        scene.client = scene.web_app().await?;
        let naming = |did: &str| {
            let claims = json!({"id_token": {"sub": {"value": did}}}).to_string();
            scene.client.authorization(None).with("scope", Some("openid")).with("claims", Some(&claims))
        };
        let tokens = scene.sign_in_by(&naming(DID)).await?;
        assert_eq!((&tokens.answer["sub"], &*scene.upstream.last_pushed()["login_hint"]), (&json!(DID), DID));
        // A hint beside it does not win.
        let request = naming(DID).with("login_hint", Some(OTHER_HANDLE));
        assert_eq!(scene.sign_in_by(&request).await?.answer["sub"], DID);
        // The user signs in to another account after all.
        scene.upstream.script(|script| script.directory = Fault::Status(500));
        scene.app.clock.advance(301);
        let request = naming(DID);
        let page = scene.agent.get(&request.url(&scene.app.issuer)).await?;
        assert_eq!(page.status, 502, "{page:?}");
        scene.upstream.script(|script| script.directory = Fault::None);
        let id = crate::support::hidden(&page, "request");
        let form = [("request", &*id), ("identifier", OTHER_HANDLE)];
        let away = scene.agent.post(&scene.app.at("/oauth/sign-in"), &form).await?.location()?;
        let back = causeway_testkit::User::approve(&scene.upstream, &away).await?;
        let answer = scene.agent.get(&back).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"), "{answer:?}");
        // Several values: the user chooses among them.
        let naming_one_of = |dids: &[&str]| {
            let claims = json!({"id_token": {"sub": {"values": dids}}}).to_string();
            scene.client.authorization(Some(HANDLE)).with("scope", Some("openid")).with("claims", Some(&claims))
        };
        assert_eq!(scene.sign_in_by(&naming_one_of(&[OTHER_DID, DID])).await?.answer["sub"], DID);
        let away = scene.agent.get(&naming_one_of(&[OTHER_DID, "did:web:a.example"]).url(&scene.app.issuer)).await?;
        let back = causeway_testkit::User::approve(&scene.upstream, &away.location()?).await?;
        let answer = scene.agent.get(&back).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"), "{answer:?}");
        for (dids, error) in [(&[OTHER_DID, DID][..], None), (&[OTHER_DID], Some("login_required"))] {
            let silent = naming_one_of(dids).with("login_hint", None).with("prompt", Some("none"));
            let answer = scene.agent.get(&silent.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), error, "{answer:?}");
        }
        // In silence, too.
        for (did, error) in [(DID, None), (OTHER_DID, Some("login_required"))] {
            let silent = naming(did).with("prompt", Some("none")).url(&scene.app.issuer);
            let answer = scene.agent.get(&silent).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), error, "{answer:?}");
        }
        Ok(())
    }
}
