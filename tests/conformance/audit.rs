//! What is written down with what happens.

use causeway_domain::TenantId;
use causeway_store::StoreError;
use causeway_store::audit::{AuditEvent, AuditFilter, list_audit_events};
use causeway_testkit::{Fault, Person as _, TestApp, Tokens, decide};

use crate::support::{DID, HANDLE, Scene, on_each_database};

/// Every act, the first one first.
async fn acts(app: &TestApp) -> anyhow::Result<Vec<AuditEvent>> {
    let tenant = TenantId::default_tenant();
    let mut acts = app
        .store()
        .read::<_, StoreError, _>(move |c| list_audit_events(c, &tenant, &AuditFilter::default(), 1000))
        .await?;
    acts.reverse();
    Ok(acts)
}

fn names(acts: &[AuditEvent]) -> Vec<String> {
    acts.iter().map(|act| format!("{} {} {}", act.actor.as_str(), act.event, act.outcome)).collect()
}

on_each_database! {
    /// From registration to revocation: who, about whom, by which request and from where.
    async fn a_sign_in_and_its_end(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let session = scene.session_id(&tokens).await?;
        let form = [("client_id", &*scene.client.client_id), ("token", &*tokens.refresh_token)];
        let revoked = scene.agent.post(&scene.app.at("/oauth/revoke"), &form).await?;
        let acts = acts(&scene.app).await?;
        assert_eq!(
            names(&acts),
            ["client client_registered ok", "person sign_in ok", "person consent granted", "client revocation ok"]
        );
        for act in &acts {
            assert_eq!(act.client_id.as_ref().unwrap().as_str(), scene.client.client_id, "{act:?}");
            assert_eq!(act.address.as_deref(), Some("127.0.0.1"), "{act:?}");
            assert!(act.request_id.is_some(), "{act:?}");
        }
        for act in &acts[1..] {
            assert_eq!(act.did.as_ref().unwrap().as_str(), DID, "{act:?}");
            assert_eq!(act.session_id.as_ref().unwrap().as_str(), session, "{act:?}");
            assert!(act.correlation_id.is_some() && act.correlation_id == acts[1].correlation_id, "{act:?}");
        }
        assert_eq!(acts[3].request_id.as_deref(), Some(revoked.header("x-request-id")));
        assert_eq!(acts[2].details["scope"], "atproto transition:generic");
        Ok(())
    }

    /// What was refused, reused or failed is there; what fails as a whole leaves nothing.
    async fn refusals_reuse_and_failures(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let to_upstream = scene.agent.get(&authorization.url(&scene.app.issuer)).await?.location()?;
        let callback = scene.upstream.approve(&to_upstream).await?;
        let consent = scene.agent.get(&callback).await?.location()?;
        decide(&scene.agent, &consent, "deny").await?;
        let again = scene.agent.get(&callback).await?;
        assert_eq!(again.status, 400, "a callback works once: {again:?}");
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let second = Tokens::read(&scene.client.refresh(&scene.agent, &first.refresh_token).await?)?;
        Tokens::read(&scene.client.refresh(&scene.agent, &second.refresh_token).await?)?;
        scene.app.clock.advance(60);
        scene.client.refresh(&scene.agent, &first.refresh_token).await?;
        assert_eq!(
            names(&acts(&scene.app).await?)[1..],
            [
                "person sign_in ok",
                "person consent denied",
                "person sign_in ok",
                "person consent granted",
                "client refresh_token_reuse revoked",
            ]
        );
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let refresh = || {
            let request = scene.agent.request("POST".parse().unwrap(), &scene.app.at("/api/session/refresh"));
            scene.agent.send(request.bearer_auth(&tokens.access_token))
        };
        scene.upstream.script(|script| script.token = Fault::Status(503));
        assert_eq!(refresh().await?.status, 503);
        assert_eq!(names(&acts(&scene.app).await?).last().unwrap(), "server refresh failed");
        Ok(())
    }

    /// An act stays for as long as the operator wants.
    async fn old_acts_go(database) {
        let scene = Scene::set(database).await?;
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.app.clock.advance(90 * 86_400 - 60);
        scene.upkeep().await?;
        assert_eq!(acts(&scene.app).await?.len(), 3);
        scene.app.clock.advance(120);
        scene.upkeep().await?;
        assert_eq!(names(&acts(&scene.app).await?), [] as [&str; 0]);
        Ok(())
    }
}
