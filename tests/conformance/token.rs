//! `/oauth/token`: codes work once, refresh tokens rotate, and a failed attempt costs nothing.

use anyhow::Result;
use causeway_domain::authorization::CODE_SECONDS;
use causeway_domain::token::{AccessSubject, REFRESH_RETRY_SECONDS_UNPROVEN};
use causeway_flow::client::assertion::ASSERTION_TYPE;
use causeway_store::StoreError;
use causeway_store::authorization::codes;
use causeway_store::tokens;
use causeway_testkit::{Agent, OauthClient, TestApp, Tokens};
use causeway_types::secret::{Access, Code, PlainToken, Refresh};
use causeway_types::{CodeVerifier, SystemRng};

use crate::support::{DID, HANDLE, Scene, on_each_database};

async fn userinfo(scene: &Scene, token: &str) -> Result<u16> {
    Ok(scene.agent.get_with(&scene.app.at("/oauth/userinfo"), token).await?.status)
}

/// `session_iteration` of the code, access and refresh rows behind these secrets.
async fn provenance(app: &TestApp, code: &str, tokens: &Tokens) -> Result<(i64, Option<i64>, Option<i64>)> {
    let code = PlainToken::<Code>::presented(code).hash();
    let access = PlainToken::<Access>::presented(&*tokens.access_token).hash();
    let refresh = PlainToken::<Refresh>::presented(&*tokens.refresh_token).hash();
    Ok(app
        .store()
        .read::<_, StoreError, _>(move |c| {
            let code = codes::find_code(c, &code)?.map_or(0, |code| code.session_iteration);
            let access = match tokens::find_access_token(c, &access)?.map(|token| token.subject) {
                Some(AccessSubject::User(user)) => user.session_iteration,
                _ => None,
            };
            let refresh = tokens::find_refresh_token(c, &refresh)?.and_then(|token| token.session_iteration);
            Ok((code, access, refresh))
        })
        .await?)
}

on_each_database! {
    /// A wrong verifier, redirect URI or client is refused and does not use the code up.
    async fn failed_attempts_cost_nothing(database) {
        let scene = Scene::set(database).await?;
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let right = authorization.verifier.expose();
        let wrong = CodeVerifier::random(&SystemRng);
        let redirect = scene.client.redirect_uri.clone();
        for (verifier, uri, refusal) in [
            (wrong.expose(), &*redirect, "400 invalid_grant"),
            ("short", &*redirect, "400 invalid_grant"),
            (right, "http://127.0.0.1:1/other", "400 invalid_grant"),
        ] {
            let params = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", uri), ("code_verifier", verifier)];
            assert_eq!(scene.client.post(&scene.agent, "/oauth/token", &params).await?.refusal(), refusal);
        }
        for params in [
            vec![("grant_type", "authorization_code"), ("code", &*code)],
            vec![("grant_type", "authorization_code"), ("code_verifier", right)],
        ] {
            assert_eq!(scene.client.post(&scene.agent, "/oauth/token", &params).await?.refusal(), "400 invalid_request");
        }
        let stranger = scene.app.client(&scene.agent).await?;
        assert_eq!(stranger.redeem(&scene.agent, &code, &authorization.verifier).await?.refusal(), "400 invalid_grant");

        Tokens::read(&scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?)?;
        Ok(())
    }

    /// A token response is complete, numeric where it must be, and never cached.
    async fn answers_are_complete(database) {
        let scene = Scene::set(database).await?;
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let answer = scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?;
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        assert_eq!(answer.header("content-type"), "application/json");
        let tokens = Tokens::read(&answer)?;
        assert!(tokens.access_token.starts_with("cw_at_") && tokens.refresh_token.starts_with("cw_rt_"));
        assert_eq!(tokens.answer["token_type"], "Bearer");
        assert_eq!(tokens.answer["expires_in"], 86_400);
        assert_eq!(tokens.answer["scope"], "atproto transition:generic");
        assert_eq!(tokens.answer["sub"], DID);
        Ok(())
    }

    /// The upstream grant limits ours.
    async fn upstream_scope_bounds_the_grant(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.script(|script| script.scope = Some("atproto".to_owned()));
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_eq!(tokens.answer["scope"], "atproto");
        Ok(())
    }

    /// An expired code is refused, and a following sign-in works.
    async fn codes_expire(database) {
        let scene = Scene::set(database).await?;
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.app.clock.advance(CODE_SECONDS);
        let answer = scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?;
        assert_eq!(answer.refusal(), "400 invalid_grant");
        scene.still_works().await
    }

    /// A second redeemer within ten seconds is refused and nothing is revoked (invariant 5).
    async fn hasty_code_reuse_is_forgiven(database) {
        let scene = Scene::set(database).await?;
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let tokens = Tokens::read(&scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?)?;
        scene.app.clock.advance(10);
        let again = scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?;
        assert_eq!(again.refusal(), "400 invalid_grant");
        assert_eq!(userinfo(&scene, &tokens.access_token).await?, 200);
        Ok(())
    }

    /// Any other reuse revokes the code's grant, here and at the authorization server.
    async fn code_theft_revokes_the_grant(database) {
        for late in [true, false] {
            let scene = Scene::set(database).await?;
            let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
            let tokens = Tokens::read(&scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?)?;
            let verifier = if late { authorization.verifier } else { CodeVerifier::random(&SystemRng) };
            scene.app.clock.advance(if late { 11 } else { 0 });
            let again = scene.client.redeem(&scene.agent, &code, &verifier).await?;
            assert_eq!(again.refusal(), "400 invalid_grant");
            assert_eq!(userinfo(&scene, &tokens.access_token).await?, 401);
            assert_eq!(scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.refusal(), "400 invalid_grant");
            assert_eq!(scene.upstream.hits("revoke"), 1);
            scene.still_works().await?;
        }
        Ok(())
    }

    /// A late retry whose pair was never used gets a new one, again and again, and goes on with it.
    async fn lost_answer_of_a_refresh(database) {
        let scene = Scene::set(database).await?;
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        for _lost in 0..3 {
            Tokens::read(&scene.client.refresh(&scene.agent, &first.refresh_token).await?)?;
            scene.app.clock.advance(REFRESH_RETRY_SECONDS_UNPROVEN + 1);
        }
        let retried = Tokens::read(&scene.client.refresh(&scene.agent, &first.refresh_token).await?)?;
        assert_eq!(userinfo(&scene, &retried.access_token).await?, 200);
        Tokens::read(&scene.client.refresh(&scene.agent, &retried.refresh_token).await?)?;
        Ok(())
    }

    /// A used refresh token that comes back while its successor is in use costs the grant.
    async fn refresh_theft_revokes_the_grant(database) {
        for by_access in [true, false] {
            let scene = Scene::set(database).await?;
            let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
            let second = Tokens::read(&scene.client.refresh(&scene.agent, &first.refresh_token).await?)?;
            let newest = if by_access {
                assert_eq!(userinfo(&scene, &second.access_token).await?, 200);
                second
            } else {
                Tokens::read(&scene.client.refresh(&scene.agent, &second.refresh_token).await?)?
            };
            scene.app.clock.advance(REFRESH_RETRY_SECONDS_UNPROVEN + 1);
            let theft = scene.client.refresh(&scene.agent, &first.refresh_token).await?;
            assert_eq!(theft.refusal(), "400 invalid_grant");
            assert_eq!(userinfo(&scene, &newest.access_token).await?, 401);
            assert_eq!(scene.client.refresh(&scene.agent, &newest.refresh_token).await?.refusal(), "400 invalid_grant");
            assert_eq!(scene.upstream.live_grants(), 0);
            scene.still_works().await?;
        }
        Ok(())
    }

    /// Retry windows differ: 30 s for a client that authenticates, 10 s for one that does not.
    async fn retry_window_by_proof(database) {
        let scene = Scene::set(database).await?;
        let secret = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        for (client, seconds) in [(&scene.client, 10), (&secret, 30)] {
            for (late, status) in [(0, 200), (1, 400)] {
                let first = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
                let second = Tokens::read(&client.refresh(&scene.agent, &first.refresh_token).await?)?;
                assert_eq!(userinfo(&scene, &second.access_token).await?, 200);
                scene.app.clock.advance(seconds + late);
                assert_eq!(client.refresh(&scene.agent, &first.refresh_token).await?.status, status);
            }
        }
        Ok(())
    }

    /// A refresh narrows the access token and keeps the grant; it never widens (RFC 6749 section 6).
    async fn refresh_narrows_only(database) {
        let scene = Scene::set(database).await?;
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let refresh = |scope: &'static str, token: String| {
            let (client, agent) = (&scene.client, &scene.agent);
            async move {
                let params = [("grant_type", "refresh_token"), ("refresh_token", &*token), ("scope", scope)];
                client.post(agent, "/oauth/token", &params).await
            }
        };
        let wider = refresh("atproto transition:email", first.refresh_token.clone()).await?;
        assert_eq!(wider.refusal(), "400 invalid_scope");
        let habit = refresh("openid offline_access", first.refresh_token.clone()).await?;
        assert_eq!(habit.json()["scope"], "atproto transition:generic");
        let narrow = Tokens::read(&refresh("atproto", first.refresh_token).await?)?;
        assert_eq!(narrow.answer["scope"], "atproto");
        let whole = Tokens::read(&scene.client.refresh(&scene.agent, &narrow.refresh_token).await?)?;
        assert_eq!(whole.answer["scope"], "atproto transition:generic");
        Ok(())
    }

    /// `session_iteration` is provenance: it passes from code to tokens to next tokens unchanged, while the
    /// session's current iteration is the one in use.
    async fn provenance_travels(database) {
        let scene = Scene::set(database).await?;
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let mut tokens = Tokens::read(&scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?)?;
        assert_eq!(provenance(&scene.app, &code, &tokens).await?, (1, Some(1), Some(1)));
        for _ in 0..2 {
            tokens = Tokens::read(&scene.client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
            assert_eq!(provenance(&scene.app, &code, &tokens).await?, (1, Some(1), Some(1)));
        }
        let agent = &scene.agent;
        let request = agent.request("POST".parse()?, &scene.app.at("/api/session/refresh")).bearer_auth(&tokens.access_token);
        let refreshed = agent.send(request).await?.json();
        assert_eq!((&refreshed["session_iteration"], &refreshed["head_iteration"]), (&1.into(), &2.into()));
        tokens = Tokens::read(&scene.client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        assert_eq!(provenance(&scene.app, &code, &tokens).await?, (1, Some(1), Some(1)));
        let session = agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
        assert_eq!((&session["session_iteration"], &session["head_iteration"]), (&1.into(), &2.into()));
        assert_eq!(session["session_state"], "active");
        Ok(())
    }

    /// Access tokens end; refresh tokens end; a device session ends after seven idle days, and use
    /// on the sixth extends it.
    async fn lifetimes(database) {
        let scene = Scene::set(database).await?;
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.app.clock.advance(86_400);
        assert_eq!(userinfo(&scene, &first.access_token).await?, 401);
        scene.app.clock.advance(5 * 86_400);
        let second = Tokens::read(&scene.client.refresh(&scene.agent, &first.refresh_token).await?)?;
        scene.app.clock.advance(6 * 86_400);
        let third = Tokens::read(&scene.client.refresh(&scene.agent, &second.refresh_token).await?)?;
        scene.app.clock.advance(6 * 86_400);
        let again = Tokens::read(&scene.client.refresh(&scene.agent, &second.refresh_token).await?)?;
        assert_ne!(again.refresh_token, third.refresh_token, "the answer that got lost is replaced, and is use as well");
        scene.app.clock.advance(6 * 86_400);
        let fourth = Tokens::read(&scene.client.refresh(&scene.agent, &again.refresh_token).await?)?;
        scene.app.clock.advance(7 * 86_400);
        assert_eq!(scene.client.refresh(&scene.agent, &fourth.refresh_token).await?.refusal(), "400 invalid_grant");
        scene.upkeep().await?;
        assert_eq!(scene.upstream.live_grants(), 0, "an idle session is revoked at the PDS");
        scene.still_works().await
    }

    /// Each way of authenticating works, a wrong secret does not, and two ways at once are an error.
    async fn client_authentication(database) {
        let scene = Scene::set(database).await?;
        let (agent, url) = (&scene.agent, scene.app.at("/oauth/token"));
        let form = [("grant_type", "refresh_token"), ("refresh_token", "cw_rt_nothing")];
        let basic = OauthClient::register_with(agent, &scene.app.issuer, "client_secret_basic").await?;
        let (id, secret) = (basic.client_id.as_str(), basic.client_secret.as_deref().unwrap());
        let with = |user: &str, password: &str, extra: &[(&str, &str)]| {
            let form: Vec<_> = form.iter().chain(extra).copied().collect();
            agent.send(agent.request("POST".parse().unwrap(), &url).basic_auth(user, Some(password)).form(&form))
        };
        assert_eq!(with(id, secret, &[]).await?.refusal(), "400 invalid_grant", "authenticated");
        let wrong = with(id, "nonsense", &[]).await?;
        assert_eq!(wrong.refusal(), "401 invalid_client");
        assert!(wrong.header("www-authenticate").starts_with("Basic"));
        assert_eq!(with("nobody", secret, &[]).await?.refusal(), "401 invalid_client");
        assert_eq!(with(id, secret, &[("client_secret", secret)]).await?.refusal(), "400 invalid_request");
        assert_eq!(with(id, secret, &[("client_id", "another")]).await?.refusal(), "400 invalid_request");
        let twice = agent.request("POST".parse()?, &url).header("authorization", "Basic eDp5").basic_auth(id, Some(secret)).form(&form);
        assert_eq!(agent.send(twice).await?.refusal(), "400 invalid_request", "two headers");
        let other_way = [&form[..], &[("client_id", id), ("client_secret", secret)]].concat();
        let refused = agent.post(&url, &other_way).await?;
        assert_eq!(refused.refusal(), "401 invalid_client", "not in the body: it registered the header");
        assert!(refused.text.contains("registered with client_secret_basic, but the request used client_secret_post"), "{refused:?}");
        let post = OauthClient::register_with(agent, &scene.app.issuer, "client_secret_post").await?;
        let other_way = with(&post.client_id, post.client_secret.as_deref().unwrap(), &[]).await?;
        assert_eq!(other_way.refusal(), "401 invalid_client", "not in the header: it registered the body");
        assert_eq!(post.post(agent, "/oauth/token", &form).await?.refusal(), "400 invalid_grant", "authenticated");
        let public = agent.request("POST".parse()?, &url).basic_auth(&scene.client.client_id, Some("")).form(&form);
        assert_eq!(agent.send(public).await?.refusal(), "400 invalid_grant", "a public client in the header");
        let empty = agent.request("POST".parse()?, &url).basic_auth(id, Some("")).form(&form);
        assert_eq!(agent.send(empty).await?.refusal(), "401 invalid_client", "a secret is not empty");
        assert_eq!(agent.post(&url, &[&form[..], &[("client_id", id)]].concat()).await?.refusal(), "401 invalid_client");
        assert_eq!(agent.post(&url, &form).await?.refusal(), "401 invalid_client");
        // RFC 9110 section 15.5.2: a 401 names a way in, whichever way was tried.
        let in_the_body = [&form[..], &[("client_id", id), ("client_secret", "nonsense")]].concat();
        let assertion = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", "nonsense")];
        for tried in [in_the_body, [&form[..], &assertion].concat(), form.to_vec()] {
            let wrong = agent.post(&url, &tried).await?;
            assert_eq!(wrong.status, 401, "{tried:?}");
            let named = wrong.header("www-authenticate").starts_with("Basic realm=\"causeway\", error=\"invalid_client\"");
            assert!(named, "{wrong:?}");
        }
        Ok(())
    }

    /// RFC 6749 section 2.3.1: a client authenticates in the header or in the body. Nothing in the address counts.
    async fn credentials_in_the_address_are_nothing(database) {
        let scene = Scene::set(database).await?;
        let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let credentials = [("client_id", &*client.client_id), ("client_secret", client.client_secret.as_deref().unwrap())];
        let url = url::Url::parse_with_params(&scene.app.at("/oauth/token"), credentials)?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token)];
        assert_eq!(scene.agent.post(url.as_str(), &form).await?.refusal(), "401 invalid_client");
        let named = [&form[..], &credentials[..1]].concat();
        assert_eq!(scene.agent.post(url.as_str(), &named).await?.refusal(), "401 invalid_client");
        Tokens::read(&client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        Ok(())
    }

    /// Another client's refresh token is refused, and its owner loses nothing.
    async fn foreign_refresh_token(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let stranger = scene.app.client(&Agent::default()).await?;
        assert_eq!(stranger.refresh(&scene.agent, &tokens.refresh_token).await?.refusal(), "400 invalid_grant");
        assert_eq!(stranger.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?.status, 200);
        Tokens::read(&scene.client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        Ok(())
    }
}
