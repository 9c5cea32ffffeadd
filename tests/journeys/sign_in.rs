//! The whole way against a real AT Protocol network: two PDSes, a handle here, a DID there, and a
//! server that is restarted between any two steps.

use std::net::SocketAddr;

use anyhow::Result;
use causeway_testkit::{Agent, RealNet, TestApp, TestDatabase, Tokens};
use serde_json::json;

use crate::support::on_each_network;

/// Stops a server and starts it again: same database, keys, clock and address.
async fn restart(app: TestApp, database: &TestDatabase, net: &RealNet) -> Result<TestApp> {
    let address: SocketAddr = app.issuer.trim_start_matches("http://").parse()?;
    let (clock, ring) = (app.clock.clone(), app.ring.clone());
    app.stop().await;
    TestApp::start_with(database, &net.environment(), clock, ring, Some(address)).await
}

on_each_network! {
    /// Alice by handle on one PDS, Bob by DID on the other: code, tokens, userinfo, refresh on both
    /// sides, revocation that the PDS notices; with a restart between code and tokens and another
    /// between tokens and refresh.
    async fn whole_way(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let mut app = TestApp::start(database, &net.environment()).await?;
        for (name, by_did) in [("alice", false), ("bob", true)] {
            let account = net.account(name)?.clone();
            let hint = if by_did { account.did.clone() } else { account.handle.clone() };
            let agent = Agent::default();
            let client = app.client(&agent).await?;
            let (code, authorization) = client.obtain_code(&agent, &net.user(name)?, &hint).await?;

            app = restart(app, database, &net).await?;
            let tokens = Tokens::read(&client.redeem(&agent, &code, &authorization.verifier).await?)?;
            assert_eq!(tokens.answer["sub"], account.did.as_str());
            assert_eq!(tokens.answer["scope"], "atproto transition:generic");

            app = restart(app, database, &net).await?;
            let tokens = Tokens::read(&client.refresh(&agent, &tokens.refresh_token).await?)?;
            let userinfo = agent.get_with(&app.at("/oauth/userinfo"), &tokens.access_token).await?.json();
            assert_eq!(userinfo, json!({"sub": account.did, "preferred_username": account.handle}));

            let session = agent.get_with(&app.at("/api/session"), &tokens.access_token).await?.json();
            assert_eq!(session["pds"], account.pds.as_str());
            assert_eq!((&session["session_kind"], &session["session_state"]), (&json!("device"), &json!("active")));
            for iteration in 2..4 {
                let request = agent.request("POST".parse()?, &app.at("/api/session/refresh"));
                let refreshed = agent.send(request.bearer_auth(&tokens.access_token)).await?;
                assert_eq!(refreshed.json()["head_iteration"], iteration, "{refreshed:?}");
            }

            let revoked = client.post(&agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
            assert_eq!(revoked.status, 200);
            let after = agent.get_with(&app.at("/api/session"), &tokens.access_token).await?;
            assert_eq!(after.refusal(), "401 invalid_token");
        }
        Ok(())
    }

    /// The user denies the request at their PDS.
    async fn declined(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let authorization = client.authorization(Some("alice.test"));
        let to_pds = agent.set_out(&authorization.url(&app.issuer)).await?.location()?;
        let callback = net.user("alice")?.reject(&to_pds).await?;
        let answer = agent.get(&callback).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        assert_eq!(answer.redirect_param("state"), Some(authorization.state));
        client.sign_in(&agent, &net.user("alice")?, "alice.test").await?;
        Ok(())
    }

    /// Carol was named, Alice signs in: both live on the same PDS, and still nobody gets in.
    async fn somebody_else(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let authorization = client.authorization(Some("carol.test"));
        let to_pds = agent.set_out(&authorization.url(&app.issuer)).await?.location()?;
        let callback = causeway_testkit::User::approve(&net.user("alice")?, &to_pds).await?;
        let answer = agent.get(&callback).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        assert_eq!(crate::support::count(&app, "upstream_session").await?, 0);
        Ok(())
    }

    /// Sign-in by the PDS's URL: the account is the one that signs in there.
    async fn by_server(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let carol = net.account("carol")?;
        let tokens = client.sign_in(&agent, &net.user("carol")?, &carol.pds).await?;
        assert_eq!(tokens.answer["sub"], carol.did.as_str());
        Ok(())
    }

    /// The email address, as the PDS has it at that moment, by scope and by `claims`.
    async fn email(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let account = net.account("alice")?.clone();
        let claims = r#"{"userinfo":{"email":null}}"#;
        for (scope, claims) in [("openid email", None), ("openid", Some(claims))] {
            let client = app.client(&agent).await?;
            let authorization = client.authorization(Some(&account.handle)).with("scope", Some(scope)).with("claims", claims);
            let consent = client.reach_consent(&agent, &net.user("alice")?, &authorization).await?;
            let code = causeway_testkit::decide(&agent, &consent, "allow").await?.redirect_param("code").unwrap();
            let tokens = Tokens::read(&client.redeem(&agent, &code, &authorization.verifier).await?)?;
            assert_eq!(tokens.answer["scope"], "openid email");
            let userinfo = agent.get_with(&app.at("/oauth/userinfo"), &tokens.access_token).await?.json();
            assert_eq!(userinfo, json!({
                "sub": account.did, "preferred_username": account.handle,
                "email": "alice@mail.test", "email_verified": false,
            }));
        }
        Ok(())
    }
}
