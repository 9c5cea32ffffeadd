//! Registrations that the server makes itself, at a provider that takes them.

use anyhow::Result;
use causeway_domain::session::SessionHead;
use causeway_flow::upstream::keeper;
use causeway_flow::upstream::session::SessionError;
use causeway_store::connections::{heads, registrations};
use causeway_store::{PageRequest, StoreError, TenantScope};
use causeway_testkit::{Agent, Fault};
use causeway_types::{TenantId, UpstreamSessionId};
use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use url::Url;

use crate::support::connecting::{Connecting, PROVIDER, param, press};
use crate::support::on_each_database;

const VERIFIED: &str = "verify_url = \"ORIGIN/apps/verify\"";

/// Our identifier in an authorization request of a new connect session.
async fn leave(scene: &Connecting) -> Result<String> {
    let (_, url) = scene.open(json!({})).await?;
    let to_provider = Url::parse(&scene.leave(&Agent::default(), &url).await?)?;
    Ok(param(&to_provider, "client_id").unwrap_or_default())
}

async fn head(scene: &Connecting, id: &str) -> Result<SessionHead> {
    let id = UpstreamSessionId::new(id);
    let store = scene.app.store().in_tenant(&TenantId::default_tenant());
    let find = move |scope: &mut TenantScope<'_>| heads::find_connection(scope, &id);
    Ok(store.read::<_, StoreError, _>(find).await?.unwrap().head)
}

/// The registrations that are not deleted.
async fn live(scene: &Connecting) -> Result<usize> {
    let store = scene.app.store().in_tenant(&TenantId::default_tenant());
    let list = |scope: &mut TenantScope<'_>| {
        registrations::list_registrations(scope, &PageRequest { after: None, limit: 100 })
    };
    Ok(store.read::<_, StoreError, _>(list).await?.items.len())
}

on_each_database! {
    /// Fifty users leave for a provider at which nobody is registered yet, from two servers: one registration is made, and
    /// serves all. A failure is told, and keeps nobody from the next try.
    async fn fifty_users_make_one_registration(database) {
        let scene = Connecting::registering(database, "").await?;
        let beside = scene.beside(database).await?;
        scene.provider.script(|script| script.register = Fault::Status(503));
        let (_, url) = scene.open(json!({})).await?;
        let refused = join_all((0..5).map(|_| async {
            let agent = Agent::default();
            press(&agent, &url, &[("provider", PROVIDER)]).await.map(|page| page.status)
        }));
        for status in refused.await {
            assert_eq!(status?, 502);
        }
        scene.provider.script(|script| script.register = Fault::None);
        let before = scene.provider.registrations();
        let mut links = Vec::new();
        for number in 0..50 {
            let (_, url) = scene.open(json!({"user_id": number.to_string()})).await?;
            links.push(if number % 2 == 0 { url } else { url.replace(&scene.app.issuer, &beside.at("")) });
        }
        let ids = try_join_all(links.iter().map(|url| async {
            let to_provider = Url::parse(&scene.leave(&Agent::default(), url).await?)?;
            anyhow::Ok(param(&to_provider, "client_id"))
        }));
        let ids = ids.await?;
        assert_eq!((scene.provider.registrations() - before, live(&scene).await?), (1, 1));
        assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        Ok(())
    }

    /// An instance is asked whether it knows our app before the browser leaves: one that it deleted is registered anew, and
    /// one that gives no answer changes nothing. The old registration stays for its connections, and goes with them.
    async fn an_app_that_its_instance_deleted_is_registered_anew(database) {
        let scene = Connecting::registering(database, VERIFIED).await?;
        let id = scene.connect().await?;
        let first = leave(&scene).await?;
        assert_eq!(scene.provider.verifications(), 0, "it was registered just now");
        scene.app.clock.advance(3601);
        assert_eq!((leave(&scene).await?, scene.provider.verifications()), (first.clone(), 1));
        scene.app.clock.advance(3601);
        scene.provider.script(|script| script.token = Fault::Status(503));
        assert_eq!(leave(&scene).await?, first);
        scene.provider.script(|script| script.token = Fault::None);
        scene.provider.delete_apps();
        let second = leave(&scene).await?;
        assert_ne!(second, first);
        assert_eq!((leave(&scene).await?, scene.provider.registrations()), (second.clone(), 2));

        scene.app.clock.advance(90_000);
        scene.upkeep().await?;
        assert_eq!(live(&scene).await?, 2, "a connection lives of the first one");
        let request = scene.ask("DELETE", &format!("/api/connections/{id}"));
        assert_eq!(scene.agent.send(request).await?.status, 204);
        scene.app.ctx.settle().await;
        scene.upkeep().await?;
        assert_eq!(live(&scene).await?, 1);
        Ok(())
    }

    /// An issuer that says twice, ten minutes apart, that it does not know us, gets a new registration with the next
    /// authorization; connections stay.
    async fn a_client_that_is_unknown_twice_is_registered_anew(database) {
        let scene = Connecting::registering(database, "").await?;
        let id = scene.connect().await?;
        let first = leave(&scene).await?;
        scene.provider.delete_apps();
        for (seconds, is_same) in [(4000, true), (500, true), (700, false)] {
            scene.app.clock.advance(seconds);
            let asked = scene.provider.requests().len();
            let used = keeper::use_session(&scene.app.ctx, &head(&scene, &id).await?).await;
            assert!(matches!(used, Err(SessionError::Unavailable { .. })), "{used:?}");
            assert_eq!(scene.provider.requests().len(), asked + 1, "after {seconds}");
            assert_eq!(leave(&scene).await? == first, is_same, "after {seconds}");
        }
        assert_eq!(scene.shown(&id).await?.json()["state"], "active");
        assert_eq!(scene.provider.registrations(), 2);
        Ok(())
    }
}
