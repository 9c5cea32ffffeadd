//! Failures of the user's PDS and authorization server: a clear error each time, nothing half-written,
//! nothing lost.

use std::time::Duration;

use anyhow::Result;
use causeway_flow::upstream::keeper;
use causeway_flow::upstream::session::SessionError;
use causeway_testkit::{Fault, RequestBuilder, Script, User as _};
use serde_json::json;

use crate::support::{HANDLE, Scene, count, on_each_database};

fn faults() -> Vec<Fault> {
    vec![
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(429),
        Fault::Html,
        Fault::Silence,
        Fault::Huge(5 * 1024 * 1024),
        Fault::Redirect("http://10.0.0.1/"),
    ]
}

/// Before the user is redirected: the sign-in page says so, and the user may try again.
async fn before_the_redirect(scene: &Scene, place: fn(&mut Script) -> &mut Fault) -> Result<()> {
    for fault in faults() {
        scene.upstream.script(|script| *place(script) = fault.clone());
        let page = scene.agent.get(&scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer)).await?;
        assert_eq!((page.status, page.text.contains("role=\"alert\"")), (502, true), "{fault:?}");
        assert_eq!(count(&scene.app, "oauth_atp_request").await?, 0, "{fault:?}");
    }
    scene.upstream.script(|script| *place(script) = Fault::None);
    Ok(())
}

/// Sends a request, and disconnects as soon as the authorization server has been asked for tokens. Then waits
/// for the work that continues without it.
async fn hang_up(scene: &Scene, request: RequestBuilder) -> Result<()> {
    let before = scene.upstream.hits("token");
    let asking = tokio::spawn(request.send());
    tokio::time::timeout(Duration::from_secs(10), async {
        while scene.upstream.hits("token") == before {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    asking.abort();
    assert!(asking.await.is_err_and(|error| error.is_cancelled()), "it hung up");
    scene.app.ctx.settle().await;
    Ok(())
}

on_each_database! {
    /// At PAR and metadata.
    async fn sign_in_does_not_start(database) {
        let scene = Scene::set(database).await?;
        before_the_redirect(&scene, |script| &mut script.metadata).await?;
        before_the_redirect(&scene, |script| &mut script.par).await?;
        scene.still_works().await
    }

    /// At the token endpoint, after the user has returned: the client gets an error.
    async fn sign_in_does_not_end(database) {
        let scene = Scene::set(database).await?;
        let unusable = |fault: &Fault| matches!(fault, Fault::Html | Fault::Huge(_) | Fault::Redirect(_) | Fault::OAuth(_));
        for fault in faults().into_iter().chain([Fault::OAuth("invalid_grant")]) {
            let error = if unusable(&fault) { "server_error" } else { "temporarily_unavailable" };
            let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
            let callback = scene.upstream.approve(&scene.agent.get(&start).await?.location()?).await?;
            scene.upstream.script(|script| script.token = fault.clone());
            let answer = scene.agent.get(&callback).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some(error), "{fault:?} {answer:?}");
            assert_eq!(scene.sessions().await?, 0, "{fault:?}");
            scene.upstream.script(|script| script.token = Fault::None);
        }
        scene.still_works().await
    }

    /// At a refresh: the session keeps its tokens and works again afterwards; a client's own refresh
    /// never notices.
    async fn refresh_keeps_everything(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let refresh = || {
            let request = scene.agent.request("POST".parse().unwrap(), &scene.app.at("/api/session/refresh"));
            scene.agent.send(request.bearer_auth(&tokens.access_token))
        };
        for fault in faults() {
            scene.upstream.script(|script| script.token = fault.clone());
            let answer = refresh().await?;
            assert_eq!(answer.refusal(), "503 upstream_unavailable", "{fault:?}");
            let pause: i64 = answer.header("retry-after").parse()?;
            assert!(pause >= if matches!(fault, Fault::Status(_)) { 7 } else { 2 }, "{fault:?} {pause}");
            let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
            assert_eq!((&session["head_iteration"], &session["session_state"]), (&json!(1), &json!("active")));
            scene.app.clock.advance(pause);
        }
        assert_eq!(scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.status, 200, "never calls the upstream");
        scene.upstream.script(|script| script.token = Fault::None);
        assert_eq!(refresh().await?.json()["head_iteration"], 2);
        Ok(())
    }

    /// A caller that disconnects does not waste the refresh token.
    async fn caller_hangs_up(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.upstream.script(|script| script.token = Fault::Late(Duration::from_millis(300)));
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/api/session/refresh"));
        hang_up(&scene, request.bearer_auth(&tokens.access_token)).await?;
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
        assert_eq!((&session["head_iteration"], &session["session_state"]), (&json!(2), &json!("active")));
        Ok(())
    }

    /// A browser that hangs up in the callback is signed in all the same.
    async fn browser_hangs_up(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(None);
        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &authorization.with("login_hint", Some(HANDLE)).form()).await?.json();
        let query = [("client_id", &*scene.client.client_id), ("request_uri", pushed["request_uri"].as_str().unwrap())];
        let start = url::Url::parse_with_params(&scene.app.at("/oauth/authorize"), query)?;
        let callback = scene.upstream.approve(&scene.agent.get(start.as_str()).await?.location()?).await?;
        scene.upstream.script(|script| script.token = Fault::Late(Duration::from_millis(300)));
        hang_up(&scene, scene.agent.request("GET".parse()?, &callback)).await?;
        let consent = scene.agent.get(start.as_str()).await?.location()?;
        assert!(causeway_testkit::decide(&scene.agent, &consent, "allow").await?.redirect_param("code").is_some());
        Ok(())
    }

    /// Those who wait for a refresh that fails share its failure: the upstream is asked once.
    async fn failure_is_shared(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let bearer = scene.app.bearer(&tokens.access_token).await?;
        scene.upstream.script(|script| script.token = Fault::Silence);
        let before = scene.upstream.hits("token");
        let refresh = || keeper::refresh_upstream(&scene.app.ctx, &bearer);
        let outcomes = tokio::join!(refresh(), refresh(), refresh(), refresh());
        for outcome in [outcomes.0, outcomes.1, outcomes.2, outcomes.3] {
            assert!(matches!(outcome, Err(SessionError::Unavailable { .. })), "{outcome:?}");
        }
        assert_eq!(scene.upstream.hits("token") - before, 1);
        Ok(())
    }

    /// `invalid_grant` upstream: the user has to sign in again; the client's tokens report that and stay
    /// valid.
    async fn upstream_session_over(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.upstream.script(|script| script.token = Fault::OAuth("invalid_grant"));
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/api/session/refresh"));
        let answer = scene.agent.send(request.bearer_auth(&tokens.access_token)).await?;
        assert_eq!(answer.refusal(), "401 reauth_required");
        let again = url::Url::parse(answer.json()["sign_in_url"].as_str().unwrap())?;
        let authorization = scene.client.authorization(None);
        let url = authorization.params.iter().fold(again, |mut url, (name, value)| {
            if !url.query_pairs().any(|(known, _)| known == *name) {
                url.query_pairs_mut().append_pair(name, value);
            }
            url
        });
        let to_upstream = scene.agent.get(url.as_str()).await?.location()?;
        assert!(to_upstream.starts_with(&scene.upstream.origin), "it leads to their own server: {to_upstream}");
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &tokens.access_token).await?.json();
        assert_eq!(session["session_state"], "reauth_required");
        assert_eq!(scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.status, 200);
        Ok(())
    }

    /// An account that moved to another server: its tokens go to neither.
    async fn moved_account(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let other = causeway_testkit::ScriptedUpstream::start("x.test", crate::support::OTHER_DID)?;
        let elsewhere = vec![other.origin.clone()];
        scene.upstream.script(|script| script.authorization_servers = Some(elsewhere));
        scene.app.clock.advance(400);
        let before = scene.upstream.hits("token");
        let request = scene.agent.request("POST".parse()?, &scene.app.at("/api/session/refresh"));
        let answer = scene.agent.send(request.bearer_auth(&tokens.access_token)).await?;
        assert_eq!(answer.refusal(), "401 reauth_required");
        assert_eq!((scene.upstream.hits("token") - before, other.hits("token")), (0, 0));
        Ok(())
    }

    /// A server that no longer exists.
    async fn nobody_there(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.upstream.stop().await;
        scene.app.clock.advance(400);
        let page = scene.agent.get(&scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer)).await?;
        assert_eq!(page.status, 502);
        assert_eq!(scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.status, 200);
        Ok(())
    }
}
