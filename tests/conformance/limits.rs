//! Rate limits (RFC 6585 section 4; RFC 6749 section 2.3.1).

use causeway_domain::RateLimit;
use causeway_flow::client::registration::RegistrationPolicy;
use causeway_flow::operations::limits::RateLimits;
use causeway_testkit::{Agent, Answer, OauthClient, ScriptedUpstream, TestApp};
use causeway_types::Secret;
use serde_json::json;

use super::device::{GRANT, poll};
use crate::support::{DID, HANDLE, count, enter, on_each_database};

/// Three of everything in a minute.
const THREE: Option<RateLimit> = Some(RateLimit { count: 3, seconds: 60 });

async fn limited(
    database: &causeway_testkit::TestDatabase,
    limits: RateLimits,
) -> anyhow::Result<(TestApp, ScriptedUpstream)> {
    let upstream = ScriptedUpstream::start(HANDLE, DID)?;
    let app = TestApp::start_tuned(database, &upstream.environment(), |parts| parts.limits = limits).await?;
    Ok((app, upstream))
}

async fn introspect(agent: &Agent, client: &OauthClient, secret: &str) -> anyhow::Result<Answer> {
    let form = [("client_id", &*client.client_id), ("client_secret", secret), ("token", "x")];
    agent.post(&format!("{}/oauth/introspect", client.issuer), &form).await
}

on_each_database! {
    /// A client whose secret is guessed at is refused unheard for a while, at that address; another one is not,
    /// and requests that are in order are never counted.
    async fn a_noisy_client_does_not_stop_another(database) {
        let limits = RateLimits { failed_authentication: THREE, ..RateLimits::default() };
        let (app, _upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        let noisy = OauthClient::register_with(&agent, &app.issuer, "client_secret_post").await?;
        let quiet = OauthClient::register_with(&agent, &app.issuer, "client_secret_post").await?;
        let secret = |client: &OauthClient| client.client_secret.clone().unwrap();
        for _ in 0..10 {
            assert_eq!(introspect(&agent, &noisy, &secret(&noisy)).await?.status, 200);
        }
        for _ in 0..3 {
            assert_eq!(introspect(&agent, &noisy, "guess").await?.refusal(), "401 invalid_client");
        }
        let refused = introspect(&agent, &noisy, "guess").await?;
        assert_eq!(refused.refusal(), "429 temporarily_unavailable");
        assert_eq!(refused.header("retry-after"), "20");
        assert!(refused.json()["request_id"].is_string(), "{refused:?}");
        let unheard = introspect(&agent, &noisy, &secret(&noisy)).await?;
        assert_eq!(unheard.refusal(), "429 temporarily_unavailable", "a guess is not tried");
        for _ in 0..10 {
            assert_eq!(introspect(&agent, &quiet, &secret(&quiet)).await?.status, 200);
        }
        app.clock.advance(20);
        assert_eq!(introspect(&agent, &noisy, &secret(&noisy)).await?.status, 200);
        Ok(())
    }

    /// Guesses of the initial access token do not lock out its holder.
    async fn the_right_initial_token_is_heard(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let right = "the initial access token";
        let app = TestApp::start_tuned(database, &upstream.environment(), |parts| {
            parts.limits = RateLimits { failed_authentication: THREE, ..RateLimits::default() };
            parts.registration = RegistrationPolicy::Token(Secret::new(right));
        })
        .await?;
        let agent = Agent::default();
        let register = async |token: &str| {
            let request = agent.request("POST".parse()?, &app.at("/oauth/register")).bearer_auth(token);
            let body = json!({"redirect_uris": ["https://a.example/cb"]}).to_string();
            agent.send(request.header("content-type", "application/json").body(body)).await
        };
        for _ in 0..3 {
            assert_eq!(register("a guess").await?.status, 401);
        }
        assert_eq!(register("a guess").await?.refusal(), "429 temporarily_unavailable");
        assert_eq!(register(right).await?.status, 201);
        assert_eq!(register("a guess").await?.refusal(), "429 temporarily_unavailable");
        Ok(())
    }

    /// Sign-ins per client; the user gets a page, and no upstream server is asked.
    async fn sign_ins(database) {
        let limits = RateLimits { sign_in: THREE, ..RateLimits::default() };
        let (app, upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        let noisy = OauthClient::register(&agent, &app.issuer).await?;
        let quiet = OauthClient::register(&agent, &app.issuer).await?;
        enter(&app, &noisy).await?;
        let begin = |client: &OauthClient| {
            let url = client.authorization(Some(HANDLE)).url(&app.issuer);
            let agent = &agent;
            async move { agent.get(&url).await }
        };
        for _ in 0..3 {
            assert_eq!(begin(&noisy).await?.status, 303);
        }
        let page = begin(&noisy).await?;
        assert_eq!((page.status, page.header("retry-after")), (429, "20"));
        assert!(page.text.contains("Too many tries"), "{}", page.text);
        quiet.sign_in(&agent, &upstream, HANDLE).await?;
        app.clock.advance(20);
        assert_eq!(begin(&noisy).await?.status, 303);
        Ok(())
    }

    /// Names that somebody makes up use up their address, and not the clients behind it that there are: what those
    /// fail at is counted for each.
    async fn made_up_names_stop_nobody(database) {
        let limits = RateLimits { failed_authentication: THREE, ..RateLimits::default() };
        let (app, _upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        let client = OauthClient::register_with(&agent, &app.issuer, "client_secret_post").await?;
        let secret = client.client_secret.clone().unwrap();
        let nobody = |n: u32| OauthClient { client_id: format!("nobody-{n}"), ..client.clone() };
        for n in 0..30 {
            assert_eq!(introspect(&agent, &nobody(n), "guess").await?.refusal(), "401 invalid_client", "{n}");
        }
        assert_eq!(introspect(&agent, &nobody(30), "guess").await?.refusal(), "429 temporarily_unavailable");
        for _ in 0..5 {
            assert_eq!(introspect(&agent, &client, &secret).await?.status, 200);
        }
        for _ in 0..3 {
            assert_eq!(introspect(&agent, &client, "guess").await?.refusal(), "401 invalid_client");
        }
        assert_eq!(introspect(&agent, &client, "guess").await?.refusal(), "429 temporarily_unavailable", "it is counted");
        Ok(())
    }

    /// Tokens of registrations are guessed at no faster than secrets (RFC 7592).
    async fn registration_tokens(database) {
        let limits = RateLimits { failed_authentication: THREE, ..RateLimits::default() };
        let (app, _upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        let url = app.at("/oauth/register");
        let body = r#"{"redirect_uris": ["https://app.example/cb"]}"#;
        let client = agent.post_body(&url, "application/json", body).await?.json();
        let uri = client["registration_client_uri"].as_str().unwrap();
        let token = client["registration_access_token"].as_str().unwrap();
        let show = async |uri: &str, token: &str| agent.get_with(uri, token).await;
        for _ in 0..3 {
            assert_eq!(show(uri, "cw_rg_guess").await?.refusal(), "401 invalid_token");
        }
        for token in ["cw_rg_guess", token] {
            assert_eq!(show(uri, token).await?.refusal(), "429 temporarily_unavailable", "a guess is not tried");
        }
        app.clock.advance(20);
        assert_eq!(show(uri, token).await?.status, 200);
        // Names that somebody makes up use up the address, and not the clients that there are.
        let stranger = |n: u32| app.at(&format!("/oauth/register/nobody-{n}"));
        let mut refused = 0;
        for n in 0..40 {
            refused += u32::from(show(&stranger(n), token).await?.status == 429);
        }
        assert_eq!(refused, 10, "an address has room for ten clients");
        assert_eq!(show(uri, token).await?.status, 200);
        Ok(())
    }

    /// Device requests per client (RFC 8628 sections 3.1 and 3.4), long before the user decides. Anybody can
    /// register a client that authenticates: only those entered by the operator are exempt.
    async fn devices(database) {
        let limits = RateLimits { device: THREE, ..RateLimits::default() };
        let (app, _upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        let television = async |method: &str| {
            let metadata = json!({"token_endpoint_auth_method": method, "grant_types": [GRANT], "redirect_uris": []});
            OauthClient::register_as(&agent, &app.issuer, metadata).await
        };
        let begin = async |client: &OauthClient| client.post(&agent, "/oauth/device_authorization", &[]).await;
        let (noisy, quiet) = (television("none").await?, television("none").await?);
        let code = begin(&noisy).await?.json()["device_code"].as_str().expect("a code").to_owned();
        assert_eq!(poll(&agent, &noisy, &code).await?.refusal(), "400 authorization_pending");
        assert_eq!(poll(&agent, &noisy, &code).await?.refusal(), "400 slow_down");
        for refused in [poll(&agent, &noisy, &code).await?, begin(&noisy).await?] {
            assert_eq!(refused.refusal(), "429 temporarily_unavailable");
            assert_eq!(refused.header("retry-after"), "20");
        }
        let own = begin(&quiet).await?.json()["device_code"].as_str().expect("a code").to_owned();
        assert_eq!(poll(&agent, &quiet, &own).await?.refusal(), "400 authorization_pending");
        app.clock.advance(20);
        assert_eq!(poll(&agent, &noisy, &code).await?.refusal(), "400 authorization_pending", "nothing is lost");
        let registered = television("client_secret_post").await?;
        for status in [200, 200, 200, 429] {
            assert_eq!(begin(&registered).await?.status, status);
        }
        let known = television("client_secret_post").await?;
        enter(&app, &known).await?;
        for _ in 0..10 {
            assert_eq!(begin(&known).await?.status, 200);
        }
        Ok(())
    }

    /// Stored authorization requests, pushed or not: sending them takes no proof. Only a client that the
    /// operator has entered and that authenticates is exempt.
    async fn authorization_requests(database) {
        let limits = RateLimits { authorization: THREE, ..RateLimits::default() };
        let (app, _upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        let noisy = OauthClient::register(&agent, &app.issuer).await?;
        let begin = async |client: &OauthClient| agent.get(&client.authorization(None).url(&app.issuer)).await;
        let push = async |client: &OauthClient| {
            let authorization = client.authorization(None);
            let mut form = authorization.form();
            if let Some(secret) = &client.client_secret {
                form.push(("client_secret", secret));
            }
            agent.post(&app.at("/oauth/par"), &form).await
        };
        let wrong = noisy.authorization(None).with("response_type", Some("token")).url(&app.issuer);
        for _ in 0..5 {
            assert_eq!(agent.get(&wrong).await?.redirect_param("error").as_deref(), Some("unsupported_response_type"));
        }
        assert_eq!(begin(&noisy).await?.status, 200, "what is refused is no row, and does not count");
        assert_eq!((push(&noisy).await?.status, push(&noisy).await?.status), (201, 201));
        let refused = begin(&noisy).await?;
        assert_eq!((refused.status, refused.header("retry-after")), (429, "20"));
        let refused = push(&noisy).await?;
        assert_eq!((&*refused.refusal(), refused.header("retry-after")), ("429 temporarily_unavailable", "20"));
        assert_eq!((count(&app, "oauth_auth_request").await?, count(&app, "oauth_par_request").await?), (1, 2));
        let known = OauthClient::register_with(&agent, &app.issuer, "client_secret_post").await?;
        for status in [201, 201, 201, 429] {
            assert_eq!(push(&known).await?.status, status, "anybody may register one that authenticates");
        }
        let entered = OauthClient::register_with(&agent, &app.issuer, "client_secret_post").await?;
        enter(&app, &entered).await?;
        for _ in 0..5 {
            assert_eq!(push(&entered).await?.status, 201);
        }
        app.clock.advance(20);
        assert_eq!(begin(&noisy).await?.status, 200);
        Ok(())
    }

    /// Clients that describe themselves in their name: no row before a request of theirs is valid, and new ones count as
    /// registrations.
    async fn rows_of_loopback_clients(database) {
        let limits = RateLimits { registration: THREE, ..RateLimits::default() };
        let (app, _upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        let registered = OauthClient::register(&agent, &app.issuer).await?;
        let named = |n: u32, redirect_uri: &str| OauthClient {
            client_id: format!("http://localhost?redirect_uri=http://127.0.0.1/{n}"),
            redirect_uri: redirect_uri.to_owned(),
            scope: "atproto".to_owned(),
            ..registered.clone()
        };
        for n in 0..10 {
            let wrong = named(n, "http://127.0.0.1/other").authorization(None);
            assert_eq!(agent.get(&wrong.url(&app.issuer)).await?.status, 400);
            assert_eq!(agent.post(&app.at("/oauth/par"), &wrong.form()).await?.refusal(), "400 invalid_request");
        }
        assert_eq!(count(&app, "oauth_client").await?, 1);
        let begin = async |n: u32| {
            let authorization = named(n, &format!("http://127.0.0.1/{n}")).authorization(None);
            agent.get(&authorization.url(&app.issuer)).await.map(|page| page.status)
        };
        assert_eq!((begin(1).await?, begin(2).await?), (200, 200));
        assert_eq!((begin(3).await?, begin(1).await?), (429, 200), "who is known is heard");
        let pushed = agent.post(&app.at("/oauth/par"), &named(4, "http://127.0.0.1/4").authorization(None).form()).await?;
        assert_eq!(pushed.refusal(), "429 temporarily_unavailable");
        assert_eq!(count(&app, "oauth_client").await?, 3);
        Ok(())
    }

    /// Registrations by address.
    async fn registrations(database) {
        let limits = RateLimits { registration: THREE, ..RateLimits::default() };
        let (app, _upstream) = limited(database, limits).await?;
        let agent = Agent::default();
        for _ in 0..3 {
            OauthClient::register(&agent, &app.issuer).await?;
        }
        let body = r#"{"redirect_uris": ["https://app.example/cb"]}"#;
        let answer = agent.post_body(&app.at("/oauth/register"), "application/json", body).await?;
        assert_eq!(answer.refusal(), "429 temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "20");
        Ok(())
    }
}
