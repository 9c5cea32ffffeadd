//! Streams of events: what they cost, how many there are, when they end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_flow::client::authenticated::{AuthenticatedClient, identify};
use causeway_flow::client::authentication::{ClientProof, Credentials};
use causeway_flow::operations::events::{PER_CLIENT, PER_PROCESS, listen};
use causeway_flow::resource::dpop::ProofRequest;
use causeway_store::StoreError;
use causeway_store::events::{EventKind, note_sign_in};
use causeway_testkit::{Agent, OauthClient, Response};
use causeway_types::{ClientId, PlainToken};

use super::events::subscribe;
use crate::support::{Scene, on_each_database};

/// A stream as its client reads it.
struct Stream(Response);

impl Stream {
    async fn open(scene: &Scene, client: &OauthClient) -> Result<Self> {
        let response = ask(scene, client).await?;
        anyhow::ensure!(response.status() == 200, "{}", response.status());
        Ok(Self(response))
    }

    /// The next part; `None`: it has ended.
    async fn next(&mut self) -> Result<Option<String>> {
        let chunk =
            tokio::time::timeout(Duration::from_secs(8), self.0.chunk()).await.context("silent")??;
        Ok(chunk.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()))
    }
}

/// Asks for a stream, on a connection of its own.
async fn ask(scene: &Scene, client: &OauthClient) -> Result<Response> {
    let request = Agent::default().request("GET".parse()?, &scene.app.at("/api/events"));
    Ok(request.basic_auth(&client.client_id, client.client_secret.clone()).send().await?)
}

/// The client behind a request, without one.
async fn authenticated(scene: &Scene, client: &OauthClient) -> Result<AuthenticatedClient> {
    let secret = PlainToken::presented(client.client_secret.as_deref().unwrap_or_default());
    let credentials = Credentials {
        client_id: Some(ClientId::new(&*client.client_id)),
        proof: ClientProof::Basic(secret),
        address: None,
    };
    Ok(identify(&scene.app.ctx, &credentials, &ProofRequest::default()).await?)
}

async fn subscribed(scene: &Scene) -> Result<OauthClient> {
    let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_basic").await?;
    subscribe(scene, &client, None).await?;
    Ok(client)
}

async fn happen(scene: &Scene, client: &OauthClient) -> Result<()> {
    let (id, now) = (ClientId::new(&*client.client_id), scene.app.ctx.now());
    let write = move |c: &mut _| note_sign_in(c, &id, None, EventKind::Started, now);
    Ok(scene.app.store().write::<_, StoreError, _>(write).await?)
}

on_each_database! {
    /// The process polls for events once a second for all streams: streams without new events cause no reads.
    async fn idle_streams_cost_nothing(database) {
        let scene = Scene::set(database).await?;
        let (idle, busy) = (subscribed(&scene).await?, subscribed(&scene).await?);
        let mut streams = Vec::new();
        for _ in 0..10 {
            streams.push(Stream::open(&scene, &idle).await?);
        }
        let mut told = Stream::open(&scene, &busy).await?;
        happen(&scene, &busy).await?;
        told.next().await?.context("an event")?;
        let before = scene.app.store().stats().reads;
        for _ in 0..3 {
            happen(&scene, &busy).await?;
            told.next().await?.context("an event")?;
        }
        let reads = scene.app.store().stats().reads - before;
        assert!(reads <= 15, "{reads} reads in which three events were told to one of eleven streams");
        for stream in &mut streams {
            happen(&scene, &idle).await?;
            assert!(stream.next().await?.context("an event")?.contains("event: started"));
        }
        Ok(())
    }

    /// A further stream takes the place of the oldest of its client; others keep theirs.
    async fn a_client_has_so_many(database) {
        let scene = Scene::set(database).await?;
        let (greedy, other) = (subscribed(&scene).await?, subscribed(&scene).await?);
        let mut others = Stream::open(&scene, &other).await?;
        let mut streams = Vec::new();
        for _ in 0..=PER_CLIENT {
            streams.push(Stream::open(&scene, &greedy).await?);
        }
        assert_eq!(streams[0].next().await?, None, "the oldest has ended");
        assert_eq!(scene.app.ctx.open_streams(), PER_CLIENT + 1);
        happen(&scene, &greedy).await?;
        happen(&scene, &other).await?;
        for stream in &mut streams[1..] {
            assert!(stream.next().await?.context("an event")?.contains("started"));
        }
        assert!(others.next().await?.context("an event")?.contains("started"));
        let witness = subscribed(&scene).await?;
        let mut witnessed = Stream::open(&scene, &witness).await?;
        drop((streams, others));
        // The server notices with what it has to say next, and says it to all streams in the same round.
        let left = async {
            while scene.app.ctx.open_streams() > 1 {
                for client in [&greedy, &other, &witness] {
                    happen(&scene, client).await?;
                }
                witnessed.next().await?.context("an event")?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(20), left).await??;
        Ok(())
    }

    /// The process serves so many streams. One more is refused until one of them ends; a client that has its share may
    /// still replace one of its own.
    async fn a_process_has_so_many(database) {
        let scene = Scene::set(database).await?;
        let mut listeners = VecDeque::new();
        let mut clients = Vec::new();
        for _ in 0..PER_PROCESS / PER_CLIENT {
            let client = subscribed(&scene).await?;
            let caller = authenticated(&scene, &client).await?;
            for _ in 0..PER_CLIENT {
                listeners.push_back(listen(&scene.app.ctx, &caller, None).await?);
            }
            clients.push(client);
        }
        assert_eq!(scene.app.ctx.open_streams(), PER_PROCESS);
        let late = subscribed(&scene).await?;
        let refused = ask(&scene, &late).await?;
        assert_eq!(refused.status(), 503);
        let retry_after = refused.headers().get("retry-after").cloned();
        let body = refused.json::<serde_json::Value>().await?;
        assert_eq!(body["error"], "temporarily_unavailable", "{body}");
        assert!(retry_after.is_some() && body["error_description"].as_str().unwrap().contains("too many event streams"), "{body}");
        let mut own = Stream::open(&scene, &clients[0]).await?;
        assert_eq!(scene.app.ctx.open_streams(), PER_PROCESS, "it took the place of an older one");
        happen(&scene, &clients[0]).await?;
        assert!(own.next().await?.context("an event")?.contains("started"));
        assert_eq!(ask(&scene, &late).await?.status(), 503);
        listeners.pop_back();
        let mut last = Stream::open(&scene, &late).await?;
        happen(&scene, &late).await?;
        assert!(last.next().await?.context("an event")?.contains("started"));
        assert_eq!(ask(&scene, &late).await?.status(), 503);
        Ok(())
    }

    /// Streams end with the subscription, and at once when the server stops, which then has nothing to wait for.
    async fn streams_end(database) {
        let scene = Scene::set(database).await?;
        let client = subscribed(&scene).await?;
        let mut stream = Stream::open(&scene, &client).await?;
        let id = ClientId::new(&*client.client_id);
        let unsubscribe = move |c: &mut _| {
            causeway_store::events::unsubscribe(c, &causeway_types::TenantId::default_tenant(), &id)
        };
        assert!(scene.app.store().write::<_, StoreError, _>(unsubscribe).await?);
        assert_eq!(stream.next().await?, None);
        subscribe(&scene, &client, None).await?;
        let mut stream = Stream::open(&scene, &client).await?;
        let (begun, lifecycle) = (Instant::now(), scene.app.ctx.clone());
        lifecycle.lifecycle().stop();
        assert_eq!(stream.next().await?, None);
        assert_eq!(scene.agent.get(&scene.app.at("/readyz")).await?.refusal(), "503 temporarily_unavailable");
        drop(stream);
        scene.app.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        Ok(())
    }
}
