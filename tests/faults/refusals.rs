//! An authorization server refuses a refresh, in whatever words, or responds with something odd: dead
//! sessions are reported as ended, our own faults cost nobody a session, and no response for which a token
//! was consumed is discarded.

use anyhow::Result;
use causeway_domain::session::SessionHead;
use causeway_flow::upstream::keeper::{self, UsableSession};
use causeway_flow::upstream::session::SessionError;
use causeway_store::StoreError;
use causeway_store::sessions;
use causeway_store::sessions::upkeep::{self, Refused};
use causeway_testkit::Fault;
use causeway_types::TenantId;
use serde_json::{Value, json};

use crate::support::{HANDLE, Scene, on_each_database};

const DAY: i64 = 86_400;

impl Scene {
    /// Signs in; the session.
    async fn begun(&self) -> Result<SessionHead> {
        let tokens = self.client.sign_in(&self.agent, &self.upstream, HANDLE).await?;
        Ok(self.app.bearer(&tokens.access_token).await?.session)
    }

    async fn used(&self, session: &SessionHead) -> Result<UsableSession, SessionError> {
        keeper::use_session(&self.app.ctx, session).await
    }

    /// The session, whatever its state.
    async fn now(&self, session: &SessionHead) -> Result<SessionHead> {
        let (id, tenant) = (session.session_id.clone(), TenantId::default_tenant());
        let find = move |c: &mut _| sessions::find_session_of_token(c, &tenant, &id);
        Ok(self.app.store().read::<_, StoreError, _>(find).await?.unwrap())
    }

    fn refuses(&self, status: u16, body: Value) {
        self.upstream.script(|script| script.refuses = Some((status, body)));
    }

    /// One more refresh, whose answer is changed like this.
    async fn refreshed_with(
        &self,
        session: &SessionHead,
        edit: fn(&mut Value),
    ) -> Result<UsableSession, SessionError> {
        self.upstream.script(|script| script.edits_tokens = Some(edit));
        self.app.clock.advance(3600);
        let used = self.used(session).await;
        self.upstream.script(|script| script.edits_tokens = None);
        used
    }
}

fn is_over(outcome: &Result<UsableSession, SessionError>) -> bool {
    matches!(outcome, Err(SessionError::ReauthRequired { .. }))
}

fn is_put_off(outcome: &Result<UsableSession, SessionError>) -> bool {
    matches!(outcome, Err(SessionError::Unavailable { .. }))
}

on_each_database! {
    /// A dead refresh token that is refused in other words than `invalid_grant`: asked once more by metadata that is
    /// fetched again, and then over.
    async fn a_refusal_in_other_words(database) {
        for (status, body) in [
            (400, json!({"error": "InvalidRequest", "message": "Token has expired"})),
            (400, json!({"error": "invalid_request"})),
            (401, json!({"error": "this refresh token was used before"})),
            (400, json!({"message": "unknown session"})),
        ] {
            let scene = Scene::set(database).await?;
            let session = scene.begun().await?;
            scene.app.clock.advance(3600);
            // Discovery metadata expires before the refresh, so that the first fetch is counted as well as
            // the repeated one.
            scene.refuses(status, body.clone());
            let (asked, fetched) = (scene.upstream.hits("token"), scene.upstream.hits("metadata"));
            assert!(is_over(&scene.used(&session).await), "{status} {body}");
            assert_eq!(scene.upstream.hits("token") - asked, 2, "{status} {body}");
            assert_eq!(scene.upstream.hits("metadata") - fetched, 2, "the way, and once more: {status} {body}");
            assert_eq!(scene.now(&session).await?.state.as_str(), "reauth_required");
        }
        Ok(())
    }

    /// The server that refused was another one a moment ago: by fresh metadata all is well.
    async fn a_refusal_that_was_a_mistake(database) {
        let scene = Scene::set(database).await?;
        let session = scene.begun().await?;
        scene.app.clock.advance(3600);
        scene.upstream.script(|script| script.refuses_once = Some((400, json!({"error": "InvalidRequest"}))));
        assert_eq!(scene.used(&session).await?.head.iteration, 2);
        Ok(())
    }

    /// Definite answers that say nothing of the refresh token end nothing, and are not repeated at once.
    async fn answers_that_end_nothing(database) {
        let scene = Scene::set(database).await?;
        let session = scene.begun().await?;
        scene.app.clock.advance(3600);
        for (status, error) in [
            (400, "temporarily_unavailable"),
            (400, "slow_down"),
            (400, "server_error"),
            (400, "use_dpop_nonce"),
            (401, "invalid_client"),
            (400, "unauthorized_client"),
            (400, "invalid_client_metadata"),
            (400, "invalid_dpop_proof"),
            (403, "forbidden"),
        ] {
            scene.refuses(status, json!({"error": error}));
            let asked = scene.upstream.hits("token");
            assert!(is_put_off(&scene.used(&session).await), "{status} {error}");
            assert_eq!(scene.upstream.hits("token") - asked, 1, "{status} {error}");
            scene.app.clock.advance(600);
        }
        assert_eq!(scene.now(&session).await?.cooldown.failures, 9);
        scene.upstream.script(|script| script.refuses = None);
        assert_eq!(scene.used(&session).await?.head.iteration, 2, "nothing was lost");
        Ok(())
    }

    /// Our client, its key or our clock is not accepted: the operator sees which server refuses how many
    /// sessions, until it is fixed.
    async fn what_is_our_fault_is_named(database) {
        let scene = Scene::set(database).await?;
        let session = scene.begun().await?;
        let refused = async || {
            anyhow::Ok(scene.app.store().read::<_, StoreError, _>(upkeep::count_refused).await?)
        };
        assert!(refused().await?.is_empty());
        scene.app.clock.advance(3600);
        scene.refuses(401, json!({"error": "invalid_client"}));
        assert!(is_put_off(&scene.used(&session).await));
        let (issuer, answer) = (scene.upstream.origin.clone(), "invalid_client".to_owned());
        let found = vec![Refused { issuer, answer, sessions: 1 }];
        assert_eq!(refused().await?, found);
        scene.upstream.script(|script| (script.refuses, script.token) = (None, Fault::Status(503)));
        scene.app.clock.advance(600);
        assert!(is_put_off(&scene.used(&session).await));
        assert_eq!(refused().await?, found, "silence mends nothing");
        scene.upstream.script(|script| script.token = Fault::None);
        scene.app.clock.advance(600);
        assert_eq!(scene.used(&session).await?.head.iteration, 2);
        assert!(refused().await?.is_empty());
        Ok(())
    }

    /// Retries are not endless: after seven days of definite refusals the session ends. Silence does not
    /// count, and a success resets the count.
    async fn refused_for_a_week(database) {
        let scene = Scene::set(database).await?;
        let session = scene.begun().await?;
        scene.app.clock.advance(3600);
        scene.refuses(401, json!({"error": "invalid_client"}));
        assert!(is_put_off(&scene.used(&session).await));
        scene.app.clock.advance(6 * DAY);
        scene.upstream.script(|script| script.refuses = None);
        assert_eq!(scene.used(&session).await?.head.iteration, 2);

        scene.app.clock.advance(3600);
        scene.refuses(401, json!({"error": "invalid_client"}));
        assert!(is_put_off(&scene.used(&session).await));
        scene.app.clock.advance(6 * DAY);
        assert!(is_put_off(&scene.used(&session).await));
        scene.upstream.script(|script| (script.refuses, script.token) = (None, Fault::Status(503)));
        scene.app.clock.advance(DAY - 1);
        // Used all the time: a device session that nobody uses ends after as long.
        let (id, now) = (session.session_id.clone(), scene.app.ctx.now());
        scene.app.store().write::<_, StoreError, _>(move |c| sessions::touch_session(c, &id, now)).await?;
        scene.app.clock.advance(10);
        assert!(is_put_off(&scene.used(&session).await), "this time nobody answered");
        scene.refuses(401, json!({"error": "invalid_client"}));
        scene.upstream.script(|script| script.token = Fault::None);
        scene.app.clock.advance(600);
        assert!(is_over(&scene.used(&session).await));
        assert_eq!(scene.now(&session).await?.state.as_str(), "reauth_required");
        Ok(())
    }

    /// The directory does not know the account, and goes on not knowing it.
    async fn not_found_for_a_week(database) {
        let scene = Scene::set(database).await?;
        let session = scene.begun().await?;
        scene.upstream.script(|script| script.directory = Fault::Status(404));
        scene.app.clock.advance(DAY + 3600);
        assert!(is_put_off(&scene.used(&session).await), "the directory may be mistaken");
        let (id, now) = (session.session_id.clone(), scene.app.ctx.now());
        scene.app.store().write::<_, StoreError, _>(move |c| sessions::touch_session(c, &id, now)).await?;
        scene.app.clock.advance(6 * DAY);
        assert!(is_put_off(&scene.used(&scene.now(&session).await?).await));
        let (id, now) = (session.session_id.clone(), scene.app.ctx.now());
        scene.app.store().write::<_, StoreError, _>(move |c| sessions::touch_session(c, &id, now)).await?;
        scene.app.clock.advance(DAY);
        assert!(is_over(&scene.used(&scene.now(&session).await?).await));
        Ok(())
    }

    /// Optional members missing from a refresh response keep their previous values, and the session continues
    /// with those.
    async fn what_is_missing_is_as_before(database) {
        let scene = Scene::set(database).await?;
        let session = scene.begun().await?;
        let before = keeper::look_up(&scene.app.ctx, &session).await?;
        let bare = scene.refreshed_with(&session, |answer| {
            let answer = answer.as_object_mut().unwrap();
            for member in ["scope", "sub", "token_type", "expires_in"] {
                answer.remove(member);
            }
        });
        let bare = bare.await?;
        assert_eq!((bare.head.iteration, &bare.credentials.scope), (2, &before.credentials.scope));
        assert_eq!(bare.credentials.expires_at, None);
        assert_ne!(bare.credentials.refresh_token, before.credentials.refresh_token, "the new one was kept");
        let renewed = keeper::renew_session(&scene.app.ctx, &bare).await?;
        assert_eq!((renewed.head.iteration, &renewed.credentials.scope), (3, &before.credentials.scope));
        Ok(())
    }

    /// An access token that is said to live for 0 seconds, or less, lives for a time that is not known: it is used, not
    /// refreshed again with every call.
    async fn a_life_of_no_seconds(database) {
        let scene = Scene::set(database).await?;
        let session = scene.begun().await?;
        for (nth, edit) in [
            (2, (|answer| answer["expires_in"] = json!(0)) as fn(&mut Value)),
            (3, |answer| answer["expires_in"] = json!(-3600)),
        ] {
            let live = if nth == 2 {
                scene.refreshed_with(&session, edit).await?
            } else {
                scene.upstream.script(|script| script.edits_tokens = Some(edit));
                let live = scene.used(&session).await?;
                keeper::renew_session(&scene.app.ctx, &live).await?
            };
            assert_eq!((live.head.iteration, live.credentials.expires_at), (nth, None));
            scene.app.clock.advance(60);
            assert_eq!(scene.used(&session).await?.head.iteration, nth, "not again");
        }
        Ok(())
    }

    /// Tokens that must not be used are stored all the same, so that they can be revoked; no further refresh
    /// is attempted.
    async fn tokens_that_cannot_be_used_are_kept(database) {
        for edit in [
            (|answer| answer["scope"] = json!("transition:generic")) as fn(&mut Value),
            |answer| answer["token_type"] = json!("Bearer"),
            |answer| answer["sub"] = json!("nobody"),
        ] {
            let scene = Scene::set(database).await?;
            let session = scene.begun().await?;
            let asked = scene.upstream.hits("token");
            assert!(is_over(&scene.refreshed_with(&session, edit).await));
            let head = scene.now(&session).await?;
            assert_eq!((head.iteration, head.state.as_str()), (2, "reauth_required"));
            assert!(is_over(&scene.used(&session).await));
            assert_eq!(scene.upstream.hits("token") - asked, 1);
            assert_eq!(scene.upstream.live_grants(), 1);
            let (id, now) = (session.session_id.clone(), scene.app.ctx.now());
            scene.app.store().write::<_, StoreError, _>(move |c| sessions::end_session(c, &id, now)).await?;
            scene.upkeep().await?;
            assert_eq!(scene.upstream.live_grants(), 0, "the ones that were kept are revoked");
        }
        Ok(())
    }

    /// The tokens of a sign-in that cannot be used are given back.
    async fn a_sign_in_with_odd_tokens(database) {
        let scene = Scene::set(database).await?;
        for edit in [
            (|answer| answer["token_type"] = json!("Bearer")) as fn(&mut Value),
            |answer| answer["sub"] = Value::Null,
            |answer| answer["scope"] = Value::Null,
        ] {
            scene.upstream.script(|script| script.edits_tokens = Some(edit));
            let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
            let to_upstream = scene.agent.get(&start).await?.location()?;
            let callback = causeway_testkit::User::approve(&scene.upstream, &to_upstream).await?;
            let answer = scene.agent.get(&callback).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("server_error"), "{answer:?}");
            assert_eq!((scene.sessions().await?, scene.upstream.live_grants()), (0, 0));
        }
        scene.upstream.script(|script| script.edits_tokens = None);
        scene.still_works().await
    }
}
