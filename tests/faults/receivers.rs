//! Clients whose webhook receivers never respond delay only themselves.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_flow::logout::backchannel;
use causeway_flow::operations::deliveries::{Outcome, Queues};
use causeway_flow::operations::events as flow_events;
use causeway_flow::operations::events::new_secret;
use causeway_flow::operations::stats;
use causeway_store::events::{EventKind, Webhook, note_sign_in};
use causeway_store::operations::admin;
use causeway_store::{PageRequest, StoreError};
use causeway_testkit::{
    Agent, DocumentServer, Environment, Hook, OauthClient, ScriptedUpstream, TestApp, TestDatabase,
};
use causeway_types::{ClientId, Secret, SystemRng, TenantId};
use serde_json::json;

use crate::conformance::events::subscribe;
use crate::support::{DID, HANDLE, Scene, on_each_database};

/// Takes connections and never says anything.
struct Silent(TcpListener);

impl Silent {
    fn start() -> Result<Self> {
        Ok(Self(TcpListener::bind("127.0.0.1:0")?))
    }

    fn url(&self) -> Result<String> {
        Ok(format!("http://{}/", self.0.local_addr()?))
    }
}

/// A server that waits for answers for as long as it does in earnest.
async fn with_patient_receiver(database: &TestDatabase) -> Result<Scene> {
    let upstream = ScriptedUpstream::start(HANDLE, DID)?;
    let environment = Environment { timeout: Duration::from_secs(10), ..upstream.environment() };
    let app = TestApp::start(database, &environment).await?;
    let agent = Agent::default();
    let client = app.client(&agent).await?;
    Ok(Scene { app, upstream, agent, client })
}

/// Waits until it holds, for two seconds.
async fn soon(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > Duration::from_secs(2) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// Number of events delivered to a client so far.
fn delivered(queues: &Queues, client_id: &ClientId) -> u64 {
    let counts = queues.counts();
    let own = counts.iter().find(|(id, _)| id == client_id.as_str());
    own.map_or(0, |(_, counts)| counts[Outcome::Delivered as usize])
}

on_each_database! {
    /// A hundred events wait for a receiver that never responds, written before those of another client: the
    /// latter arrive within two seconds, at any polling interval, and pending events are counted by client.
    async fn a_webhook_delays_its_own_client_alone(database) {
        let scene = with_patient_receiver(database).await?;
        let (silent, hook) = (Silent::start()?, Hook::start()?);
        let mut clients = Vec::new();
        for url in [silent.url()?, hook.url.clone()] {
            let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_basic").await?;
            let secret = Secret::new(new_secret(&SystemRng).expose());
            subscribe(&scene, &client, Some(Webhook { url, secret })).await?;
            clients.push(ClientId::new(&*client.client_id));
        }
        let note = async |client_id: &ClientId, count: usize| {
            let (id, now) = (client_id.clone(), scene.app.ctx.now());
            let write = move |c: &mut _| {
                (0..count).try_for_each(|_| note_sign_in(c, &id, None, EventKind::Started, now))
            };
            scene.app.store().write::<_, StoreError, _>(write).await
        };
        note(&clients[0], 100).await?;
        let mut queues = flow_events::start_due(&scene.app.ctx).await?;
        for round in 1..=3 {
            note(&clients[1], 1).await?;
            queues.extend(flow_events::start_due(&scene.app.ctx).await?);
            assert!(soon(|| hook.told().len() == round).await, "round {round}: {}", hook.told().len());
        }
        assert!(soon(|| delivered(scene.app.ctx.webhooks(), &clients[1]) == 3).await);
        let backlogs = stats::backlogs(&scene.app.ctx).await?;
        let waiting: Vec<_> = backlogs.webhooks.iter().map(|of| (&*of.client_id, of.waiting)).collect();
        assert_eq!(waiting, [(clients[0].as_str(), 100)]);
        scene.app.ctx.lifecycle().stop();
        drop(silent);
        for queue in queues {
            queue.await?;
        }
        Ok(())
    }

    /// The same for logout tokens.
    async fn a_logout_receiver_delays_its_own_client_alone(database) {
        let mut scene = with_patient_receiver(database).await?;
        let (silent, server) = (Silent::start()?, DocumentServer::start()?);
        let mut ids = Vec::new();
        for uri in [silent.url()?, format!("{}/out", server.origin)] {
            let metadata = json!({"token_endpoint_auth_method": "none", "backchannel_logout_uri": uri});
            let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
            scene.client = OauthClient { scope: "openid atproto".to_owned(), ..client };
            for _ in 0..if ids.is_empty() { 3 } else { 1 } {
                let browser = Agent::default();
                scene.client.sign_in(&browser, &scene.upstream, HANDLE).await?;
            }
            ids.push(ClientId::new(&*scene.client.client_id));
        }
        let mut queues = Vec::new();
        for id in ids.clone() {
            let wanted = admin::SessionFilter { client_id: Some(id), ..admin::SessionFilter::default() };
            let now = scene.app.ctx.now();
            let end = move |c: &mut _| admin::end_sessions(c, &TenantId::default_tenant(), &wanted, &PageRequest::first(10), now);
            scene.app.store().write::<_, StoreError, _>(end).await?;
            queues.extend(backchannel::start_due(&scene.app.ctx).await?);
        }
        assert!(soon(|| server.posts().len() == 1).await, "{:?}", server.posts());
        assert!(soon(|| delivered(scene.app.ctx.logout_notices(), &ids[1]) == 1).await);
        let backlogs = stats::backlogs(&scene.app.ctx).await?;
        assert_eq!(backlogs.logouts.iter().map(|of| of.waiting).collect::<Vec<_>>(), [3]);
        scene.app.ctx.lifecycle().stop();
        drop(silent);
        for queue in queues {
            queue.await?;
        }
        Ok(())
    }
}
