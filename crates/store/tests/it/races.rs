//! Single use means single use, however many callers race.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use causeway_domain::client::ReplayKey;
use causeway_store::authorization::codes;
use causeway_store::authorization::par;
use causeway_store::authorization::replay;
use causeway_store::operations::keys;
use causeway_store::sessions::upstream_requests;
use causeway_store::tokens;
use causeway_types::Jkt;
use tokio::sync::Barrier;

use crate::common::{
    NOW, World, access_token, auth_request, client, code, on_each, par_request, refresh_token, signing_key,
    upstream_request,
};

const RACERS: usize = 16;

/// Runs `racer` 16 times at once and counts who won.
async fn race<F, Fut>(racer: F) -> usize
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let mut racers = Vec::new();
    for _ in 0..RACERS {
        let (start, run) = (Arc::clone(&start), racer());
        racers.push(tokio::spawn(async move {
            start.wait().await;
            run.await
        }));
    }
    let mut won = 0;
    for racer in racers {
        won += usize::from(racer.await.unwrap());
    }
    won
}

#[test]
fn one_of_sixteen_consumes_a_code() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let code = code(&session);
        let row = code.clone();
        world.write(move |c| codes::insert_code(c, &row)).await;
        let hash = code.code.clone();
        let consume = |world: World, hash: causeway_types::TokenHash<_>| async move {
            world.write(move |c| codes::consume_code(c, &hash, NOW)).await.is_some()
        };
        assert_eq!(race(|| consume(world.clone(), hash.clone())).await, 1, "{}", world.kind);
        let found = world.read(move |c| codes::find_code(c, &hash)).await.unwrap();
        assert_eq!(found.used_at, Some(NOW));
        assert_eq!(found.session_iteration, 1);
    });
}

#[test]
fn one_of_sixteen_uses_a_proof() {
    on_each(|world| async move {
        let once = ReplayKey::dpop_proof(&Jkt::new("k"), "j", NOW.plus(300));
        let consume = |world: World, once: ReplayKey| async move {
            world.write(move |c| replay::consume_once(c, &once)).await
        };
        assert_eq!(race(|| consume(world.clone(), once.clone())).await, 1, "{}", world.kind);
    });
}

#[test]
fn one_of_sixteen_consumes_a_refresh_token() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let access = access_token(&session);
        let refresh = refresh_token(&session, &access, None);
        let row = refresh.clone();
        world
            .write(move |c| {
                tokens::insert_access_token(c, &access)?;
                tokens::insert_refresh_token(c, &row)
            })
            .await;
        let consume = |world: World, hash: causeway_types::TokenHash<_>| async move {
            world.write(move |c| tokens::consume_refresh_token(c, &hash, NOW)).await
        };
        let won = race(|| consume(world.clone(), refresh.token.clone())).await;
        assert_eq!(won, 1, "{}", world.kind);
    });
}

/// The second caller waits for the first, and sees its changes.
#[test]
fn refreshes_of_one_token_happen_one_after_the_other() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let refresh = refresh_token(&session, &access_token(&session), None);
        let (row, hash) = (refresh.clone(), refresh.token.clone());
        world.write(move |c| tokens::insert_refresh_token(c, &row)).await;
        let (locked, has_locked) = mpsc::channel();
        let (seen, was_seen) = mpsc::channel();
        let first = {
            let (world, hash) = (world.clone(), hash.clone());
            tokio::spawn(async move {
                world
                    .write(move |c| {
                        assert_eq!(tokens::lock_refresh_token(c, &hash)?.unwrap().used_at, None);
                        locked.send(()).unwrap();
                        let too_soon = was_seen.recv_timeout(Duration::from_millis(200));
                        assert!(too_soon.is_err(), "the second did not wait");
                        tokens::consume_refresh_token(c, &hash, NOW)
                    })
                    .await
            })
        };
        tokio::task::spawn_blocking(move || has_locked.recv()).await.unwrap().unwrap();
        let second = world
            .write(move |c| {
                let found = tokens::lock_refresh_token(c, &hash)?.unwrap();
                let _ = seen.send(());
                Ok(found)
            })
            .await;
        assert!(first.await.unwrap());
        assert_eq!(second.used_at, Some(NOW), "{}", world.kind);
        let unknown = world.write(|c| tokens::lock_refresh_token(c, &crate::common::hash())).await;
        assert_eq!(unknown, None);
    });
}

#[test]
fn one_of_sixteen_keeps_its_signing_key() {
    on_each(|world| async move {
        let insert = |world: World| async move {
            let key = signing_key(crate::common::hash::<causeway_types::secret::Code>().as_str(), None);
            let ring = world.ring.clone();
            world.write(move |c| keys::insert_signing_key(c, &ring, &key)).await
        };
        assert_eq!(race(|| insert(world.clone())).await, 1, "{}", world.kind);
    });
}

#[test]
fn an_upstream_request_works_once_in_its_browser_in_time() {
    on_each(|world| async move {
        let request = auth_request(&client());
        let upstream = upstream_request(&request);
        let (row, ring) = (upstream.clone(), world.ring.clone());
        world.write(move |c| upstream_requests::insert_upstream_request(c, &ring, &row)).await;
        let consume = |browser: &str, now| {
            let (world, ring) = (world.clone(), world.ring.clone());
            let (state, browser) =
                (upstream.oauth_state.clone(), causeway_types::BrowserSessionId::new(browser));
            async move {
                world
                    .write(move |c| {
                        upstream_requests::consume_upstream_request(c, &ring, &state, &browser, now)
                    })
                    .await
            }
        };
        assert!(consume("another browser", NOW).await.is_none());
        assert!(consume("browser", NOW.plus(900)).await.is_none(), "expired");
        let won = race(|| {
            let run = consume("browser", NOW.plus(899));
            async move { run.await.is_some() }
        });
        assert_eq!(won.await, 1, "{}", world.kind);
        assert!(consume("browser", NOW).await.is_none());
    });
}

#[test]
fn an_upstream_request_comes_back_whole_and_leaves_no_secret() {
    use diesel::prelude::*;
    use diesel::sql_types::Text;

    #[derive(QueryableByName)]
    struct Secrets {
        #[diesel(sql_type = Text)]
        pkce_verifier: String,
        #[diesel(sql_type = Text)]
        dpop_private_key: String,
    }
    let secrets = |c: &mut causeway_store::AnyConnection| -> Result<Secrets, causeway_store::StoreError> {
        Ok(diesel::sql_query("SELECT pkce_verifier, dpop_private_key FROM oauth_atp_request")
            .get_result(c)?)
    };
    on_each(|world| async move {
        let request = upstream_request(&auth_request(&client()));
        let (row, ring) = (request.clone(), world.ring.clone());
        world.write(move |c| upstream_requests::insert_upstream_request(c, &ring, &row)).await;
        let encrypted = world.store.read(move |c| secrets(c)).await.unwrap();
        assert!(encrypted.pkce_verifier.starts_with("v1.") && !encrypted.dpop_private_key.contains("canary"));
        let (state, browser, ring) =
            (request.oauth_state.clone(), request.browser_id.clone(), world.ring.clone());
        let back = world
            .write(move |c| upstream_requests::consume_upstream_request(c, &ring, &state, &browser, NOW))
            .await
            .unwrap();
        let (back, sent) = (back.pending.atproto().unwrap(), request.pending.atproto().unwrap());
        assert_eq!(back.upstream, sent.upstream);
        assert_eq!(back.expected_did, sent.expected_did);
        assert_eq!(back.typed_handle, sent.typed_handle);
        assert_eq!(back.pkce_verifier.expose(), sent.pkce_verifier.expose());
        assert_eq!(back.dpop_private_key, sent.dpop_private_key);
        let wiped = world.store.read(move |c| secrets(c)).await.unwrap();
        assert_eq!((wiped.pkce_verifier.as_str(), wiped.dpop_private_key.as_str()), ("", ""));
    });
}

#[test]
fn a_pushed_request_is_bound_once_and_used_once() {
    on_each(|world| async move {
        let client = client();
        let (pushed, request) = (par_request(&client), auth_request(&client));
        let (row, owner) = (pushed.clone(), client.clone());
        world
            .write(move |c| {
                causeway_store::clients::insert_client(c, &owner)?;
                par::insert_par_request(c, &row)
            })
            .await;
        let find = |client_id: &causeway_types::ClientId, now| {
            let (world, client_id, uri) = (world.clone(), client_id.clone(), pushed.request_uri.clone());
            async move { world.read(move |c| par::find_par_request(c, &client_id, &uri, now)).await }
        };
        assert_eq!(find(&client.client_id, NOW.plus(299)).await, Some(pushed.clone()));
        assert_eq!(find(&client.client_id, NOW.plus(300)).await, None, "expired");
        assert_eq!(find(&crate::common::client().client_id, NOW).await, None, "another client's");
        let bind = |world: World, uri: causeway_types::RequestUri, id: causeway_types::AuthRequestId| async move {
            world.write(move |c| par::bind_par_request(c, &uri, &id)).await
        };
        let won = race(|| bind(world.clone(), pushed.request_uri.clone(), request.id.clone())).await;
        assert_eq!(won, 1, "{}", world.kind);
        let bound = find(&client.client_id, NOW.plus(600)).await.unwrap();
        assert_eq!(bound.auth_request_id, Some(request.id), "a bound one survives a reload");
        let consume = |world: World, uri: causeway_types::RequestUri| async move {
            world.write(move |c| par::consume_par_request(c, &uri)).await
        };
        assert_eq!(race(|| consume(world.clone(), pushed.request_uri.clone())).await, 1);
        assert_eq!(find(&client.client_id, NOW).await, None, "used");
    });
}
