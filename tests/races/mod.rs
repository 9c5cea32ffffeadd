//! Many at once: single use means single use, on both databases.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::Clock as _;
use causeway_domain::client::Entitlement;
use causeway_domain::token::REFRESH_RETRY_SECONDS_UNPROVEN;
use causeway_flow::operations::issuer_keys;
use causeway_flow::upstream::keeper;
use causeway_flow::upstream::revocation;
use causeway_store::StoreError;
use causeway_store::operations::keys;
use causeway_store::sessions;
use causeway_store::testing::find_number;
use causeway_testkit::{Agent, Answer, DpopKey, Fault, OauthClient, Tokens, decide};
use causeway_types::{SigningAlg, UpstreamSessionId};
use serde_json::Value;

use crate::conformance::device;
use crate::support::{DID, HANDLE, Scene, on_each_database};

const RACERS: usize = 16;

/// Lets sixteen tasks do the same thing at the same moment.
async fn race<F, Fut>(work: F) -> Result<Vec<Answer>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Answer>> + Send + 'static,
{
    let tasks: Vec<_> = (0..RACERS).map(|_| tokio::spawn(work())).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await??);
    }
    Ok(answers)
}

fn refusals(answers: &[Answer]) -> Vec<String> {
    answers.iter().filter(|answer| answer.status != 200).map(Answer::refusal).collect()
}

on_each_database! {
    /// Two servers revoke what has ended: each session is revoked by one of them, and a failure is counted once.
    async fn revocations_of_two_servers(database) {
        const SESSIONS: usize = 6;
        let scene = Scene::set(database).await?;
        let other = scene.beside(database).await?;
        for _ in 0..SESSIONS {
            let tokens = scene.client.sign_in(&Agent::default(), &scene.upstream, HANDLE).await?;
            let (id, now) = (UpstreamSessionId::new(scene.session_id(&tokens).await?), scene.app.ctx.now());
            let end = move |c: &mut _| sessions::end_session(c, &id, now);
            assert!(scene.app.store().write::<_, StoreError, _>(end).await?);
        }
        let both = async || {
            let due = (revocation::revoke_due(&scene.app.ctx), revocation::revoke_due(&other.ctx));
            let (one, two) = tokio::join!(due.0, due.1);
            one?;
            two?;
            anyhow::Ok(scene.upstream.hits("revoke"))
        };
        scene.upstream.script(|script| script.revoke = Fault::Status(503));
        assert_eq!(both().await?, SESSIONS, "each was tried once");
        assert_eq!(both().await?, SESSIONS, "and is due again later");
        let attempts = "SELECT CAST(SUM(revocation_attempts) AS BIGINT) AS number FROM upstream_session";
        assert_eq!(scene.app.store().read(move |c| find_number(c, attempts)).await?, 6);
        scene.upstream.script(|script| script.revoke = Fault::None);
        scene.app.clock.advance(300);
        assert_eq!(both().await?, 2 * SESSIONS);
        assert_eq!((both().await?, scene.upstream.live_grants()), (2 * SESSIONS, 0));
        Ok(())
    }

    /// Whatever one server signs with, the others publish by then, at every moment around a rotation; and soon
    /// everybody signs with the new key.
    async fn a_new_key_is_published_first(database) {
        let scene = Scene::set(database).await?;
        let client = OauthClient { scope: "openid atproto".to_owned(), ..scene.client.clone() };
        let kid = async || {
            let tokens = client.sign_in(&Agent::default(), &scene.upstream, HANDLE).await?;
            let header = tokens.answer["id_token"].as_str().unwrap().split('.').next().unwrap();
            let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
            anyhow::Ok(header["kid"].as_str().unwrap().to_owned())
        };
        let old = kid().await?;
        let key = issuer_keys::fresh(SigningAlg::Rs256, scene.app.ctx.now()).await?;
        let (ring, new) = (scene.app.ring.clone(), key.kid.clone());
        let other = scene.beside(database).await?;
        let published = async |kid: &str| {
            let keys = scene.agent.get(&other.at("/oauth/jwks")).await?.json();
            anyhow::Ok(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == kid))
        };
        // The other server reads the keys now, later than the one that signs, and again in half a second.
        assert!(published(&old).await? && !published(&new).await?);
        let rotate = move |c: &mut _| keys::rotate_signing_key(c, &ring, &key);
        scene.app.store().write::<_, StoreError, _>(rotate).await?;
        let (begun, mut seen) = (Instant::now(), BTreeSet::new());
        while !seen.contains(&new) && begun.elapsed() < Duration::from_secs(20) {
            // A user may sign in once a second, not more often.
            scene.app.clock.advance(1);
            let signed = kid().await?;
            assert!(published(&signed).await?, "{signed} after {:?}", begun.elapsed());
            seen.insert(signed);
        }
        assert_eq!(seen, BTreeSet::from([old, new]), "after {:?}", begun.elapsed());
        Ok(())
    }

    /// One of sixteen redeemers of a code wins, nobody is punished for the haste, and the winner's
    /// tokens work afterwards.
    async fn one_code(database) {
        let scene = Scene::set(database).await?;
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let client = Arc::new(scene.client.clone());
        let verifier = Arc::new(authorization.verifier);
        let answers = race(|| {
            let (client, code, verifier) = (client.clone(), code.clone(), verifier.clone());
            async move { client.redeem(&Agent::default(), &code, &verifier).await }
        }).await?;
        assert_eq!(refusals(&answers), vec!["400 invalid_grant"; RACERS - 1]);
        let winner = answers.iter().find(|answer| answer.status == 200).map(Tokens::read).unwrap()?;
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &winner.access_token).await?;
        assert_eq!(userinfo.json()["sub"], DID);
        let refreshed = Tokens::read(&scene.client.refresh(&scene.agent, &winner.refresh_token).await?)?;
        assert_eq!(refreshed.answer["sub"], DID);
        Ok(())
    }

    /// One of sixteen polls gets the tokens that a user approved, and they work afterwards.
    async fn one_device_code(database) {
        let scene = Scene::set(database).await?;
        let client = device::television(&scene, serde_json::json!({})).await?;
        let begun = device::begin(&scene, &client).await?;
        device::Browser::new(&scene).approve(&begun.user_code).await?;
        let client = Arc::new(client);
        let answers = race(|| {
            let (client, code) = (client.clone(), begun.device_code.clone());
            async move { device::poll(&Agent::default(), &client, &code).await }
        }).await?;
        assert_eq!(refusals(&answers), vec!["400 invalid_grant"; RACERS - 1]);
        let winner = answers.iter().find(|answer| answer.status == 200).map(Tokens::read).unwrap()?;
        assert!(scene.works(&winner).await?);
        let refreshed = Tokens::read(&client.refresh(&scene.agent, &winner.refresh_token).await?)?;
        assert!(scene.works(&refreshed).await?);
        Ok(())
    }

    /// One of sixteen callbacks with the same state wins; the upstream's code is sent once.
    async fn one_callback(database) {
        use causeway_testkit::User as _;
        let scene = Scene::set(database).await?;
        let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
        let to_upstream = scene.agent.get(&start).await?.location()?;
        let callback = scene.upstream.approve(&to_upstream).await?;
        let agent = Arc::new(scene.agent);
        let answers = race(|| {
            let (agent, callback) = (agent.clone(), callback.clone());
            async move { agent.get(&callback).await }
        }).await?;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 303).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for lost in answers.iter().filter(|answer| answer.status != 303) {
            assert_eq!(lost.status, 400);
            assert!(lost.text.contains("nonce_invalid_or_reused"), "{}", lost.text);
        }
        assert_eq!(scene.upstream.hits("token"), 1);
        let answer = decide(&agent, &won[0].location()?, "allow").await?;
        assert!(answer.redirect_param("code").is_some());
        Ok(())
    }

    /// Sixteen refreshes with one token: it is consumed once, and every caller holds a pair of its own
    /// that works (two tabs and a lost answer are not theft).
    async fn one_refresh_token(database) {
        let scene = Scene::set(database).await?;
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let client = Arc::new(scene.client.clone());
        let answers = race(|| {
            let (client, token) = (client.clone(), first.refresh_token.clone());
            async move { client.refresh(&Agent::default(), &token).await }
        }).await?;
        assert_eq!(refusals(&answers), Vec::<String>::new());
        let mut distinct = BTreeSet::new();
        for answer in &answers {
            let pair = Tokens::read(answer)?;
            let session = scene.agent.get_with(&scene.app.at("/api/session"), &pair.access_token).await?;
            assert_eq!(session.status, 200);
            distinct.insert(pair.access_token);
            let next = scene.client.refresh(&scene.agent, &pair.refresh_token).await?;
            assert_eq!(next.status, 200, "{next:?}");
        }
        assert_eq!(distinct.len(), RACERS);
        assert_eq!(scene.sessions().await?, 1);
        Ok(())
    }

    /// A late retry races with the first use of the pair that it would supersede. Whichever is first, two hold the grant,
    /// and it ends: never do both go on.
    async fn one_holder(database) {
        let scene = Scene::set(database).await?;
        for by_access in [true, false].repeat(8) {
            let (agent, app) = (Arc::new(Agent::default()), &scene.app);
            let first = scene.client.sign_in(&agent, &scene.upstream, HANDLE).await?;
            let second = Tokens::read(&scene.client.refresh(&agent, &first.refresh_token).await?)?;
            app.clock.advance(REFRESH_RETRY_SECONDS_UNPROVEN + 1);
            let (client, token) = (scene.client.clone(), first.refresh_token.clone());
            let retry = tokio::spawn(async move { client.refresh(&Agent::default(), &token).await });
            let (client, pair, url) = (scene.client.clone(), second.clone(), app.at("/oauth/userinfo"));
            let owner = tokio::spawn(async move {
                if by_access {
                    Agent::default().get_with(&url, &pair.access_token).await
                } else {
                    client.refresh(&Agent::default(), &pair.refresh_token).await
                }
            });
            let (retry, owner) = (retry.await??, owner.await??);
            for answer in [&retry, &owner] {
                assert!(matches!(answer.status, 200 | 400 | 401), "{answer:?}");
                if let Ok(pair) = Tokens::read(answer) {
                    assert!(!scene.works(&pair).await?, "{by_access}: {retry:?} {owner:?}");
                }
            }
            assert!(!scene.works(&second).await?, "{by_access}: {retry:?} {owner:?}");
            assert_eq!(scene.upstream.live_grants(), 0, "{by_access}");
        }
        Ok(())
    }

    /// Sixteen callers that saw the same iteration, on two servers over one database, make one request
    /// upstream, and all of them get its result.
    async fn one_upstream_refresh(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let other = scene.beside(database).await?;
        let before = scene.upstream.hits("token");
        let bearer = scene.app.bearer(&tokens.access_token).await?;
        let tasks: Vec<_> = (0..RACERS).map(|n| {
            let ctx = if n % 2 == 0 { &scene.app.ctx } else { &other.ctx }.clone();
            let bearer = bearer.clone();
            tokio::spawn(async move { keeper::refresh_upstream(&ctx, &bearer).await })
        }).collect();
        for task in tasks {
            assert_eq!(task.await??.iteration, 2);
        }
        assert_eq!(scene.upstream.hits("token") - before, 1);
        Ok(())
    }

    /// Fifty requests with a token at its end, on two servers over one database, make one request
    /// upstream, and all of them get tokens that work.
    async fn one_refresh_before_use(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let other = scene.beside(database).await?;
        let bearer = scene.app.bearer(&tokens.access_token).await?;
        for (seconds, iteration) in [(3600 - 60, 2), (3600, 3)] {
            scene.app.clock.advance(seconds);
            let before = scene.upstream.hits("token");
            let tasks: Vec<_> = (0..50).map(|n| {
                let ctx = if n % 2 == 0 { &scene.app.ctx } else { &other.ctx }.clone();
                let seen = bearer.session.clone();
                tokio::spawn(async move { keeper::use_session(&ctx, &seen).await })
            }).collect();
            for task in tasks {
                assert_eq!(task.await??.head.iteration, iteration);
            }
            assert_eq!(scene.upstream.hits("token") - before, 1, "{seconds}");
        }
        Ok(())
    }

    /// The same through HTTP: fifty calls at once when the token is spent, and when the server takes it no more.
    async fn one_refresh_for_fifty_calls(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let other = scene.beside(database).await?;
        for early in [false, true] {
            if early {
                scene.upstream.expire_access_tokens();
            } else {
                scene.app.clock.advance(3600);
            }
            let before = scene.upstream.hits("token");
            let tasks: Vec<_> = (0..50).map(|n| {
                let app = if n % 2 == 0 { &scene.app } else { &other };
                let (url, token) = (app.at("/xrpc/com.atproto.repo.createRecord"), token.clone());
                tokio::spawn(async move {
                    let agent = Agent::default();
                    let request = agent.request("POST".parse()?, &url).bearer_auth(token);
                    agent.send(request.header("content-type", "application/json").body("{}")).await
                })
            }).collect();
            let calls = scene.upstream.calls().len();
            for task in tasks {
                let answer = task.await??;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            assert_eq!(scene.upstream.hits("token") - before, 1, "early: {early}");
            assert_eq!(scene.upstream.calls().len() - calls, 50, "early: {early}");
        }
        Ok(())
    }

    /// Sixteen whose tokens were refused at the same moment: one refresh serves them all.
    async fn one_refresh_after_a_refusal(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let other = scene.beside(database).await?;
        let bearer = scene.app.bearer(&tokens.access_token).await?;
        let refused = keeper::use_session(&scene.app.ctx, &bearer.session).await?;
        assert_eq!(refused.head.iteration, 1, "it was young");
        let before = scene.upstream.hits("token");
        let tasks: Vec<_> = (0..RACERS).map(|n| {
            let ctx = if n % 2 == 0 { &scene.app.ctx } else { &other.ctx }.clone();
            let refused = refused.clone();
            tokio::spawn(async move { keeper::renew_session(&ctx, &refused).await })
        }).collect();
        for task in tasks {
            let renewed = task.await??;
            assert_eq!(renewed.head.iteration, 2);
            assert_ne!(renewed.credentials.access, refused.credentials.access);
        }
        assert_eq!(scene.upstream.hits("token") - before, 1);
        Ok(())
    }

    /// Sixteen clicks on one "allow": one code is live, and one session.
    async fn one_decision(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let agent = Arc::new(scene.agent);
        let request = consent.split_once("request=").unwrap().1.to_owned();
        let url = scene.app.at("/oauth/consent");
        let answers = race(|| {
            let (agent, url, request) = (agent.clone(), url.clone(), request.clone());
            async move { agent.post(&url, &[("request", &request), ("decision", "allow")]).await }
        }).await?;
        let mut redeemed = 0;
        for code in answers.iter().filter_map(|answer| answer.redirect_param("code")) {
            redeemed += usize::from(scene.client.redeem(&agent, &code, &authorization.verifier).await?.status == 200);
        }
        assert_eq!((redeemed, crate::support::count(&scene.app, "upstream_session").await?), (1, 1), "{answers:?}");
        Ok(())
    }

    /// Sixteen consents to a background session of one client and account: one survives, here and at the
    /// authorization server, and its tokens work.
    async fn one_background_session(database) {
        let scene = Scene::set(database).await?;
        let client = scene.client_with_entitlements(&[Entitlement::BackgroundAccess]).await?;
        let agent = Arc::new(Agent::default());
        let mut waiting = Vec::new();
        for _ in 0..RACERS {
            let request = client.authorization(Some(HANDLE));
            waiting.push((client.reach_consent(&agent, &scene.upstream, &request).await?, request.verifier));
        }
        let tasks: Vec<_> = waiting.into_iter().map(|(consent, verifier)| {
            let agent = Arc::clone(&agent);
            tokio::spawn(async move { anyhow::Ok((decide(&agent, &consent, "allow").await?, verifier)) })
        }).collect();
        let mut decided = Vec::new();
        for task in tasks {
            decided.push(task.await??);
        }
        let mut works = 0;
        for (answer, verifier) in decided {
            let code = answer.redirect_param("code").unwrap_or_else(|| panic!("{answer:?}"));
            let answer = client.redeem(&agent, &code, &verifier).await?;
            if answer.status == 200 {
                works += usize::from(scene.works(&Tokens::read(&answer)?).await?);
            }
        }
        scene.upkeep().await?;
        assert_eq!((works, scene.upstream.live_grants()), (1, 1));
        Ok(())
    }

    /// Sixteen refreshes with one DPoP proof, on two servers over one database: one is let in.
    async fn one_proof(database) {
        let scene = Scene::set(database).await?;
        let other = causeway_testkit::TestApp::start_with(
            database,
            &scene.upstream.environment(),
            scene.app.clock.clone(),
            scene.app.ring.clone(),
            None,
        ).await?;
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let key = DpopKey::new();
        let now = scene.app.clock.now();
        let turn = std::sync::atomic::AtomicUsize::new(0);
        let answers = race(|| {
            let even = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(2);
            let issuer = if even { &scene.app.issuer } else { &other.issuer }.clone();
            let client = OauthClient { issuer: issuer.clone(), ..scene.client.clone() };
            let htu = format!("{issuer}/oauth/token");
            let proof = crate::forge::proof(&key.0, now, &htu, &[], &[("jti", serde_json::json!("one"))]);
            let token = first.refresh_token.clone();
            async move {
                let form = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
                client.post_with_proof(&Agent::default(), "/oauth/token", &form, &proof).await
            }
        }).await?;
        assert_eq!(refusals(&answers), vec!["400 invalid_dpop_proof"; RACERS - 1]);
        Ok(())
    }

    /// Sixteen requests to a resource with one proof: one is let in.
    async fn one_proof_at_a_resource(database) {
        let scene = Scene::set(database).await?;
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let key = DpopKey::new();
        let now = scene.app.clock.now();
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*first.refresh_token)];
        let proof = key.proof(now, "POST", &scene.app.at("/oauth/token"));
        let token = Tokens::read(&scene.client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?)?;
        let url = scene.app.at("/oauth/userinfo");
        let proof = key.proof_with_token(now, "GET", &url, &token.access_token);
        let answers = race(|| {
            let (url, token, proof) = (url.clone(), token.access_token.clone(), proof.clone());
            async move { Agent::default().get_with_proof(&url, &token, &proof).await }
        }).await?;
        assert_eq!(refusals(&answers), vec!["401 invalid_dpop_proof"; RACERS - 1]);
        Ok(())
    }

    /// A PAR reference that two browsers bring at once belongs to one of them.
    async fn one_pushed_request(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(None);
        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &authorization.form()).await?;
        let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let url = authorize_url(&scene.client, &uri)?;
        let answers = race(|| {
            let url = url.clone();
            async move { Agent::default().get(&url).await }
        }).await?;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
        Ok(())
    }
}

fn authorize_url(client: &OauthClient, request_uri: &str) -> Result<String> {
    let params = [("client_id", client.client_id.as_str()), ("request_uri", request_uri)];
    Ok(url::Url::parse_with_params(&format!("{}/oauth/authorize", client.issuer), params)?.to_string())
}
