//! The audit log.

use causeway_domain::client::Entitlement;
use causeway_store::operations::audit::{AuditEvent, AuditFilter, list_audit_events};
use causeway_store::testing::refuse_audit_events;
use causeway_store::{PageRequest, StoreError};
use causeway_testkit::{Fault, TestApp, Tokens, User as _, decide};
use causeway_types::TenantId;

use crate::support::{DID, HANDLE, Scene, on_each_database};

/// All audit events, oldest first.
async fn events(app: &TestApp) -> anyhow::Result<Vec<AuditEvent>> {
    let tenant = TenantId::default_tenant();
    let mut events = app
        .store()
        .read::<_, StoreError, _>(move |c| {
            list_audit_events(c, &tenant, &AuditFilter::default(), &PageRequest::first(1000))
        })
        .await?
        .items;
    events.reverse();
    Ok(events)
}

fn names(events: &[AuditEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{} {} {}", event.actor.as_str(), event.event, event.outcome)).collect()
}

on_each_database! {
    /// From registration to revocation: who, about whom, by which request and from where.
    async fn a_sign_in_and_its_end(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let session = scene.session_id(&tokens).await?;
        let form = [("client_id", &*scene.client.client_id), ("token", &*tokens.refresh_token)];
        let revoked = scene.agent.post(&scene.app.at("/oauth/revoke"), &form).await?;
        let events = events(&scene.app).await?;
        assert_eq!(
            names(&events),
            ["client client_registered ok", "user sign_in ok", "user consent granted", "client revocation ok"]
        );
        for event in &events {
            assert_eq!(event.client_id.as_ref().unwrap().as_str(), scene.client.client_id, "{event:?}");
            assert_eq!(event.address.as_deref(), Some("127.0.0.1"), "{event:?}");
            assert!(event.request_id.is_some(), "{event:?}");
        }
        for event in &events[1..] {
            assert_eq!(event.did.as_ref().unwrap().as_str(), DID, "{event:?}");
            assert_eq!(event.session_id.as_ref().unwrap().as_str(), session, "{event:?}");
            assert!(event.correlation_id.is_some() && event.correlation_id == events[1].correlation_id, "{event:?}");
        }
        assert_eq!(events[3].request_id.as_deref(), Some(revoked.header("x-request-id")));
        assert_eq!(events[2].details["scope"], "atproto transition:generic");
        Ok(())
    }

    /// Refusals, reuse and failures are recorded; an operation that fails as a whole leaves no event.
    async fn refusals_reuse_and_failures(database) {
        let scene = Scene::set(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let to_upstream = scene.agent.set_out(&authorization.url(&scene.app.issuer)).await?.location()?;
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
            names(&events(&scene.app).await?)[1..],
            [
                "user sign_in ok",
                "user consent denied",
                "user sign_in ok",
                "user consent granted",
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
        assert_eq!(names(&events(&scene.app).await?).last().unwrap(), "server refresh failed");
        Ok(())
    }

    /// Everything that a client gets from a session without its user: the upstream token, a proof by its key,
    /// an access token of ours. Each is recorded with the session before the response; refusals of malformed
    /// requests are not.
    async fn exports_and_exchanges(database) {
        let scene = Scene::set(database).await?;
        let trusted = scene.client_with_entitlements(&[Entitlement::BackgroundAccess, Entitlement::SessionExport]).await?;
        let tokens = trusted.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let id = scene.session_id(&tokens).await?;
        let known = events(&scene.app).await?.len();
        let path = format!("/api/sessions/{id}");
        let exported = trusted.post(&scene.agent, &path, &[]).await?;
        let htu = format!("{}/xrpc/com.atproto.server.getSession", scene.upstream.origin);
        let proof = [("htm", "GET"), ("htu", &*htu)];
        let signed = trusted.post(&scene.agent, &format!("{path}/dpop-proof"), &proof).await?;
        let refused = trusted.post(&scene.agent, &format!("{path}/dpop-proof"), &[("htm", "GET")]).await?;
        assert_eq!(refused.status, 400, "{refused:?}");
        let exchange = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &*id),
            ("subject_token_type", "urn:causeway:token-type:session"),
            ("scope", "atproto"),
        ];
        let exchanged = trusted.post(&scene.agent, "/oauth/token", &exchange).await?;
        let plain = scene.client_with_entitlements(&[]).await?;
        assert_eq!(plain.post(&scene.agent, &path, &[]).await?.refusal(), "403 unauthorized_client");

        let events = events(&scene.app).await?.split_off(known);
        assert_eq!(
            names(&events),
            [
                "client session_export ok",
                "client proof_signed ok",
                "client token_exchange ok",
                "client client_registered ok",
                "client session_export refused",
            ]
        );
        for (event, answer) in events.iter().zip([&exported, &signed, &exchanged]) {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(event.session_id.as_ref().unwrap().as_str(), id, "{event:?}");
            assert_eq!(event.client_id.as_ref().unwrap().as_str(), trusted.client_id, "{event:?}");
            assert_eq!(event.did.as_ref().unwrap().as_str(), DID, "{event:?}");
            assert_eq!(event.request_id.as_deref(), Some(answer.header("x-request-id")), "{event:?}");
            assert_eq!(event.details["session_kind"], "background", "{event:?}");
        }
        assert_eq!(events[0].details["session_iteration"], 1);
        assert_eq!(events[2].details["scope"], "atproto");
        assert_eq!((events[4].client_id.as_ref().unwrap().as_str(), &events[4].session_id), (&*plain.client_id, &None));
        Ok(())
    }

    /// Nothing is exported unless its event is stored.
    async fn no_export_without_its_row(database) {
        let scene = Scene::set(database).await?;
        let trusted = scene.client_with_entitlements(&[Entitlement::BackgroundAccess, Entitlement::SessionExport]).await?;
        let tokens = trusted.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let path = format!("/api/sessions/{}", scene.session_id(&tokens).await?);
        let htu = format!("{}/xrpc/com.atproto.server.getSession", scene.upstream.origin);
        let store = scene.app.store();
        store.write::<_, StoreError, _>(|c| refuse_audit_events(c, true)).await?;
        let exported = trusted.post(&scene.agent, &path, &[]).await?;
        assert!(exported.status >= 500 && !exported.text.contains("upstream-access-"), "{exported:?}");
        let proof = [("htm", "GET"), ("htu", &*htu)];
        let signed = trusted.post(&scene.agent, &format!("{path}/dpop-proof"), &proof).await?;
        assert!(signed.status >= 500 && !signed.text.contains("eyJ"), "{signed:?}");
        store.write::<_, StoreError, _>(|c| refuse_audit_events(c, false)).await?;
        assert_eq!(trusted.post(&scene.agent, &path, &[]).await?.status, 200);
        Ok(())
    }

    /// A token that its client revokes alone, once; and the background session whose place another one takes.
    async fn smaller_ends(database) {
        let scene = Scene::set(database).await?;
        let client = scene.client_with_entitlements(&[Entitlement::BackgroundAccess]).await?;
        let first = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let before = scene.session_id(&first).await?;
        for _ in 0..2 {
            let revoked = client.post(&scene.agent, "/oauth/revoke", &[("token", &first.access_token)]).await?;
            assert_eq!(revoked.status, 200, "{revoked:?}");
        }
        let second = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let after = scene.session_id(&second).await?;
        let events = events(&scene.app).await?;
        assert_eq!(
            names(&events)[2..],
            [
                "user sign_in ok",
                "user consent granted",
                "client revocation ok",
                "user sign_in ok",
                "user consent granted",
                "user revocation superseded",
            ]
        );
        let session = |event: &AuditEvent| event.session_id.as_ref().unwrap().as_str().to_owned();
        assert_eq!((session(&events[4]), &events[4].details["token_type"]), (before.clone(), &"access_token".into()));
        assert_eq!((session(&events[7]), &events[7].details["superseded_by"]), (before, &after.into()));
        assert_eq!((events[7].did.as_ref().unwrap().as_str(), &events[7].client_id), (DID, &events[4].client_id));
        Ok(())
    }

    /// Audit events are stored for as long as the operator configures.
    async fn old_acts_go(database) {
        let scene = Scene::set(database).await?;
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.app.clock.advance(90 * 86_400 - 60);
        scene.upkeep().await?;
        assert_eq!(events(&scene.app).await?.len(), 3);
        scene.app.clock.advance(120);
        scene.upkeep().await?;
        assert_eq!(names(&events(&scene.app).await?), [] as [&str; 0]);
        Ok(())
    }
}
