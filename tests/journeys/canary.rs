//! No secret leaks: after a whole sign-in at TRACE, every log line, page and error, the metrics, everything
//! that a trace collector received, and the database are searched for every secret there was. Panic messages
//! are never logged (`causeway-server`, `logging.rs`).

use std::path::Path;

use anyhow::Result;
use causeway_domain::{Clock as _, SystemClock};
use causeway_flow::operations::events::new_secret;
use causeway_jose::EcKey;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::events;
use causeway_store::events::Webhook;
use causeway_store::{StoreError, testing};
use causeway_testkit::{
    Agent, Answer, Causeway, Collector, Hook, OauthClient, ScriptedUpstream, SeenSpan, TestDatabase, Tokens,
    User as _, decide,
};
use causeway_types::{ClientId, SystemRng, TenantId};
use serde_json::json;
use tempfile::tempdir;

use crate::forge;
use crate::support::{DID, HANDLE, database_arguments, on_each_database, upstream_arguments};

/// Subscribes a client to webhooks; returns the secret that verifies their signatures.
async fn subscribe(
    database: &TestDatabase,
    directory: &Path,
    client: &OauthClient,
    hook: &Hook,
) -> Result<String> {
    let ring = EncryptionKeyRing::parse(&std::fs::read_to_string(directory.join("ring.key"))?)?;
    let webhook = Webhook { url: hook.url.clone(), secret: new_secret(&SystemRng) };
    let secret = webhook.secret.expose().to_owned();
    let (client_id, tenant) = (ClientId::new(&*client.client_id), TenantId::default_tenant());
    let known = database
        .store()
        .await
        .write::<_, StoreError, _>(move |c| {
            events::subscribe(c, &ring, &tenant, &client_id, Some(&webhook), SystemClock.now())
        })
        .await?;
    anyhow::ensure!(known, "no such client");
    Ok(secret)
}

/// A client proves itself by its key, and once more with what it has used; both answers, and the assertion.
async fn prove_twice(agent: &Agent, issuer: &str) -> Result<(Vec<Answer>, String)> {
    let key = EcKey::generate()?;
    let keys = json!({"keys": [key.published_jwk()]});
    let metadata = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys});
    let client = OauthClient::register_as(agent, issuer, metadata).await?;
    let now = SystemClock.now();
    let claims = json!({
        "iss": client.client_id, "sub": client.client_id, "aud": client.issuer,
        "exp": now.plus(60).as_secs(), "iat": now.as_secs(), "jti": forge::jti(),
    });
    let assertion = forge::signed(&key, &json!({"kid": key.thumbprint()}), &claims);
    let mut answers = Vec::new();
    for status in [201, 401] {
        let authorization = client.authorization(None);
        let mut form = authorization.form();
        form.extend([
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ]);
        let answer = agent.post(&format!("{issuer}/oauth/par"), &form).await?;
        anyhow::ensure!(answer.status == status, "{answer:?}");
        answers.push(answer);
    }
    Ok((answers, assertion))
}

on_each_database! {
    /// From the authorization request to the refresh upstream, with a wrong secret and a replay.
    async fn no_secret_in_logs_or_tables(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let directory = tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        arguments.push("--metrics-listen=127.0.0.1:0".to_owned());
        let (collector, hook) = (Collector::start()?, Hook::start()?);
        let environment = [
            ("RUST_LOG", "trace"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.origin.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=canary-collector-key"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let server = Causeway::serve_with(directory.path(), &arguments, &environment).await?;
        let agent = Agent::default();
        let client = OauthClient::register_with(&agent, &server.address, "client_secret_post").await?;
        let webhook_secret = subscribe(database, directory.path(), &client, &hook).await?;
        let (mut pages, assertion) = prove_twice(&agent, &server.address).await?;
        pages.push(agent.get(&client.authorization(None).url(&server.address)).await?);
        assert!(pages[2].text.contains("name=\"identifier\""), "{:?}", pages[2]);
        let authorization = client.authorization(Some(HANDLE));
        let to_upstream = agent.set_out(&authorization.url(&server.address)).await?.location()?;
        let callback = upstream.approve(&to_upstream).await?;
        let consent = agent.get(&callback).await?.location()?;
        pages.push(agent.get(&consent).await?);
        assert!(pages[3].text.contains("decision"), "{:?}", pages[3]);
        let answer = decide(&agent, &consent, "allow").await?;
        let code = answer.redirect_param("code").unwrap();
        let wrong = agent
            .post(
                &format!("{}/oauth/token", server.address),
                &[
                    ("client_secret", "canary-wrong-secret"),
                    ("client_id", &*client.client_id),
                    ("grant_type", "refresh_token"),
                ],
            )
            .await?;
        let first = Tokens::read(&client.redeem(&agent, &code, &authorization.verifier).await?)?;
        let second = Tokens::read(&client.refresh(&agent, &first.refresh_token).await?)?;
        let request = agent.request("POST".parse()?, &format!("{}/api/session/refresh", server.address));
        let refreshed = agent.send(request.bearer_auth(&second.access_token)).await?;
        assert_eq!(refreshed.json()["head_iteration"], 2);
        let relayed = format!("{}/xrpc/com.atproto.server.getSession?canary-query", server.address);
        let relayed = agent.get_with(&relayed, &second.access_token).await?;
        assert_eq!(relayed.json()["ok"], true, "{relayed:?}");
        let replay = agent.get(&callback).await?;
        assert!(replay.text.contains("nonce_invalid_or_reused"), "{replay:?}");
        pages.extend([wrong, replay, refreshed, relayed]);
        pages.push(agent.get(&server.metrics_url()?).await?);
        assert!(pages[8].text.contains("causeway_upstream_refreshes_total"), "{:?}", pages[8]);
        while hook.told().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }

        let param = |url: &str, name: &str| {
            let url = url::Url::parse(url).ok()?;
            url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let mut secrets = vec![
            ("client secret", client.client_secret.clone().unwrap()),
            ("wrong secret", "canary-wrong-secret".to_owned()),
            ("code", code),
            ("verifier", authorization.verifier.expose().to_owned()),
            ("access token", first.access_token),
            ("refresh token", first.refresh_token),
            ("next access token", second.access_token),
            ("next refresh token", second.refresh_token),
            ("upstream code", param(&callback, "code").unwrap()),
            ("query of a call", "canary-query".to_owned()),
            ("key of the collector", "canary-collector-key".to_owned()),
            ("browser cookie", agent.cookie("causeway").unwrap()),
            ("proof of a key", assertion.rsplit('.').next().unwrap().to_owned()),
            ("secret of a webhook", webhook_secret.rsplit('_').next().unwrap().to_owned()),
        ];
        secrets.extend(upstream.secrets().into_iter().map(|secret| ("upstream secret", secret)));
        assert!(secrets.len() > 20, "every kind of secret was seen");

        let log = server.log()?;
        for part in ["TRACE", "code exchanged for tokens", "token response received"] {
            assert!(log.contains(part), "the log is whole: {part}");
        }
        let dump = database.store().await.read(testing::dump_text).await?;
        assert!(dump.contains(&client.client_id), "the dump is whole");
        let relayed_too = |spans: &[SeenSpan]| spans.iter().any(|span| span.name == "GET /xrpc/{nsid}");
        collector.until(relayed_too).await?;
        let traces = String::from_utf8_lossy(&collector.bytes()).into_owned();
        assert!(traces.contains("atproto.token.exchange") && traces.contains("flow.redeem"), "the traces are whole");
        for account in [HANDLE, DID] {
            assert!(!traces.contains(account), "{account} in the traces");
        }
        for (name, secret) in &secrets {
            assert!(!traces.contains(secret.as_str()), "{name} in the traces");
            assert!(!log.contains(secret.as_str()), "{name} in the log: {}", line_with(&log, secret));
            assert!(!dump.contains(secret.as_str()), "{name} in the database");
            for page in &pages {
                assert!(!page.text.contains(secret.as_str()), "{name} in an answer: {page:?}");
            }
        }
        Ok(())
    }
}

fn line_with<'a>(log: &'a str, secret: &str) -> &'a str {
    log.lines().find(|line| line.contains(secret)).unwrap_or_default()
}
