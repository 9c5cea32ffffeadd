//! What a sweep takes and what it leaves.

use causeway_domain::{SessionKind, SessionState};
use causeway_store::sweep::{SweepCount, sweep_expired};
use causeway_store::{auth_requests, codes, par, sessions, tokens, upstream_requests};

use crate::common::{
    NOW, access_token, auth_request, client, code, on_each, par_request, refresh_token, session, token_set,
    upstream_request,
};

const DAY: i64 = 86_400;

#[test]
fn the_expired_go_in_batches_and_the_rest_stays() {
    on_each(|world| async move {
        let (client, session) = world.client_and_session().await;
        let ring = world.ring.clone();
        world
            .write(move |c| {
                let access = access_token(&session);
                tokens::insert_access_token(c, &access)?;
                tokens::insert_refresh_token(c, &refresh_token(&session, &access, None))?;
                let mut forever = refresh_token(&session, &access, None);
                forever.expires_at = None;
                tokens::insert_refresh_token(c, &forever)?;
                let used = code(&session);
                codes::insert_code(c, &used)?;
                codes::consume_code(c, &used.code, NOW)?;
                codes::insert_code(c, &code(&session))?;
                let request = auth_request(&client);
                auth_requests::insert_auth_request(c, &request)?;
                upstream_requests::insert_upstream_request(c, &ring, &upstream_request(&request))?;
                for _ in 0..3 {
                    par::insert_par_request(c, &par_request(&client))?;
                }
                let bound = par_request(&client);
                par::insert_par_request(c, &bound)?;
                par::bind_par_request(c, &bound.request_uri, &request.id)?;

                let mut sweep = |seconds: i64, limit| {
                    let SweepCount { deleted, more, .. } = sweep_expired(c, NOW.plus(seconds), limit)?;
                    Ok::<_, causeway_store::StoreError>((deleted, more))
                };
                assert_eq!(sweep(59, 10)?, (0, false));
                assert_eq!(sweep(60, 10)?, (1, false), "the unused code");
                assert_eq!(sweep(300, 2)?, (2, true), "pushed requests");
                assert_eq!(sweep(300, 2)?, (1, false));
                assert_eq!(sweep(900, 10)?, (2, false), "both requests");
                assert_eq!(sweep(1200, 10)?, (1, false), "the bound pushed request");
                assert_eq!(sweep(60 + DAY, 10)?, (1, false), "the used code");
                assert_eq!(sweep(3600 + DAY, 10)?, (1, false), "the access token");
                assert_eq!(sweep(7200 + DAY, 10)?, (1, false), "the refresh token");
                assert!(tokens::find_refresh_token(c, &forever.token)?.is_some());
                Ok(())
            })
            .await;
    });
}

#[test]
fn idle_and_abandoned_sessions_end_and_background_ones_stay() {
    on_each(|world| async move {
        let client = client();
        let ring = world.ring.clone();
        world
            .write(move |c| {
                let insert = |c: &mut _, kind, state| {
                    let head = session(&client, kind, state);
                    sessions::insert_session(c, &ring, &head, &token_set("1"))?;
                    Ok::<_, causeway_store::StoreError>(head)
                };
                let device = insert(c, SessionKind::Device, SessionState::Active)?;
                let background = insert(c, SessionKind::Background, SessionState::Active)?;
                let abandoned = insert(c, SessionKind::Background, SessionState::Pending)?;
                let mut ended = |seconds: i64| {
                    Ok::<_, causeway_store::StoreError>(
                        sweep_expired(c, NOW.plus(seconds), 10)?.ended_sessions,
                    )
                };
                assert_eq!(ended(899)?, 0);
                assert_eq!(ended(900)?, 1);
                assert_eq!(ended(7 * DAY - 1)?, 0);
                assert_eq!(ended(7 * DAY)?, 1);
                assert_eq!(ended(700 * DAY)?, 0);
                let mut state = |head: &causeway_domain::session::SessionHead| {
                    let found = sessions::find_session(c, &head.tenant_id, &head.session_id, head.kind)?;
                    Ok::<_, causeway_store::StoreError>(found.map(|head| head.state))
                };
                assert_eq!(state(&device)?, Some(SessionState::Ended));
                assert_eq!(state(&background)?, Some(SessionState::Active));
                assert_eq!(state(&abandoned)?, Some(SessionState::Ended));
                assert_eq!(sessions::due_revocations(c, NOW.plus(7 * DAY), 10)?.len(), 2);
                Ok(())
            })
            .await;
    });
}
