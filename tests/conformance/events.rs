//! Clients are notified of events of their sign-ins and sessions.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_flow::operations::events::{deliver_due, new_secret};
use causeway_jose::hmac_sha256;
use causeway_store::StoreError;
use causeway_store::events::{self, Webhook};
use causeway_testkit::{Agent, Hook, OauthClient, TestApp, User as _, decide};
use causeway_types::{ClientId, Secret, SystemRng, TenantId};
use serde_json::Value;

use crate::support::{DID, HANDLE, Scene, count, on_each_database};

pub(crate) async fn subscribe(
    scene: &Scene,
    client: &OauthClient,
    webhook: Option<Webhook>,
) -> anyhow::Result<()> {
    subscribe_at(&scene.app, client, webhook).await
}

/// The same, at a server.
pub(crate) async fn subscribe_at(
    app: &TestApp,
    client: &OauthClient,
    webhook: Option<Webhook>,
) -> anyhow::Result<()> {
    let (ring, now) = (app.ring.clone(), app.ctx.now());
    let client_id = ClientId::new(&*client.client_id);
    let done = app
        .store()
        .write::<_, StoreError, _>(move |c| {
            events::subscribe(c, &ring, &TenantId::default_tenant(), &client_id, webhook.as_ref(), now)
        })
        .await?;
    anyhow::ensure!(done, "no such client");
    Ok(())
}

/// The events that a client reads after `last`, until there are `wanted`.
async fn read(
    scene: &Scene,
    client: &OauthClient,
    last: &str,
    wanted: usize,
) -> anyhow::Result<Vec<(String, Value)>> {
    read_at(&scene.app, &scene.agent, client, last, wanted).await
}

/// The same, at a server.
pub(crate) async fn read_at(
    app: &TestApp,
    agent: &Agent,
    client: &OauthClient,
    last: &str,
    wanted: usize,
) -> anyhow::Result<Vec<(String, Value)>> {
    let request = agent.request("GET".parse()?, &app.at("/api/events"));
    let secret = client.client_secret.clone();
    let request = request.basic_auth(&client.client_id, secret).header("last-event-id", last);
    let mut response = request.send().await?;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while text.matches("\n\n").count() < wanted {
        let chunk = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await??;
        text.push_str(std::str::from_utf8(&chunk.ok_or_else(|| anyhow::anyhow!("it ended: {text}"))?)?);
    }
    let events = text.split("\n\n").filter(|event| !event.is_empty()).map(|event| {
        let line = |name: &str| {
            event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let data: Value = serde_json::from_str(&line("data: ")).unwrap_or_default();
        assert_eq!(line("id: "), data["id"].to_string());
        (line("event: "), data)
    });
    Ok(events.collect())
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

on_each_database! {
    /// From the start of a sign-in to the end of its session, for the client that owns it and no other; who
    /// comes back goes on where it was.
    async fn a_session_is_followed(database) {
        let scene = Scene::set(database).await?;
        let own = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_basic").await?;
        let other = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_basic").await?;
        subscribe(&scene, &own, None).await?;
        subscribe(&scene, &other, None).await?;
        let tokens = own.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let session = scene.session_id(&tokens).await?;
        let refresh = scene.agent.request("POST".parse()?, &scene.app.at("/api/session/refresh"));
        assert_eq!(scene.agent.send(refresh.bearer_auth(&tokens.access_token)).await?.status, 200);
        let revoked = own.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        assert_eq!(revoked.status, 200);

        let all = read(&scene, &own, "0", 4).await?;
        assert_eq!(names(&all), ["started", "completed", "refreshed", "ended"]);
        for (_, data) in &all {
            assert_eq!(data["correlation_id"], all[0].1["correlation_id"], "{data}");
            assert!(data["correlation_id"].is_string(), "{data}");
        }
        for (_, data) in &all[1..] {
            assert_eq!((&data["session_id"], &data["sub"]), (&session.clone().into(), &DID.into()), "{data}");
            assert_eq!(data["session_kind"], "device");
        }
        assert_eq!(all[2].1["session_iteration"], 2);
        let rest = read(&scene, &own, &all[1].1["id"].to_string(), 2).await?;
        assert_eq!(rest, all[2..]);
        // Nothing of it is the other one's: what that reads first is its own.
        let authorization = other.authorization(Some(HANDLE));
        let away = scene.agent.set_out(&authorization.url(&scene.app.issuer)).await?.location()?;
        let callback = scene.upstream.approve(&away).await?;
        decide(&scene.agent, &scene.agent.get(&callback).await?.location()?, "deny").await?;
        assert_eq!(names(&read(&scene, &other, "0", 2).await?), ["started", "failed"]);
        // Somebody who never comes back, and somebody who comes back and never decides.
        let last = read(&scene, &other, "0", 2).await?[1].1["id"].to_string();
        scene.agent.set_out(&authorization.url(&scene.app.issuer)).await?.location()?;
        let away = scene.agent.set_out(&authorization.url(&scene.app.issuer)).await?.location()?;
        scene.agent.get(&scene.upstream.approve(&away).await?).await?.location()?;
        scene.app.clock.advance(900);
        scene.upkeep().await?;
        let given_up = read(&scene, &other, &last, 4).await?;
        assert_eq!(names(&given_up), ["started", "started", "failed", "failed"]);
        let of = |index: usize| &given_up[index].1["correlation_id"];
        assert!((of(0), of(1)) == (of(2), of(3)) || (of(0), of(1)) == (of(3), of(2)), "{given_up:?}");
        assert_eq!(names(&read(&scene, &own, "0", 4).await?), names(&all), "what was decided has not failed");
        Ok(())
    }

    /// Clients that are not subscribed or do not authenticate get no events, and none are stored for them.
    async fn nobody_else_is_told(database) {
        let scene = Scene::set(database).await?;
        let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_basic").await?;
        let url = scene.app.at("/api/events");
        let listen = |user: String, secret: Option<String>| {
            let request = scene.agent.request("GET".parse().unwrap(), &url).basic_auth(user, secret);
            scene.agent.send(request)
        };
        let (id, secret) = (client.client_id.clone(), client.client_secret.clone());
        assert_eq!(listen(id.clone(), secret.clone()).await?.refusal(), "403 unauthorized_client");
        assert_eq!(listen(id.clone(), Some("guess".to_owned())).await?.refusal(), "401 invalid_client");
        subscribe(&scene, &scene.client, None).await?;
        assert_eq!(listen(scene.client.client_id.clone(), None).await?.refusal(), "401 invalid_client");
        let in_query = format!("{url}?client_id={id}&client_secret={}", secret.clone().unwrap());
        assert_eq!(scene.agent.get(&in_query).await?.refusal(), "401 invalid_client");
        subscribe(&scene, &client, None).await?;
        let request = scene.agent.request("GET".parse()?, &url).basic_auth(id, secret);
        let bad = scene.agent.send(request.header("last-event-id", "x")).await?;
        assert_eq!(bad.refusal(), "400 invalid_request");
        let quiet = OauthClient::register(&scene.agent, &scene.app.issuer).await?;
        quiet.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_eq!(count(&scene.app, "event_outbox").await?, 0);
        Ok(())
    }

    /// Requests are signed as Standard Webhooks says, sent again until they are taken, and then no more.
    async fn webhooks(database) {
        let scene = Scene::set(database).await?;
        let hook = Hook::start()?;
        let secret = new_secret(&SystemRng);
        let webhook = Webhook { url: hook.url.clone(), secret: Secret::new(secret.expose()) };
        subscribe(&scene, &scene.client, Some(webhook)).await?;
        hook.answer(500);
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        deliver_due(&scene.app.ctx).await?;
        assert_eq!(hook.told().len(), 2, "started and completed, each once");
        deliver_due(&scene.app.ctx).await?;
        assert_eq!(hook.told().len(), 2, "not before the pause is over");
        hook.answer(204);
        scene.app.clock.advance(10);
        deliver_due(&scene.app.ctx).await?;
        let told = hook.told();
        assert_eq!(told.len(), 4);
        scene.app.clock.advance(86_400);
        deliver_due(&scene.app.ctx).await?;
        assert_eq!(hook.told().len(), 4, "what was taken is not sent again");

        let key = STANDARD.decode(secret.expose().strip_prefix("whsec_").unwrap())?;
        for request in &told {
            let signed = format!("{}.{}.{}", request.id, request.timestamp, request.body);
            let mac = STANDARD.encode(hmac_sha256(&key, signed.as_bytes())?);
            assert_eq!(request.signature, format!("v1,{mac}"));
            let body: Value = serde_json::from_str(&request.body)?;
            assert_eq!(request.id, format!("evt_{}", body["id"]), "the same for each try");
        }
        let names: Vec<String> = told[2..]
            .iter()
            .map(|request| serde_json::from_str::<Value>(&request.body).unwrap()["event"].to_string())
            .collect();
        assert!(names.iter().any(|name| name == "\"completed\""), "{names:?}");
        let dump = scene.app.store().read(causeway_store::testing::dump_text).await?;
        assert!(!dump.contains(secret.expose()), "the secret is encrypted");
        Ok(())
    }
}
