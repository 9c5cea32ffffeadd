//! Failures of calls to the PDS: the error that the client gets, and the state that is stored.

use std::time::Duration;

use anyhow::Result;
use causeway_testkit::{Answer, Fault, Nonces, TokenRefusal, User as _, XrpcReply};
use serde_json::json;

use crate::support::{HANDLE, Scene, on_each_database};

/// Larger than the part of a body that is buffered.
const LARGE: usize = 300_000;

async fn upload(scene: &Scene, token: &str, bytes: usize) -> Result<Answer> {
    let request = scene.xrpc("POST", "com.atproto.repo.uploadBlob", token);
    scene.agent.send(request.header("content-type", "image/png").body("x".repeat(bytes))).await
}

async fn iteration(scene: &Scene, token: &str) -> Result<serde_json::Value> {
    let session = scene.agent.get_with(&scene.app.at("/api/session"), token).await?.json();
    assert_eq!(session["session_state"], "active");
    Ok(session["head_iteration"].clone())
}

on_each_database! {
    async fn each_fault_has_its_code(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for (fault, refusal) in [
            // Their own errors are their own.
            (Fault::Status(500), "500 server_error"),
            (Fault::Status(503), "503 server_error"),
            (Fault::Status(429), "429 server_error"),
            (Fault::OAuth("x"), "400 x"),
            (Fault::Html, "502 upstream_invalid"),
            (Fault::Redirect("http://10.0.0.1/"), "502 upstream_invalid"),
            (Fault::Silence, "504 upstream_timeout"),
            (Fault::HangUp, "502 upstream_interrupted"),
            (Fault::Late(Duration::from_millis(300)), "200 -"),
        ] {
            scene.upstream.script(|script| script.xrpc = fault.clone());
            let answer = scene.read(&token).await?;
            assert_eq!(answer.refusal(), refusal, "{fault:?} {answer:?}");
            if let Fault::Status(_) = fault {
                assert_eq!(answer.header("retry-after"), "7");
            }
            if refusal.contains("upstream") {
                assert_eq!(answer.json()["message"], answer.json()["error_description"]);
            }
        }
        assert_eq!((scene.upstream.hits("token"), iteration(&scene, &token).await?), (1, json!(1)));
        scene.upstream.stop().await;
        let gone = scene.read(&token).await?;
        assert_eq!((&*gone.refusal(), gone.header("retry-after")), ("503 upstream_unavailable", "5"));
        Ok(())
    }

    /// A client must not take half an answer for a whole one.
    async fn a_broken_answer_looks_broken(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for headers in [vec![("content-type", "image/png".to_owned())]] {
            let reply = XrpcReply { headers, breaks: true, ..XrpcReply::default() };
            scene.upstream.script(|script| script.answer = Some(reply));
            assert!(scene.read(&token).await.is_err());
        }
        Ok(())
    }

    async fn nonces(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        scene.upstream.script(|script| script.nonces = Nonces::Newest);
        for _ in 0..3 {
            assert_eq!(scene.read(&token).await?.status, 200);
        }
        assert_eq!(upload(&scene, &token, LARGE).await?.status, 200);
        scene.app.clock.advance(100);
        assert_eq!(upload(&scene, &token, LARGE).await?.status, 200, "the nonce is learnt again");
        scene.upstream.script(|script| script.nonces = Nonces::Never);
        assert_eq!(scene.read(&token).await?.refusal(), "502 upstream_refused");
        assert_eq!((scene.upstream.hits("token"), iteration(&scene, &token).await?), (1, json!(1)));
        Ok(())
    }

    async fn clocks_that_differ(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for (offset, refusal) in [(170, "200 -"), (-170, "200 -"), (400, "502 upstream_refused"), (-400, "502 upstream_refused")] {
            scene.upstream.script(|script| script.clock_offset = Some(offset));
            let answer = scene.read(&token).await?;
            assert_eq!(answer.refusal(), refusal, "{offset}");
            assert_eq!(answer.header("www-authenticate"), "", "the client's own proof is not meant");
        }
        assert_eq!((scene.upstream.hits("token"), iteration(&scene, &token).await?), (1, json!(1)));
        Ok(())
    }

    /// The server takes the token no more, before its time: one refresh, and the call is made.
    async fn a_token_that_died_young(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        scene.upstream.expire_access_tokens();
        assert_eq!(scene.read(&token).await?.status, 200);
        assert_eq!(iteration(&scene, &token).await?, 2);
        scene.upstream.expire_access_tokens();
        assert_eq!(upload(&scene, &token, 1000).await?.status, 200, "a small body is sent again");
        assert_eq!(iteration(&scene, &token).await?, 3);
        scene.upstream.expire_access_tokens();
        assert_eq!(upload(&scene, &token, LARGE).await?.status, 200, "a large one was held back");
        assert_eq!(iteration(&scene, &token).await?, 4);
        let sent: Vec<_> = scene.upstream.calls().iter().filter(|call| call.method == "POST").map(|call| call.body_length).collect();
        assert_eq!(sent, [1000, LARGE]);

        scene.upstream.script(|script| script.nonces = Nonces::Newest);
        scene.read(&token).await?;
        scene.upstream.expire_access_tokens();
        let again = upload(&scene, &token, LARGE).await?;
        assert_eq!((&*again.refusal(), again.header("retry-after")), ("503 resend_request", "1"));
        assert!(again.text.contains("the session was refreshed"), "{again:?}");
        assert_eq!(iteration(&scene, &token).await?, 5, "everything is ready for it");
        assert_eq!(upload(&scene, &token, LARGE).await?.status, 200);
        assert_eq!(iteration(&scene, &token).await?, 5);
        Ok(())
    }

    /// The server changes its nonce: what happened is said, and nothing is renewed. A nonce that was first seen a minute
    /// ago is asked for again first, however often the server has repeated it since.
    async fn a_nonce_that_changes(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        scene.upstream.script(|script| script.nonces = Nonces::Current);
        assert_eq!(scene.read(&token).await?.status, 200);
        scene.upstream.change_nonce();
        let refused = upload(&scene, &token, LARGE).await?;
        assert_eq!((&*refused.refusal(), refused.header("retry-after")), ("503 resend_request", "1"));
        assert!(refused.text.contains("required a proof with another nonce"), "{refused:?}");
        assert!(!refused.text.contains("refreshed"), "{refused:?}");
        assert_eq!(upload(&scene, &token, LARGE).await?.status, 200);
        for _ in 0..3 {
            scene.app.clock.advance(20);
            assert_eq!(scene.read(&token).await?.status, 200);
        }
        scene.upstream.change_nonce();
        assert_eq!(upload(&scene, &token, LARGE).await?.status, 200, "the old one was a minute old");
        assert_eq!((scene.upstream.hits("token"), iteration(&scene, &token).await?), (1, json!(1)));
        Ok(())
    }

    /// XRPC's error for an expired token, with status 400; an error about a token from an email belongs to
    /// the method.
    async fn a_token_that_is_over_in_the_words_of_xrpc(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for (n, refused) in [TokenRefusal::Xrpc("ExpiredToken"), TokenRefusal::Xrpc("InvalidToken"), TokenRefusal::Unquoted].into_iter().enumerate() {
            scene.upstream.script(|script| script.token_refusal = refused);
            scene.upstream.expire_access_tokens();
            assert_eq!(upload(&scene, &token, 1000).await?.status, 200, "{refused:?}");
            assert_eq!(iteration(&scene, &token).await?, n + 2, "{refused:?}");
        }
        scene.upstream.script(|script| script.refuses_tokens = true);
        assert_eq!(scene.read(&token).await?.refusal(), "502 upstream_refused");
        Ok(())
    }

    /// A server that accepts no token at all is not asked for new ones endlessly.
    async fn a_server_that_takes_no_token(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        scene.upstream.script(|script| script.refuses_tokens = true);
        let answer = scene.read(&token).await?;
        assert_eq!((&*answer.refusal(), answer.header("www-authenticate")), ("502 upstream_refused", ""));
        assert_eq!((scene.upstream.hits("token"), iteration(&scene, &token).await?), (2, json!(2)));
        Ok(())
    }

    /// Spent tokens and a server that gives no new ones; then one that gives none any more.
    async fn no_way_on(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.token = Fault::Status(503));
        let answer = scene.read(&token).await?;
        assert_eq!((&*answer.refusal(), answer.header("retry-after")), ("503 upstream_unavailable", "7"));
        scene.app.clock.advance(7);
        scene.upstream.script(|script| script.token = Fault::OAuth("invalid_grant"));
        let answer = scene.read(&token).await?;
        assert_eq!(answer.refusal(), "401 reauth_required");
        let url = answer.json()["sign_in_url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&scene.app.at("/oauth/authorize?")), "{url}");
        assert!(answer.header("www-authenticate").contains("error=\"reauth_required\""));
        assert!(scene.upstream.calls().is_empty());
        Ok(())
    }

    /// The account is taken down at its PDS while its token looks valid: the app is told, sign-in fails, and
    /// when the account is back, a sign-in works.
    async fn taken_down(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        scene.upstream.script(|script| script.takedown = true);
        let answer = scene.read(&token).await?;
        assert_eq!(answer.refusal(), "401 reauth_required");
        let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
        let callback = scene.upstream.approve(&scene.agent.get(&start).await?.location()?).await?;
        let back = scene.agent.get(&callback).await?;
        assert_eq!(back.redirect_param("error").as_deref(), Some("access_denied"), "{back:?}");
        scene.upstream.script(|script| script.takedown = false);
        assert_eq!(scene.read(&token).await?.refusal(), "401 reauth_required", "what was deleted is gone");
        let token = scene.access_token().await?;
        assert_eq!(scene.read(&token).await?.status, 200);
        Ok(())
    }

    /// An upload that the client aborts half-way has no effect.
    async fn half_an_upload(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let url = scene.app.at("/xrpc/com.atproto.repo.uploadBlob");
        for announced in [true, false] {
            scene.agent.begin_upload(&url, &token, LARGE, announced).await?;
        }
        scene.app.ctx.settle().await;
        assert_eq!(scene.read(&token).await?.status, 200);
        let calls: Vec<_> = scene.upstream.calls().iter().map(|call| call.method.clone()).collect();
        assert!(!calls.iter().any(|method| method == "POST"), "{calls:?}");
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        Ok(())
    }

    /// A server may answer before it has read everything: the answer arrives whole.
    async fn an_early_answer(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let reply = XrpcReply { early: true, ..XrpcReply::json(413, &json!({"error": "PayloadTooLarge", "message": "m"})) };
        scene.upstream.script(|script| script.answer = Some(reply.clone()));
        assert_eq!(upload(&scene, &token, 3_000_000).await?.refusal(), "413 PayloadTooLarge");
        let long = XrpcReply { filler: 40_000_000, ..reply };
        scene.upstream.script(|script| script.answer = Some(long));
        assert!(upload(&scene, &token, 30_000_000).await?.text.len() > 40_000_000);
        scene.upstream.script(|script| script.answer = None);
        assert_eq!(upload(&scene, &token, 3_000_000).await?.status, 200);
        Ok(())
    }
}
