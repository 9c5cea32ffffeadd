//! Listings of an authorization, and when they count; and its events, in whatever tenant it happens.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use causeway_flow::operations::events::{deliver_due, new_secret};
use causeway_store::connections::credentials::{CredentialFilter, list_credentials};
use causeway_store::events::Webhook;
use causeway_store::{PageRequest, StoreError, TenantScope};
use causeway_testkit::{Agent, Fault, Hook, ManagedPage};
use causeway_types::{CredentialKind, Secret, SystemRng, TenantId, UpstreamSessionId};
use serde_json::{Value, json};

use super::events::{read_at, subscribe_at};
use crate::support::connecting::Connecting;
use crate::support::on_each_database;

/// The managed accounts of a connection, by the provider's identifier.
async fn accounts(scene: &Connecting, id: &str) -> Result<BTreeMap<String, Value>> {
    let shown = scene.shown(id).await?.json();
    let listed = shown["managed_accounts"].as_array().context("managed_accounts")?.iter();
    Ok(listed.map(|one| (one["subject"].as_str().unwrap().to_owned(), one.clone())).collect())
}

/// Number of live credentials of pages at a connection.
async fn page_credentials(scene: &Connecting, id: &str) -> Result<usize> {
    let filter = CredentialFilter { session_id: Some(UpstreamSessionId::new(id)), deleted: false };
    let list = move |scope: &mut TenantScope<'_>| {
        list_credentials(scope, &filter, &PageRequest { after: None, limit: 100 })
    };
    let store = scene.app.store().in_tenant(&TenantId::default_tenant());
    let listed = store.read::<_, StoreError, _>(list).await?;
    Ok(listed.items.iter().filter(|record| record.owner.kind() == CredentialKind::Page).count())
}

on_each_database! {
    /// A client gets the events of every tenant that it acts in, by its stream and by its webhook, and each names its tenant.
    async fn events_of_each_tenant_reach_its_client(database) {
        let mut scene = Connecting::set(database).await?;
        let hook = Hook::start()?;
        let webhook = Webhook { url: hook.url.clone(), secret: Secret::new(new_secret(&SystemRng).expose()) };
        subscribe_at(&scene.app, &scene.client, Some(webhook)).await?;
        scene.connect().await?;
        scene.enter("globex").await?;
        let id = scene.connect().await?;
        let request = scene.ask("DELETE", &format!("/api/connections/{id}"));
        assert_eq!(scene.agent.send(request).await?.status, 204);
        let told = read_at(&scene.app, &scene.agent, &scene.client, "0", 5).await?;
        let told: Vec<_> = told.iter().map(|(name, data)| (name.as_str(), data["tenant_id"].as_str())).collect();
        let (home, globex) = (Some("default"), Some("globex"));
        assert_eq!(
            told,
            [("started", home), ("completed", home), ("started", globex), ("completed", globex), ("ended", globex)]
        );
        while hook.told().len() < 5 {
            deliver_due(&scene.app.ctx).await?;
        }
        let tenants = hook.told().into_iter().map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            body["tenant_id"].as_str().unwrap().to_owned()
        });
        assert_eq!(tenants.filter(|tenant| tenant == "globex").count(), 3);
        Ok(())
    }

    /// A listing changes nothing before it is confirmed, and nothing at all when nobody confirms it. Once
    /// it is confirmed, accounts that a complete listing missed are unavailable, each with an event.
    async fn a_listing_counts_once_it_is_confirmed(database) {
        let scene = Connecting::set(database).await?;
        let id = scene.connect().await?;
        let before = accounts(&scene, &id).await?;
        assert_eq!(before.len(), 5);
        scene.app.clock.advance(10);
        scene.provider.script(|script| {
            script.pages.retain(|page| page.id != "page-2");
            script.pages.push(ManagedPage { id: "page-9".to_owned(), tasks: Some(json!(["MANAGE"])) });
            script.pages[0].tasks = Some(json!(["ANALYZE"]));
        });
        let again = json!({"connection_id": id});
        for more in [again.clone(), json!({})] {
            let (_, url) = scene.open(more).await?;
            scene.run(&Agent::default(), &url).await?;
            assert_eq!(accounts(&scene, &id).await?, before, "not confirmed");
        }
        scene.app.clock.advance(1000);
        scene.upkeep().await?;
        assert_eq!(accounts(&scene, &id).await?, before, "nobody confirmed it");

        subscribe_at(&scene.app, &scene.client, None).await?;
        let (_, url) = scene.open(again).await?;
        let back = scene.run(&Agent::default(), &url).await?;
        assert_eq!(scene.confirm(&back, "17").await?.status, 200);
        let after = accounts(&scene, &id).await?;
        assert_eq!(after.len(), 6);
        assert_eq!(after["page-1"]["tasks"], json!(["ANALYZE"]));
        assert_eq!(after["page-2"]["managed_account_id"], before["page-2"]["managed_account_id"], "as the same row");
        let unavailable: Vec<_> =
            after.iter().filter(|(_, one)| !one["unavailable_at"].is_null()).map(|(subject, _)| subject.as_str()).collect();
        assert_eq!(unavailable, ["page-2"]);
        let told = read_at(&scene.app, &scene.agent, &scene.client, "0", 3).await?;
        let told = told.iter().find(|(name, _)| name == "account_unavailable").context("the event")?;
        assert_eq!((&told.1["managed_account_id"], &told.1["connection_id"]), (&before["page-2"]["managed_account_id"], &json!(id)));
        assert_eq!(page_credentials(&scene, &id).await?, 6);
        Ok(())
    }

    /// A connection that takes the place of another one keeps the credentials of pages that its own listing did not reach:
    /// they belong to it from then on.
    async fn pages_outlive_a_partial_listing(database) {
        let scene = Connecting::set(database).await?;
        let id = scene.connect().await?;
        let tokens: Vec<_> =
            scene.provider.secrets().into_iter().filter(|secret| secret.starts_with("page-token-")).collect();
        assert_eq!((tokens.len(), page_credentials(&scene, &id).await?), (5, 5));
        scene.app.clock.advance(10);
        scene.provider.script(|script| script.page = Some((2, Fault::Status(503))));
        let new = scene.connect().await?;
        assert_ne!(new, id);
        scene.app.ctx.settle().await;
        scene.upkeep().await?;
        assert_eq!((page_credentials(&scene, &id).await?, page_credentials(&scene, &new).await?), (0, 5));
        let shown = accounts(&scene, &new).await?;
        assert!(shown.len() == 5 && shown.values().all(|one| one["unavailable_at"].is_null()), "{shown:?}");
        assert!(tokens[2..].iter().all(|token| scene.provider.takes(token)));
        Ok(())
    }
}
