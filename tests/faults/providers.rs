//! Another kind of provider than an AT Protocol server: connected, called and kept through the same code.

use std::sync::Arc;

use anyhow::Result;
use causeway_domain::session::SessionHead;
use causeway_flow::CtxParts;
use causeway_flow::upstream::keeper::{self, UsableSession};
use causeway_flow::upstream::relay::{
    self, HeaderName, Method, RelayAnswer, RelayBody, RelayError, RelayRequest, RelayTarget, Repeats, Waits,
};
use causeway_flow::upstream::revocation;
use causeway_flow::upstream::session::{NotConfigured, SessionError};
use causeway_store::{StoreError, sessions};
use causeway_testkit::{Agent, Answer, ScriptedUpstream, TestApp, TestDatabase, XrpcReply};
use causeway_types::{Scope, SessionKind};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, Scene, UpstreamKind, on_each_database};

async fn uses(scene: &Scene, session: &SessionHead) -> Result<UsableSession, SessionError> {
    keeper::use_session(&scene.app.ctx, session).await
}

/// Calls the provider's API with a body, for a caller whose token has this scope.
async fn call(scene: &Scene, session: &SessionHead, scope: &str) -> Result<RelayAnswer, RelayError> {
    let request = RelayRequest {
        method: Method::POST,
        target: RelayTarget::Path { path: "/items".to_owned(), origin: None },
        query: "page=2".to_owned(),
        headers: vec![(HeaderName::from_static("content-type"), b"text/plain".to_vec())],
        body: RelayBody::Whole("whole".into()),
        repeats: Repeats::Any,
        waits: Waits::Usual,
    };
    let found = keeper::look_up(&scene.app.ctx, session).await?;
    relay::call(&scene.app.ctx, &Scope::parse_asked(scope).unwrap(), found, request).await
}

/// A server beside that of the scene, which does not know the provider.
async fn without_provider(database: &TestDatabase, scene: &Scene) -> Result<TestApp> {
    let forget = |parts: &mut CtxParts| {
        parts.upstreams.clear();
        (parts.ring, parts.clock) = (scene.app.ring.clone(), Arc::new(scene.app.clock.clone()));
    };
    TestApp::start_tuned(database, &scene.upstream.environment(), forget).await
}

async fn ask(app: &TestApp, method: &str, path: &str) -> Result<Answer> {
    let agent = Agent::default();
    let request = agent.request(method.parse()?, &app.at(path));
    agent.send(request.bearer_auth(TestApp::ADMIN_TOKEN)).await
}

on_each_database! {
    /// From the user's approval to the provider's refusal: calls carry the held token, a 401 refreshes once and the
    /// call is made again, and what refuses the new token too is an error.
    async fn connected_called_and_refused(database) {
        let scene = Scene::set(database).await?;
        let client_id = &scene.client.client_id;
        let session = scene.app.connect_bearer(client_id, "user-17", SessionKind::Device).await?;
        assert_eq!((session.provider(), session.subject()), ("bearer", "user-17"));
        let first = uses(&scene, &session).await?.credentials;

        let denied = call(&scene, &session, "write").await;
        assert!(matches!(denied, Err(RelayError::TokenScope { .. })), "{denied:?}");
        assert!(scene.upstream.calls().is_empty(), "refused here");

        scene.upstream.script(|script| {
            script.answer = Some(XrpcReply::json(207, &json!({"items": []})).header("x-own", "theirs"));
        });
        let answer = call(&scene, &session, "read").await?;
        assert_eq!((answer.status(), answer.header("x-own")), (207, Some("theirs")));
        let calls = scene.upstream.calls();
        let [seen] = &*calls else { panic!("{calls:?}") };
        assert_eq!((&*seen.method, &*seen.nsid, &*seen.query, &*seen.body), ("POST", "items", "page=2", &b"whole"[..]));
        assert_eq!(seen.headers["authorization"], format!("Bearer {}", first.access.secret().expose()));
        assert!(!seen.headers.contains_key("dpop"), "{seen:?}");

        scene.upstream.expire_access_tokens();
        let issued = scene.upstream.hits("issued");
        assert_eq!(call(&scene, &session, "read").await?.status(), 207);
        assert_eq!(scene.upstream.hits("issued"), issued + 1);
        let renewed = uses(&scene, &session).await?;
        assert_eq!(renewed.head.iteration, 2);
        let calls = scene.upstream.calls();
        let seen = calls.last().unwrap();
        assert_eq!(seen.headers["authorization"], format!("Bearer {}", renewed.credentials.access.secret().expose()));
        assert_eq!((calls.len(), &*seen.body), (2, &b"whole"[..]));

        scene.upstream.script(|script| script.refuses_tokens = true);
        let refused = call(&scene, &session, "read").await;
        assert!(matches!(refused, Err(RelayError::Refused(_))), "{refused:?}");
        assert_eq!(scene.upstream.hits("issued"), issued + 2, "refreshed once, and asked again once");
        assert_eq!(scene.upstream.calls().len(), 2);
        Ok(())
    }

    /// Whether a refresh token came decides how a session is kept: without one it serves to its end, and nothing is
    /// sent to renew it.
    async fn kept_by_what_the_answer_brought(database) {
        let scene = Scene::set(database).await?;
        scene.app.provider.set_policy(|policy| (policy.max_age, policy.keep_alive) = (Some(60), Some(600)));
        let client_id = &scene.client.client_id;
        let with = scene.app.connect_bearer(client_id, "with", SessionKind::Background).await?;
        let drop_refresh_token = |body: &mut Value| drop(body.as_object_mut().unwrap().remove("refresh_token"));
        scene.upstream.script(|script| script.edits_tokens = Some(drop_refresh_token));
        let without = scene.app.connect_bearer(client_id, "without", SessionKind::Background).await?;
        assert_eq!(uses(&scene, &without).await?.credentials.refresh_token, None);
        scene.upstream.script(|script| script.edits_tokens = None);

        let before = scene.upstream.hits("token");
        scene.app.clock.advance(600);
        assert_eq!(scene.keep().await?, 1, "only the one that can be renewed");
        assert_eq!((scene.head(&with.session_id).await?.iteration, scene.upstream.hits("token") - before), (2, 1));
        scene.app.clock.advance(2999);
        assert_eq!(uses(&scene, &without).await?.head.iteration, 1, "old and near its end, and used all the same");
        assert_eq!(uses(&scene, &with).await?.head.iteration, 3);
        scene.app.clock.advance(1);
        let over = uses(&scene, &without).await;
        assert!(matches!(over, Err(SessionError::ReauthRequired { .. })), "{over:?}");
        assert_eq!(scene.upstream.hits("token") - before, 2);
        Ok(())
    }

    /// A session whose provider was taken out of the configuration is refused with an error that says so, and is shown
    /// and ended like any other. Its tokens are revoked as soon as a server knows the provider again.
    async fn a_provider_that_is_not_configured(database) {
        let scene = Scene::set(database).await?;
        let session = UpstreamKind::Bearer.begin(&scene).await?;
        let app = without_provider(database, &scene).await?;
        let not_configured = NotConfigured("bearer".to_owned());
        let used = keeper::use_session(&app.ctx, &session).await;
        assert!(matches!(&used, Err(SessionError::NotConfigured(error)) if *error == not_configured), "{used:?}");
        assert!(used.unwrap_err().to_string().contains("the provider bearer"), "which one");

        let id = session.session_id.clone();
        let over = move |c: &mut _| sessions::require_reauth(c, &id, 1, 0);
        assert!(scene.app.store().write::<_, StoreError, _>(over).await?);
        let over = keeper::use_session(&app.ctx, &scene.head(&session.session_id).await?).await;
        assert!(matches!(over, Err(SessionError::ReauthRequired { sign_in_url: None })), "{over:?}");

        let path = format!("/admin/sessions/{}", session.session_id);
        let listed = ask(&app, "GET", "/admin/sessions").await?.json();
        assert_eq!(listed["sessions"][0]["session_id"], session.session_id.as_str(), "{listed}");
        let shown = ask(&app, "GET", &path).await?.json();
        assert_eq!((&shown["provider"], &shown["session_state"]), (&json!("bearer"), &json!("reauth_required")));
        assert_eq!(ask(&app, "DELETE", &path).await?.status, 204);
        assert_eq!(ask(&app, "GET", &path).await?.json()["session_state"], "ended");
        app.ctx.settle().await;
        assert_eq!(scene.upstream.live_grants(), 1, "nobody here knows how to revoke it");
        scene.app.clock.advance(600);
        revocation::revoke_due(&scene.app.ctx).await?;
        assert_eq!(scene.upstream.live_grants(), 0);
        Ok(())
    }
}

/// Credentials of another account than the one that was asked for are given back.
#[tokio::test]
async fn an_account_that_was_not_asked_for() -> Result<()> {
    let upstream = ScriptedUpstream::start(HANDLE, DID)?;
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database, &upstream.environment()).await?;
    let client = app.client(&Agent::default()).await?;
    upstream.script(|script| script.sub = Some("somebody else".to_owned()));
    let connected = app.connect_bearer(&client.client_id, "user-17", SessionKind::Device).await;
    assert!(connected.unwrap_err().to_string().contains("another account"));
    assert_eq!((upstream.hits("issued"), upstream.live_grants()), (1, 0));
    Ok(())
}
