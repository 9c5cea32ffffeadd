//! Token endpoints that fail in every way.

use std::time::{Duration, Instant};

use causeway_outbound::testing::Reply;
use causeway_providers::oauth::{RefusalMeaning, Revoked, RevokedTokens, SecretInUse, TokenError};
use causeway_types::Secret;
use serde_json::json;

use crate::provider::{Provider, VERIFIER, patient_client};

fn token() -> serde_json::Value {
    json!({"access_token": "at", "refresh_token": "rt", "expires_in": 60})
}

/// Whatever is no answer keeps everything, and a refresh token may be spent.
#[tokio::test]
async fn what_is_no_answer_is_passing() {
    let x = Provider::of("x").await;
    for (reply, retry_after) in [
        (Reply::html(200), None),
        (Reply::html(502), None),
        (Reply::new(200, "application/json", ""), None),
        (Reply::json(200, &json!({})), None),
        (Reply::json(500, &json!({"error": "oops"})).header("retry-after", "30"), Some(30)),
        (Reply::json(429, &json!({})).header("retry-after", "7"), Some(7)),
        (Reply::json(400, &json!({"error": "server_error"})), None),
        (Reply::new(302, "text/html", "").header("location", "https://evil.example/"), None),
        (Reply::json(200, &json!({"access_token": "x".repeat(300_000)})), None),
        (Reply::json(200, &token()).broken(), None),
        (Reply::hang_up(), None),
    ] {
        x.answers(reply);
        let error = x.refresh_with(Some("rt")).await.unwrap_err();
        assert_eq!(error.meaning(), RefusalMeaning::Passing, "{error}");
        assert_eq!((error.retry_after(), error.may_be_spent()), (retry_after, true), "{error}");
    }
}

#[tokio::test]
async fn a_deadline_ends_silence() {
    let mut x = Provider::of("x").await;
    x.client = patient_client(Duration::from_millis(200));
    for reply in
        [Reply::json(200, &token()).late(Duration::from_secs(30)), Reply::json(200, &token()).stalled()]
    {
        x.answers(reply);
        let began = Instant::now();
        let error = x.refresh_with(Some("rt")).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(4));
        assert!(matches!(error, TokenError::Http(causeway_outbound::HttpError::Timeout)), "{error}");
        assert!(error.may_be_spent());
    }
}

/// A secret that was rotated at the provider breaks nothing: the next one is tried once it is refused, and only then.
#[tokio::test]
async fn the_next_secret_takes_the_place_of_a_refused_one() {
    let mut x = Provider::of("x").await;
    x.next_secret = Some(Secret::new("next"));
    let refused = Reply::json(401, &json!({"error": "invalid_client"}));
    let path = "/2/oauth2/token";
    x.upstream.script_path(path, [refused.clone(), Reply::json(200, &token())]);
    let issued = x.refresh_with(Some("rt")).await.unwrap();
    assert_eq!(issued.secret, SecretInUse::Next);
    let used: Vec<_> =
        x.upstream.seen(path).iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(used, ["Basic b3VyLWlkOnMlMkJjcmV0", "Basic b3VyLWlkOm5leHQ="]);

    x.upstream.script_path(path, [Reply::json(200, &token())]);
    assert_eq!(x.refresh_with(Some("rt")).await.unwrap().secret, SecretInUse::Current);
    for (reply, requests) in [
        (refused, 2),
        (Reply::json(400, &json!({"error": "invalid_grant"})), 1),
        (Reply::json(400, &json!({"error": "invalid_request"})), 1),
        (Reply::json(503, &json!({"error": "invalid_client?"})), 1),
    ] {
        let before = x.upstream.seen(path).len();
        x.upstream.script_path(path, [reply]);
        assert!(x.refresh_with(Some("rt")).await.is_err());
        assert_eq!(x.upstream.seen(path).len() - before, requests);
    }
}

/// The same where nothing is renewed, and in words of the provider's own.
#[tokio::test]
async fn the_next_secret_counts_for_codes_and_exchanges_too() {
    let mut facebook = Provider::of("facebook").await;
    facebook.next_secret = Some(Secret::new("next"));
    let path = "/v24.0/oauth/access_token";
    let refused =
        Reply::json(400, &json!({"error": {"message": "Error validating client secret.", "code": 1}}));
    facebook.upstream.script_path(path, [refused.clone(), Reply::json(200, &token())]);
    assert_eq!(facebook.redeem_code().await.unwrap().secret, SecretInUse::Next);
    facebook.upstream.script_path(path, [refused, Reply::json(200, &token())]);
    let exchanged = facebook.client.exchange(&facebook.context(), &Secret::new("short")).await;
    assert_eq!(exchanged.unwrap().unwrap().secret, SecretInUse::Next);

    let mut mastodon = Provider::with("mastodon", &[("instance", "m.example")]).await;
    mastodon.next_secret = Some(Secret::new("next"));
    let refused = Reply::json(400, &json!({"error": "invalid_client"}));
    mastodon.upstream.script_path("/oauth/token", [refused.clone(), Reply::json(200, &token())]);
    assert_eq!(mastodon.redeem_code().await.unwrap().secret, SecretInUse::Next);

    mastodon.upstream.script_path("/oauth/revoke", [refused, Reply::json(200, &json!({}))]);
    let access_token = Secret::new("at");
    let tokens = RevokedTokens { access_token: &access_token, refresh_token: None };
    let revoked = mastodon.client.revoke(&mastodon.context(), None, &tokens).await;
    assert_eq!(revoked, Ok(Revoked::Done));
    assert_eq!(mastodon.upstream.seen("/oauth/revoke").len(), 2);
}

/// Issued credentials are not lost to a member that is malformed.
#[tokio::test]
async fn tokens_survive_malformed_answers() {
    let x = Provider::of("x").await;
    for body in [
        &b"{\"access_token\":\"at\",\"refresh_token\":\"rt\",\"name\":\"\xff\xfe\"}"[..],
        b"{\"access_token\":\"at\",\"refresh_token\":\"rt\",\"expires_in\":1e999,\"x\":\"\\ud83d\"}",
        b"\xef\xbb\xbf{\"access_token\":\"at\",\"refresh_token\":\"rt\",}",
    ] {
        for media_type in ["application/json", "text/html", "text/plain"] {
            x.answers(Reply::new(200, media_type, body));
            let tokens = x.refresh_with(Some("rt")).await.unwrap().answer.user.unwrap();
            assert_eq!((tokens.access_token.expose(), tokens.refresh_token.unwrap().expose()), ("at", "rt"));
        }
    }
}

/// Neither errors nor `Debug` show what was sent.
#[tokio::test]
async fn errors_show_no_secret() {
    let x = Provider::of("x").await;
    let body = json!({"error": "invalid_grant", "error_description": "refresh token old-refresh of s+cret is unknown"});
    let error = x.refresh(400, &body).await.unwrap_err();
    let wrong = json!({"error": "invalid_grant", "error_description": format!("{VERIFIER} is wrong")});
    let of_code = x.redeem(400, &wrong).await.unwrap_err();
    assert!(!format!("{of_code:?}").contains(VERIFIER), "{of_code:?}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("old-refresh") && !text.contains("s+cret"), "{text}");
    }
    assert_eq!(error.to_string(), "the provider responded with 400 invalid_grant");
}
