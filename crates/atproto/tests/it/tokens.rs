//! Push, exchange, refresh, revoke: nonces, answers that cannot be used, and answers that never came.

use std::collections::HashSet;
use std::time::Duration;

use causeway_atproto::{
    AtprotoClient, AuthorizationServer, CodeExchange, PushRequest, Pushed, Refusal, TokenAnswer,
    UpstreamAuthKey, UpstreamIdentity, UpstreamTokenError,
};
use causeway_jose::EcKey;
use causeway_outbound::HttpError;
use causeway_types::{CodeVerifier, Did, OauthState, Scope, Secret, SystemRng, UpstreamClientId};
use serde_json::{Value, json};

use crate::upstream::{ALICE, Accounts as _, Reply, Signed as _, Upstream};

const PAR: &str = "/oauth/par";
const TOKEN: &str = "/oauth/token";

struct Us {
    upstream: Upstream,
    client: AtprotoClient,
    server: AuthorizationServer,
    client_id: UpstreamClientId,
    key: EcKey,
    dpop: EcKey,
}

impl Us {
    async fn new() -> Self {
        let upstream = Upstream::good().await;
        let client = upstream.client();
        let server = client.server_by_issuer(&upstream.origin).await.unwrap();
        let client_id = UpstreamClientId::new("https://causeway.example/client.json");
        let (key, dpop) = (EcKey::generate().unwrap(), EcKey::generate().unwrap());
        Self { upstream, client, server, client_id, key, dpop }
    }

    fn confidential(&self) -> UpstreamIdentity<'_> {
        let auth = UpstreamAuthKey::PrivateKeyJwt { key: &self.key, kid: "k1" };
        UpstreamIdentity { client_id: &self.client_id, auth }
    }

    fn public(&self) -> UpstreamIdentity<'_> {
        UpstreamIdentity { client_id: &self.client_id, auth: UpstreamAuthKey::None }
    }

    async fn push(&self) -> Result<Pushed, UpstreamTokenError> {
        let request = PushRequest {
            redirect_uri: "https://causeway.example/callback".to_owned(),
            scope: Scope::parse("atproto transition:generic").unwrap(),
            state: OauthState::new("the state"),
            code_challenge: CodeVerifier::random(&SystemRng).challenge(),
            login_hint: Some("alice.test".to_owned()),
            prompt: None,
        };
        self.client.push_request(&self.server, &self.confidential(), &self.dpop, &request).await
    }

    async fn exchange(&self, nonce: Option<&str>) -> Result<TokenAnswer, UpstreamTokenError> {
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let code = Secret::new("the code");
        let redirect_uri = "https://causeway.example/callback";
        let exchange = CodeExchange { code: &code, verifier: &verifier, redirect_uri, nonce };
        self.client.exchange_code(&self.server, &self.public(), &self.dpop, &exchange).await
    }

    async fn refresh(&self) -> Result<TokenAnswer, UpstreamTokenError> {
        let token = Secret::new("r0");
        self.client.refresh(&self.server, &self.confidential(), &self.dpop, &token).await
    }
}

fn tokens() -> Value {
    json!({
        "access_token": "a1", "refresh_token": "r1", "token_type": "DPoP", "expires_in": 3600,
        "scope": "atproto transition:generic", "sub": ALICE,
    })
}

fn use_nonce(nonce: &str) -> Reply {
    let body =
        json!({ "error": "use_dpop_nonce", "error_description": "Authorization server requires nonce" });
    Reply::json(400, &body).header("dpop-nonce", nonce)
}

#[tokio::test]
async fn a_pushed_request_says_everything_once() {
    let us = Us::new().await;
    let body = json!({ "request_uri": "urn:ietf:params:oauth:request_uri:x y", "expires_in": 299 });
    us.upstream.script_path(PAR, [Reply::json(201, &body).header("dpop-nonce", "n1")]);
    let pushed = us.push().await.unwrap();
    assert_eq!(
        pushed.authorize_url.as_str(),
        format!(
            "{}/oauth/authorize?client_id=https%3A%2F%2Fcauseway.example%2Fclient.json\
             &request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ax+y",
            us.upstream.origin
        )
    );
    assert_eq!((pushed.dpop_nonce.as_deref(), pushed.expires_in), (Some("n1"), 299));

    let [seen] = us.upstream.seen(PAR).try_into().unwrap();
    for (name, value) in [
        ("client_id", "https://causeway.example/client.json"),
        ("response_type", "code"),
        ("redirect_uri", "https://causeway.example/callback"),
        ("scope", "atproto transition:generic"),
        ("state", "the state"),
        ("code_challenge_method", "S256"),
        ("login_hint", "alice.test"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ] {
        assert_eq!(seen.form[name], value);
    }
    assert!(!seen.form.contains_key("prompt"));
    let (proof, assertion) = (seen.proof(), seen.assertion());
    assert_eq!(proof["htm"], "POST");
    assert_eq!(proof["htu"], format!("{}{PAR}", us.upstream.origin));
    assert_eq!(proof["iat"], 1_700_000_000);
    assert_eq!(proof.get("nonce"), None);
    assert_eq!(assertion["aud"], us.upstream.origin);
    assert_eq!(assertion["exp"], 1_700_000_060);
    assert_ne!(proof["jti"], assertion["jti"]);
}

#[tokio::test]
async fn a_nonce_is_fetched_once_and_kept_for_the_next_request() {
    let us = Us::new().await;
    let good = Reply::json(200, &tokens());
    us.upstream.script_path(TOKEN, [use_nonce("n1"), good.clone().header("dpop-nonce", "n2"), good]);
    let answer = us.refresh().await.unwrap();
    assert_eq!(answer.dpop_nonce.as_deref(), Some("n2"));
    assert_eq!(answer.access_token.expose(), "a1");
    assert_eq!(answer.refresh_token, Some(Secret::new("r1")));
    assert_eq!((answer.expires_in, answer.sub.as_ref().map(Did::as_str)), (Some(3600), Some(ALICE)));
    us.refresh().await.unwrap();

    let seen = us.upstream.seen(TOKEN);
    let nonces: Vec<_> = seen.iter().map(|seen| seen.proof().get("nonce").cloned()).collect();
    assert_eq!(nonces, [None, Some(json!("n1")), Some(json!("n2"))]);
    // Servers accept a proof and an assertion once.
    let jtis: HashSet<_> = seen
        .iter()
        .flat_map(|seen| [seen.proof(), seen.assertion()].map(|claims| claims["jti"].to_string()))
        .collect();
    assert_eq!(jtis.len(), 6);
}

#[tokio::test]
async fn a_server_that_is_never_content_gets_two_tries() {
    let us = Us::new().await;
    us.upstream.script_path(TOKEN, [use_nonce("n1"), use_nonce("n2"), use_nonce("n3")]);
    let error = us.refresh().await.unwrap_err();
    assert!(
        matches!(&error, UpstreamTokenError::OAuth { error, .. } if error == "use_dpop_nonce"),
        "{error:?}"
    );
    assert!(error.is_transient() && !error.may_be_spent());
    assert_eq!(us.upstream.seen(TOKEN).len(), 2);

    // The same nonce again, or none at all, is no reason to try again.
    let us = Us::new().await;
    us.upstream.script_path(TOKEN, [use_nonce("n1")]);
    us.refresh().await.unwrap_err();
    us.refresh().await.unwrap_err();
    assert_eq!(us.upstream.seen(TOKEN).len(), 3);
    let us = Us::new().await;
    us.upstream.script_path(TOKEN, [Reply::json(400, &json!({ "error": "use_dpop_nonce" }))]);
    us.refresh().await.unwrap_err();
    assert_eq!(us.upstream.seen(TOKEN).len(), 1);
    us.exchange(Some("n0")).await.unwrap_err();
    assert_eq!(us.upstream.seen(TOKEN).len(), 2);
}

#[tokio::test]
async fn every_answer_may_bring_a_nonce() {
    let us = Us::new().await;
    us.upstream.script_path(
        TOKEN,
        [
            Reply::html(503).header("dpop-nonce", "n1"),
            Reply::json(400, &json!({ "error": "invalid_grant" })).header("dpop-nonce", "n2"),
            Reply::json(200, &tokens()),
        ],
    );
    us.exchange(Some("n0")).await.unwrap_err();
    us.exchange(Some("n0")).await.unwrap_err();
    us.exchange(Some("n0")).await.unwrap();
    let nonces: Vec<_> = us.upstream.seen(TOKEN).iter().map(|seen| seen.proof()["nonce"].clone()).collect();
    // A nonce that this process received itself is newer than the caller's.
    assert_eq!(nonces, ["n0", "n1", "n2"]);
}

#[tokio::test]
async fn an_exchange_as_a_public_client() {
    let us = Us::new().await;
    us.upstream.on(TOKEN, &tokens());
    us.exchange(None).await.unwrap();
    let [seen] = us.upstream.seen(TOKEN).try_into().unwrap();
    let mut names: Vec<_> = seen.form.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["client_id", "code", "code_verifier", "grant_type", "redirect_uri"]);
    assert_eq!(seen.form["code_verifier"], "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

/// A refresh token was spent for the answer: without an access token there is nothing to keep.
#[tokio::test]
async fn an_answer_without_a_token_cannot_be_used() {
    for value in [json!(null), json!(""), json!(7)] {
        let us = Us::new().await;
        let mut body = tokens();
        body["access_token"] = value.clone();
        us.upstream.on(TOKEN, &body);
        let error = us.refresh().await.unwrap_err();
        assert!(matches!(error, UpstreamTokenError::Malformed(_)), "{value}: {error:?}");
        assert!(error.may_be_spent());
    }
    let us = Us::new().await;
    us.upstream.script_path(TOKEN, [Reply::html(200)]);
    assert_eq!(us.refresh().await, Err(UpstreamTokenError::Malformed("it is not JSON")));
}

/// Whatever else is odd about it: the tokens are there, beside the reason not to use them.
#[tokio::test]
async fn tokens_that_cannot_be_trusted_are_kept_with_the_reason() {
    for (member, value, flaw) in [
        ("token_type", json!("Bearer"), "token_type is not DPoP"),
        ("scope", json!("transition:generic"), "scope lacks atproto"),
        ("scope", json!("atprotoo"), "scope lacks atproto"),
        ("sub", json!("alice.test"), "sub is not a DID"),
    ] {
        let us = Us::new().await;
        let mut body = tokens();
        body[member] = value.clone();
        us.upstream.on(TOKEN, &body);
        let answer = us.refresh().await.unwrap();
        assert_eq!(answer.flaw, Some(flaw), "{member}: {value}");
        assert_eq!((answer.access_token.expose(), answer.refresh_token), ("a1", Some(Secret::new("r1"))));
    }
}

/// Missing or invalid optional members lose no tokens.
#[tokio::test]
async fn optional_members_may_be_missing() {
    let us = Us::new().await;
    us.upstream.on(TOKEN, &json!({ "access_token": "a1" }));
    let answer = us.refresh().await.unwrap();
    assert_eq!((answer.refresh_token, answer.expires_in), (None, None));
    assert_eq!((answer.scope, answer.sub, answer.flaw), (None, None, None));
    for (member, value) in [
        ("refresh_token", json!(null)),
        ("refresh_token", json!("")),
        ("refresh_token", json!(7)),
        ("token_type", json!(null)),
        ("token_type", json!("dpop")),
        ("scope", json!(null)),
        ("scope", json!("atproto \"x\"")),
        ("scope", json!(["atproto"])),
        ("sub", json!(null)),
        ("expires_in", json!("soon")),
    ] {
        let mut body = tokens();
        body[member] = value.clone();
        us.upstream.on(TOKEN, &body);
        let answer = us.refresh().await;
        assert_eq!(answer.map(|answer| answer.flaw), Ok(None), "{member}: {value}");
    }
    us.upstream.script_path(TOKEN, [Reply::new(200, "text/plain", tokens().to_string())]);
    assert!(us.refresh().await.is_ok(), "whatever it calls itself");
}

/// How long an access token lives is a positive number, or not known.
#[tokio::test]
async fn a_life_in_seconds() {
    let us = Us::new().await;
    for (value, seconds) in [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(3600.5), Some(3600)),
        (json!(0), None),
        (json!(-1), None),
        (json!("-3600"), None),
        (json!("0"), None),
        (json!(null), None),
        (json!([1]), None),
        (json!(1e300), None),
    ] {
        let mut body = tokens();
        body["expires_in"] = value.clone();
        us.upstream.on(TOKEN, &body);
        assert_eq!(us.refresh().await.unwrap().expires_in, seconds, "{value}");
    }
}

/// Not every server refuses a dead refresh token in the words of RFC 6749; and not every refusal is the token's fault.
#[tokio::test]
async fn refusals_in_other_words() {
    use Refusal::{Grant, Ours, Request};
    let us = Us::new().await;
    let named = |error: &str| json!({ "error": error });
    for (status, body, refusal) in [
        (400, named("invalid_grant"), Some(Grant)),
        (400, json!({ "error": "InvalidRequest", "message": "Token expired" }), Some(Request)),
        (400, named("invalid_request"), Some(Request)),
        (401, named("the refresh token was used before"), Some(Request)),
        (401, json!({ "message": "no such session" }), Some(Request)),
        (400, json!({}), Some(Request)),
        (401, named("invalid_client"), Some(Ours)),
        (400, named("unauthorized_client"), Some(Ours)),
        (400, named("invalid_client_metadata"), Some(Ours)),
        (400, named("invalid_dpop_proof"), Some(Ours)),
        (400, named("temporarily_unavailable"), None),
        (400, named("slow_down"), None),
        (400, named("server_error"), None),
        (400, named("use_dpop_nonce"), None),
        (403, named("forbidden"), None),
        (404, json!({}), None),
    ] {
        us.upstream.script_path(TOKEN, [Reply::json(status, &body)]);
        let error = us.refresh().await.unwrap_err();
        assert_eq!(error.refusal(), refusal, "{status} {body}: {error:?}");
    }
    us.upstream.script_path(TOKEN, [Reply::html(400)]);
    assert_eq!(us.refresh().await.unwrap_err().refusal(), None, "a page is no answer of OAuth");
}

/// Only a definite refusal may end a session; everything else keeps it.
#[tokio::test]
async fn refusals_are_told_apart_from_silence() {
    let us = Us::new().await;
    let long = format!("replayed\r\n\u{1b}[31m{}", "x".repeat(500));
    let body = json!({ "error": "invalid_grant", "error_description": long });
    us.upstream.script_path(TOKEN, [Reply::json(400, &body)]);
    let error = us.refresh().await.unwrap_err();
    assert!(error.is_invalid_grant() && !error.is_transient());
    let UpstreamTokenError::OAuth { status: 400, description: Some(description), .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(description.len(), 200);
    assert!(description.starts_with("replayed[31mx"));
    assert!(!error.to_string().contains("replayed"));

    let error_body = json!({ "error": "invalid_grant" });
    let status = |status, retry_after| UpstreamTokenError::Http(HttpError::Status { status, retry_after });
    for (reply, expected) in [
        (Reply::json(500, &json!({ "error": "server_error" })), status(500, None)),
        (Reply::json(500, &error_body), status(500, None)),
        (Reply::json(503, &error_body).header("retry-after", "30"), status(503, Some(30))),
        (Reply::json(429, &error_body).header("retry-after", "9"), status(429, Some(9))),
        (Reply::html(403), status(403, None)),
        (Reply::new(400, "application/json", "x".repeat(5 << 20)), status(400, None)),
        (Reply::new(200, "application/json", "x".repeat(5 << 20)), HttpError::TooLarge.into()),
        (Reply::html(302).header("location", "http://169.254.169.254/"), HttpError::Redirected.into()),
        (Reply::json(200, &tokens()).late(Duration::from_secs(5)), HttpError::Timeout.into()),
        (Reply::json(200, &tokens()).stalled(), HttpError::Timeout.into()),
        (Reply::json(400, &error_body).stalled(), HttpError::Timeout.into()),
        (Reply::hang_up(), HttpError::Interrupted.into()),
    ] {
        us.upstream.script_path(TOKEN, [reply]);
        let error = us.refresh().await.unwrap_err();
        assert_eq!(error, expected);
        assert!(error.is_transient() && error.may_be_spent() && !error.is_invalid_grant(), "{error:?}");
        assert_eq!(error.retry_after(), expected.retry_after());
    }
}

#[tokio::test]
async fn a_request_that_never_left_spends_nothing() {
    let us = Us::new().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = us.server.clone();
    server.token_endpoint = format!("http://{closed}/oauth/token").parse().unwrap();
    let refresh = us.client.refresh(&server, &us.confidential(), &us.dpop, &Secret::new("r0")).await;
    let error = refresh.unwrap_err();
    assert!(matches!(error, UpstreamTokenError::Http(HttpError::Unreachable(_))), "{error:?}");
    assert!(error.is_transient() && !error.may_be_spent());
}

#[tokio::test]
async fn revocation() {
    let us = Us::new().await;
    let revoke = "/oauth/revoke";
    let token = Secret::new("r1");
    us.upstream.script_path(revoke, [use_nonce("n1"), Reply::new(200, "text/plain", "")]);
    us.client.revoke(&us.server, &us.confidential(), &us.dpop, &token).await.unwrap();
    let seen = us.upstream.seen(revoke);
    assert_eq!((seen.len(), seen[1].form["token"].as_str()), (2, "r1"));

    us.upstream.script_path(revoke, [Reply::html(503)]);
    assert!(us.client.revoke(&us.server, &us.public(), &us.dpop, &token).await.is_err());

    let server = AuthorizationServer { revocation_endpoint: None, ..us.server.clone() };
    us.client.revoke(&server, &us.public(), &us.dpop, &token).await.unwrap();
}

#[tokio::test]
async fn a_pushed_request_without_a_reference_is_refused() {
    let us = Us::new().await;
    for body in [json!({}), json!({ "request_uri": "" }), json!({ "request_uri": 7 })] {
        us.upstream.script_path(PAR, [Reply::json(201, &body)]);
        assert!(matches!(us.push().await, Err(UpstreamTokenError::Malformed(_))), "{body}");
    }
    us.upstream.script_path(PAR, [Reply::json(400, &json!({ "error": "invalid_scope" }))]);
    assert!(matches!(us.push().await, Err(UpstreamTokenError::OAuth { .. })));
}
