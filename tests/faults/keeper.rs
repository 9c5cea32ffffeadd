//! A session is needed while its authorization server has problems: valid tokens are used, errors are
//! reported, and a server known to be down is left alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use causeway_domain::Clock as _;
use causeway_domain::session::SessionHead;
use causeway_flow::CtxParts;
use causeway_flow::upstream::keeper::{self, RENEWAL_TIMEOUT, UsableSession};
use causeway_flow::upstream::revocation;
use causeway_flow::upstream::session::SessionError;
use causeway_store::StoreError;
use causeway_store::sessions;
use causeway_store::testing::{TestDatabase, leased_until, refuse_token_sets};
use causeway_testkit::{Agent, Environment, Fault, ScriptedUpstream, TestApp};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{
    DID, HANDLE, OTHER_DID, OTHER_HANDLE, Scene, UpstreamKind, on_each_database, on_each_upstream,
};

/// Signs in; returns the session.
async fn signed_in(scene: &Scene) -> Result<SessionHead> {
    let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
    Ok(scene.app.bearer(&tokens.access_token).await?.session)
}

async fn uses(app: &TestApp, session: &SessionHead) -> Result<UsableSession, SessionError> {
    keeper::use_session(&app.ctx, session).await
}

/// A scene whose requests to the authorization server end only when the keeper gives up.
async fn patient_scene(database: &TestDatabase, renewal_timeout: Duration) -> Result<Scene> {
    let upstream = ScriptedUpstream::start(HANDLE, DID)?;
    let environment = Environment { timeout: Duration::from_mins(5), ..upstream.environment() };
    let tune = |parts: &mut CtxParts| parts.renewal_timeout = renewal_timeout;
    let app = TestApp::start_tuned(database, &environment, tune).await?;
    let agent = Agent::default();
    let client = app.client(&agent).await?;
    Ok(Scene { app, upstream, agent, client })
}

/// Waits until the lease that is held lasts for another 100 seconds.
async fn lease_renewed(scene: &Scene) -> Result<()> {
    let wanted = scene.app.clock.now().plus(100).as_secs();
    let renewed = async {
        while scene.app.store().read(leased_until).await? < wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, StoreError>(())
    };
    Ok(timeout(Duration::from_secs(20), renewed).await.context("not renewed")??)
}

/// A use of the session for which the authorization server has just answered the refresh.
async fn answered(scene: &Scene, session: &SessionHead) -> JoinHandle<Result<UsableSession, SessionError>> {
    let asked = scene.upstream.hits("issued");
    let (ctx, head) = (scene.app.ctx.clone(), session.clone());
    let using = tokio::spawn(async move { keeper::use_session(&ctx, &head).await });
    while scene.upstream.hits("issued") == asked {
        tokio::task::yield_now().await;
    }
    using
}

/// `Retry-After` in seconds.
fn pause(outcome: &Result<UsableSession, SessionError>) -> i64 {
    match outcome {
        Err(SessionError::Unavailable { retry_after }) => i64::try_from(*retry_after).unwrap(),
        other => panic!("not told to wait: {other:?}"),
    }
}

/// The URL at which the user has to sign in again, if the caller gets one.
fn prompt(outcome: Result<UsableSession, SessionError>) -> Option<String> {
    match outcome {
        Err(SessionError::ReauthRequired { sign_in_url }) => sign_in_url,
        other => panic!("not over: {other:?}"),
    }
}

/// A call with the refresh that it needs, a refresh that was asked for, a call without any, a sign-in.
async fn others_go_on(scene: &Scene, token: &str) -> Result<()> {
    assert_eq!(scene.read(token).await?.status, 200);
    let refresh = scene.agent.request("POST".parse()?, &scene.app.at("/api/session/refresh"));
    let refreshed = scene.agent.send(refresh.bearer_auth(token)).await?;
    assert_eq!(refreshed.json()["head_iteration"], 3, "{refreshed:?}");
    assert_eq!(scene.read(token).await?.status, 200);
    scene.still_works().await
}

on_each_upstream! {
    /// The authorization server is down in the last minute of a token: the token is used until it expires,
    /// and only then callers are told to wait.
    async fn the_old_token_serves_to_its_end(database, kind) {
        let scene = Scene::set(database).await?;
        let session = kind.begin(&scene).await?;
        let before = scene.upstream.hits("token");
        for fault in [Fault::Status(503), Fault::Html, Fault::Silence, Fault::OAuth("temporarily_unavailable")] {
            scene.upstream.script(|script| script.token = fault.clone());
            scene.app.clock.advance(if scene.upstream.hits("token") == before { 3540 } else { 15 });
            assert_eq!(uses(&scene.app, &session).await?.head.iteration, 1, "{fault:?}");
        }
        assert_eq!(scene.upstream.hits("token") - before, 4);
        scene.app.clock.advance(15);
        pause(&uses(&scene.app, &session).await);
        Ok(())
    }

    /// The database rejects the token response, with an error of its own: the response, which the
    /// authorization server gives only once, is held until the database accepts it.
    async fn an_answer_that_the_database_refuses(database, kind) {
        let scene = Scene::set(database).await?;
        let session = kind.begin(&scene).await?;
        let store = scene.app.store();
        store.write::<_, StoreError, _>(|c| refuse_token_sets(c, true)).await?;
        scene.app.clock.advance(3600);
        let asked = scene.upstream.hits("issued");
        let using = answered(&scene, &session).await;
        // However long that takes, the lease holds: nobody else sends the token that is spent.
        for _ in 0..2 {
            scene.app.clock.advance(100);
            lease_renewed(&scene).await?;
        }
        // It is offered, and offered again.
        let before = store.stats().writes;
        while store.stats().writes < before + 3 && !using.is_finished() {
            tokio::task::yield_now().await;
        }
        store.write::<_, StoreError, _>(|c| refuse_token_sets(c, false)).await?;
        assert_eq!(using.await??.head.iteration, 2);
        assert_eq!(scene.upstream.hits("issued"), asked + 1, "one answer");
        Ok(())
    }

    /// The authorization server consumes the refresh token and closes the connection without a response: the
    /// access token is used until it expires. Then the one retry is a replay, for which such a server ends
    /// the session, and the user has to sign in again.
    async fn an_answer_that_got_lost(database, kind) {
        let scene = Scene::set(database).await?;
        let session = kind.begin(&scene).await?;
        scene.upstream.script(|script| script.token = Fault::HangUp);
        scene.app.clock.advance(3550);
        let issued = scene.upstream.hits("issued");
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 1);
        assert_eq!(scene.upstream.hits("issued"), issued + 1, "it did what it was asked");
        scene.upstream.script(|script| script.token = Fault::None);
        scene.app.clock.advance(50);
        assert!(prompt(uses(&scene.app, &session).await).is_some());
        assert_eq!((scene.upstream.hits("issued"), scene.upstream.live_grants()), (issued + 1, 0));
        Ok(())
    }

    /// The pause after a failure holds for all servers, grows, is what `Retry-After` says, and ends.
    async fn a_pause_is_shared(database, kind) {
        let scene = Scene::set(database).await?;
        let other = scene.beside(database).await?;
        let session = kind.begin(&scene).await?;
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.token = Fault::Html);
        let before = scene.upstream.hits("token");
        let mut pauses = Vec::new();
        for tries in 1..=4 {
            let told = pause(&uses(&scene.app, &session).await);
            for app in [&scene.app, &other, &scene.app] {
                assert_eq!(pause(&uses(app, &session).await), told);
            }
            assert_eq!(scene.upstream.hits("token") - before, tries, "asked once in each pause");
            pauses.push(told);
            scene.app.clock.advance(told - 1);
            assert_eq!(pause(&uses(&other, &session).await), 1);
            scene.app.clock.advance(1);
        }
        let grown = pauses.iter().zip([2, 4, 8, 16]).all(|(told, least)| (least..=least * 3 / 2).contains(told));
        assert!(grown, "{pauses:?}");
        scene.upstream.script(|script| script.token = Fault::Status(503));
        assert!((32..=48).contains(&pause(&uses(&other, &session).await)), "longer than what the server asks for");
        scene.app.clock.advance(48);
        scene.upstream.script(|script| script.token = Fault::None);
        assert_eq!(uses(&other, &session).await?.head.iteration, 2);
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.token = Fault::Status(429));
        assert_eq!(pause(&uses(&scene.app, &session).await), 7, "success ended the row; then Retry-After: 7");
        Ok(())
    }

    /// An answer that comes after the lease would have ended is kept, too: the lease is held while the provider is asked,
    /// and nobody else sends the refresh token, which may be spent.
    async fn an_answer_that_takes_longer_than_a_lease(database, kind) {
        let scene = patient_scene(database, RENEWAL_TIMEOUT).await?;
        let other = scene.beside(database).await?;
        let session = kind.begin(&scene).await?;
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.token = Fault::Late(Duration::from_secs(5)));
        let before = scene.upstream.hits("token");
        let (ctx, head) = (scene.app.ctx.clone(), session.clone());
        let using = tokio::spawn(async move { keeper::use_session(&ctx, &head).await });
        while scene.upstream.hits("token") == before {
            tokio::task::yield_now().await;
        }
        for _ in 0..2 {
            scene.app.clock.advance(100);
            lease_renewed(&scene).await?;
        }
        assert_eq!(uses(&other, &session).await?.head.iteration, 2);
        assert_eq!(using.await??.head.iteration, 2);
        assert_eq!(scene.upstream.hits("token"), before + 1, "sent once");
        assert_eq!(scene.app.store().read(leased_until).await?, 0, "released with the answer");
        Ok(())
    }

    /// A provider that never answers is given up at last: whether it has is unknown, so everything is kept, and the next
    /// attempt has a lease of its own.
    async fn a_provider_that_never_answers(database, kind) {
        let scene = patient_scene(database, Duration::from_millis(300)).await?;
        let session = kind.begin(&scene).await?;
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.token = Fault::Late(Duration::from_mins(5)));
        let before = scene.upstream.hits("token");
        let told = timeout(Duration::from_secs(20), uses(&scene.app, &session)).await.context("not given up")?;
        let told = pause(&told);
        assert_eq!(scene.upstream.hits("token") - before, 1);
        assert_eq!(scene.app.store().read(leased_until).await?, 0, "released");
        scene.upstream.script(|script| script.token = Fault::None);
        scene.app.clock.advance(told);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 2);
        Ok(())
    }

    /// A pause from before the clock was set back has ended; it does not last for hours.
    async fn a_clock_that_was_set_back(database, kind) {
        let scene = Scene::set(database).await?;
        let session = kind.begin(&scene).await?;
        scene.app.clock.advance(6 * 3600);
        scene.upstream.script(|script| script.token = Fault::Status(503));
        pause(&uses(&scene.app, &session).await);
        scene.app.clock.advance(-5 * 3600);
        scene.upstream.script(|script| script.token = Fault::None);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 2);
        Ok(())
    }

    /// `invalid_grant`: over, with the way to sign in again; no second try.
    async fn a_session_that_is_over(database, kind) {
        let scene = Scene::set(database).await?;
        let session = kind.begin(&scene).await?;
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.token = Fault::OAuth("invalid_grant"));
        let before = scene.upstream.hits("token");
        let sign_in_url = prompt(uses(&scene.app, &session).await).unwrap();
        let path = match kind {
            UpstreamKind::Atproto => "/oauth/authorize?",
            UpstreamKind::Bearer => "/connect/bearer?",
        };
        assert!(sign_in_url.starts_with(&scene.app.at(path)), "{sign_in_url}");
        assert!(sign_in_url.contains(&scene.client.client_id), "{sign_in_url}");
        assert_eq!(prompt(uses(&scene.app, &session).await), None, "a moment later");
        assert_eq!(scene.upstream.hits("token") - before, 1);
        Ok(())
    }

    /// Where old tokens say less: renewed at the age that the policy names, long before their end.
    async fn a_token_that_goes_soft(database, kind) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let tune = |parts: &mut CtxParts| {
            Arc::get_mut(&mut parts.profile).unwrap().set_max_token_age(Some(1500));
        };
        let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
        app.provider.set_policy(|policy| policy.max_age = Some(1500));
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let scene = Scene { app, upstream, agent, client };
        let session = kind.begin(&scene).await?;
        scene.app.clock.advance(1499);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 1);
        scene.app.clock.advance(1);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 2);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 2);
        Ok(())
    }

    /// The user signs out during a refresh whose response is slow to be stored: no live tokens are left.
    async fn signed_out_in_the_middle_of_a_refresh(database, kind) {
        let scene = Scene::set(database).await?;
        let session = kind.begin(&scene).await?;
        let store = scene.app.store();
        store.write::<_, StoreError, _>(|c| refuse_token_sets(c, true)).await?;
        scene.app.clock.advance(3590);
        let using = answered(&scene, &session).await;
        let (id, now) = (session.session_id.clone(), scene.app.clock.now());
        assert!(store.write::<_, StoreError, _>(move |c| sessions::end_session(c, &id, now)).await?);
        scene.upstream.script(|script| script.revoke = Fault::Status(503));
        store.write::<_, StoreError, _>(|c| refuse_token_sets(c, false)).await?;
        assert!(matches!(using.await?, Err(SessionError::Ended)));
        scene.app.ctx.settle().await;
        assert_eq!(scene.upstream.live_grants(), 1, "its server does not take it yet");
        scene.upstream.script(|script| script.revoke = Fault::None);
        scene.app.clock.advance(300);
        revocation::revoke_due(&scene.app.ctx).await?;
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }
}

on_each_database! {
    /// An authorization server with many sessions stops responding during their refreshes, which outnumber
    /// the connections to the database. Nothing else waits: calls of another session, its refresh, a sign-in.
    async fn refreshes_that_hang_keep_nobody_else_waiting(database) {
        const HANGING: usize = 12;
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        upstream.add_account(OTHER_HANDLE, OTHER_DID);
        // The timeout is longer than the whole test.
        let environment = Environment { timeout: Duration::from_mins(5), ..upstream.environment() };
        let app = TestApp::start(database, &environment).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let scene = Scene { app, upstream, agent, client };
        let mut theirs = Vec::new();
        for _ in 0..HANGING {
            theirs.push(signed_in(&scene).await?);
        }
        let other = Agent::default();
        let mine = scene.client.sign_in(&other, &scene.upstream, OTHER_HANDLE).await?;
        scene.app.clock.advance(3600);

        scene.upstream.script(|script| script.token = Fault::Late(Duration::from_mins(5)));
        let before = scene.upstream.hits("token");
        let hanging: Vec<_> = theirs
            .into_iter()
            .map(|session| {
                let ctx = scene.app.ctx.clone();
                tokio::spawn(async move { keeper::use_session(&ctx, &session).await })
            })
            .collect();
        let all_hang = async {
            while scene.upstream.hits("token") < before + HANGING {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_mins(1), all_hang).await?;
        scene.upstream.script(|script| script.token = Fault::None);
        timeout(Duration::from_mins(1), others_go_on(&scene, &mine.access_token)).await??;
        assert!(hanging.iter().all(|refresh| !refresh.is_finished()), "all of this went past them");
        Ok(())
    }

    /// One caller in five minutes gets the sign-in URL, on whatever server; an app that asks for it on behalf
    /// of its user always gets it.
    async fn nobody_is_prompted_all_the_time(database) {
        let scene = Scene::set(database).await?;
        let other = scene.beside(database).await?;
        let token = scene.access_token().await?;
        let session = scene.app.bearer(&token).await?.session;
        let unaffected = signed_in(&scene).await?;
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.token = Fault::OAuth("invalid_grant"));
        let call = async || {
            let answer = scene.read(&token).await?;
            assert_eq!(answer.refusal(), "401 reauth_required");
            anyhow::Ok(answer.json()["sign_in_url"].as_str().map(str::to_owned))
        };
        let told = call().await?.unwrap();
        assert_eq!(call().await?, None);
        assert_eq!(prompt(uses(&other, &session).await), None);
        assert!(prompt(uses(&other, &unaffected).await).is_some(), "another session");
        let refresh = || scene.agent.request("POST".parse().unwrap(), &scene.app.at("/api/session/refresh")).bearer_auth(&token);
        assert_eq!(scene.agent.send(refresh()).await?.json().get("sign_in_url"), None);
        for _ in 0..2 {
            let ask = scene.agent.request("POST".parse()?, &other.at("/api/session/sign-in")).bearer_auth(&token);
            let asked = scene.agent.send(ask).await?;
            assert_eq!(asked.status, 200, "{asked:?}");
            assert!(asked.json()["sign_in_url"].as_str().unwrap().ends_with(told.split_once("/oauth").unwrap().1));
        }
        scene.app.clock.advance(299);
        assert_eq!(call().await?, None);
        scene.app.clock.advance(1);
        let tasks: Vec<_> = (0..16).map(|n| {
            let (ctx, session) = (if n % 2 == 0 { &scene.app.ctx } else { &other.ctx }.clone(), session.clone());
            tokio::spawn(async move { keeper::use_session(&ctx, &session).await })
        }).collect();
        let mut prompts = 0;
        for task in tasks {
            prompts += usize::from(prompt(task.await?).is_some());
        }
        assert_eq!(prompts, 1, "one of sixteen");
        Ok(())
    }

    /// The directory does not know the account: that may be the directory's mistake, and the session
    /// continues. When it reports the account as deleted for good, the session ends.
    async fn an_account_that_is_not_found(database) {
        let scene = Scene::set(database).await?;
        let session = signed_in(&scene).await?;
        scene.upstream.script(|script| script.directory = Fault::Status(404));
        scene.app.clock.advance(3600);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 2);
        scene.upstream.script(|script| script.directory = Fault::Status(410));
        scene.app.clock.advance(3600);
        let before = scene.upstream.hits("token");
        assert!(prompt(uses(&scene.app, &session).await).is_some());
        assert_eq!(scene.upstream.hits("token"), before, "no token was sent");
        Ok(())
    }

    /// A refresh is answered with tokens for another account: those are revoked, and the session ends.
    async fn a_refresh_for_another_account(database) {
        let scene = Scene::set(database).await?;
        let session = signed_in(&scene).await?;
        scene.upstream.script(|script| script.sub = Some(OTHER_DID.to_owned()));
        scene.app.clock.advance(3600);
        let before = scene.upstream.hits("revoke");
        assert!(prompt(uses(&scene.app, &session).await).is_some());
        assert_eq!((scene.upstream.hits("revoke") - before, scene.upstream.live_grants()), (1, 0));
        Ok(())
    }

    /// The directory is down: the binding that was verified last serves for a day, and no longer.
    async fn a_binding_is_not_believed_for_ever(database) {
        let scene = Scene::set(database).await?;
        let session = signed_in(&scene).await?;
        scene.upstream.script(|script| script.directory = Fault::Status(500));
        scene.app.clock.advance(86_399);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 2);
        let before = scene.upstream.hits("token");
        scene.app.clock.advance(3600);
        let told = pause(&uses(&scene.app, &session).await);
        assert_eq!(scene.upstream.hits("token"), before, "no token was sent");
        scene.upstream.script(|script| script.directory = Fault::None);
        scene.app.clock.advance(told);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 3);
        scene.upstream.script(|script| script.directory = Fault::Status(500));
        scene.app.clock.advance(86_399);
        assert_eq!(uses(&scene.app, &session).await?.head.iteration, 4, "verified again then");
        Ok(())
    }
}
