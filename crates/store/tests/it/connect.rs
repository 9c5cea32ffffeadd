//! Connect sessions and pending authorizations work once, and in time.

use causeway_domain::connection::{CONNECT_CODE_SECONDS, ConnectOutcome, Erasure};
use causeway_store::connections::connect_sessions::{self, Confirmation, Confirmed, NewConnectCode};
use causeway_store::connections::{erasure, pending, registrations};
use causeway_store::operations::sweep::sweep_expired;
use causeway_store::testing::count_rows;
use causeway_store::{StoreError, clients, connections, sessions};
use causeway_types::secret::{ConnectCode, ProviderState};
use causeway_types::{BrowserSessionId, ClientId, PlainToken, SystemRng, TenantId, TenantUser, UserId};

use crate::common::{NOW, on_each};
use crate::exercise::tenant_with_everything;

#[test]
fn a_pending_authorization_belongs_to_its_browser_for_900_seconds() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (ring, wanted) = (world.ring.clone(), owned.pending.clone());
        let done = world.write(move |c| {
            let (state, browser) = (owned.state.hash(), &wanted.browser_id);
            let mut consume = |state, browser: &BrowserSessionId, seconds| {
                pending::consume_pending(c, &ring, state, browser, NOW.plus(seconds))
            };
            assert_eq!(consume(&state, browser, 901)?, None);
            assert_eq!(consume(&state, browser, 900)?, None);
            assert_eq!(consume(&state, &BrowserSessionId::new("another"), 0)?, None);
            let unknown = PlainToken::<ProviderState>::random(&SystemRng).hash();
            assert_eq!(consume(&unknown, browser, 0)?, None);
            assert_eq!(consume(&state, browser, 899)?, Some(wanted.clone()));
            assert_eq!(consume(&state, browser, 899)?, None, "once");
            Ok(())
        });
        done.await;
        let dump = world.read(causeway_store::testing::dump_text).await;
        assert!(!dump.contains("canary"), "{}: {dump}", world.kind);
    });
}

/// What is issued for an authorization is kept, however slow the provider is, and whatever becomes of the connect session,
/// the client or the tenant; its registration stays, with which it is given back.
#[test]
fn a_kept_answer_outlives_what_it_came_of() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (ring, row) = (world.ring.clone(), owned.clone());
        let (state, answer) = (owned.state.hash(), causeway_types::Secret::new("canary"));
        let kept = world.write(move |c| {
            let found = pending::consume_pending(c, &ring, &state, &row.pending.browser_id, NOW.plus(899))?;
            assert!(found.is_some());
            sweep_expired(c, NOW.plus(960), 100)?;
            assert!(pending::keep_answer(c, &ring, &state, &answer, NOW.plus(20 * 86_400))?);
            sweep_expired(c, NOW.plus(3 * 86_400), 100)?;
            assert_eq!(count_rows(c, "connect_session")?, 0);
            assert!(clients::delete_client(c, &row.tenant_id, &row.client.client_id, NOW)?);
            while !clients::purge_deleted_clients(c, NOW, 10)?.is_done() {}
            sessions::complete_revocation(c, &row.head.session_id, row.head.iteration)?;
            let kept = pending::find_kept_answer(c, &ring, &state)?;
            Ok(kept.map(|kept| kept.payload))
        });
        assert_eq!(kept.await, Some(causeway_types::Secret::new("canary")), "{}", world.kind);
        let is_registered = || {
            let (store, ring, row) = (owned.store(&world), world.ring.clone(), owned.clone());
            async move {
                let found = store.write(move |scope| {
                    while !erasure::erase(scope, &Erasure::Tenant, NOW.plus(10), 10)?.is_done() {}
                    let id = &row.registration.registration_id;
                    registrations::find_registration(scope, &ring, id)
                });
                found.await.unwrap().is_some()
            }
        };
        assert!(is_registered().await, "{}", world.kind);
        let state = owned.state.hash();
        let rows = world.write(move |c| {
            assert!(pending::settle_answer(c, &state)?);
            assert!(!pending::settle_answer(c, &state)?, "once");
            while !clients::purge_deleted_clients(c, NOW, 10)?.is_done() {}
            count_rows(c, "upstream_pending")
        });
        assert_eq!(rows.await, 0, "{}", world.kind);
        assert!(!is_registered().await, "{}", world.kind);
    });
}

#[test]
fn of_two_callbacks_one_wins() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let (mut callbacks, mut starts) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
        for _ in 0..16 {
            let (store, ring, owned) = (world.store.clone(), world.ring.clone(), owned.clone());
            let (state, browser) = (owned.state.hash(), owned.pending.browser_id.clone());
            callbacks.spawn({
                let store = store.clone();
                async move {
                    let consume = move |c: &mut _| pending::consume_pending(c, &ring, &state, &browser, NOW);
                    store.write::<_, StoreError, _>(consume).await.unwrap().is_some()
                }
            });
            let token = owned.connect.hash();
            starts.spawn(async move {
                let consume = move |c: &mut _| connect_sessions::consume_connect_session(c, &token, NOW);
                store.write::<_, StoreError, _>(consume).await.unwrap().is_some()
            });
        }
        let won = |outcomes: Vec<bool>| outcomes.into_iter().filter(|won| *won).count();
        assert_eq!((won(callbacks.join_all().await), won(starts.join_all().await)), (1, 1), "{}", world.kind);
    });
}

#[test]
fn a_connect_session_is_looked_at_and_then_used_once() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let wanted = owned.connect_session.clone();
        world
            .write(move |c| {
                let token = owned.connect.hash();
                let found = connect_sessions::find_connect_session(c, &token, NOW.plus(1799))?;
                assert_eq!(found, Some(wanted.clone()), "comes back whole");
                assert_eq!(connect_sessions::find_connect_session(c, &token, NOW.plus(1800))?, None);
                for attempt in 1..=2 {
                    let taken = connect_sessions::take_sign_in_attempt(c, &token, 2, NOW)?;
                    assert_eq!(taken, Some(attempt));
                }
                assert_eq!(connect_sessions::take_sign_in_attempt(c, &token, 2, NOW)?, None, "the limit");
                let used = connect_sessions::consume_connect_session(c, &token, NOW)?;
                assert_eq!(used, Some(wanted.clone()), "looking at it used nothing up");
                assert_eq!(connect_sessions::consume_connect_session(c, &token, NOW)?, None);
                assert_eq!(connect_sessions::find_connect_session(c, &token, NOW)?, None);
                Ok(())
            })
            .await;
    });
}

/// Attempts are taken before anybody knows how they end: no more than the limit are under way at once.
#[test]
fn sign_in_attempts_are_no_more_than_the_limit() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let mut attempts = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (store, token) = (world.store.clone(), owned.connect.hash());
            attempts.spawn(async move {
                let take = move |c: &mut _| connect_sessions::take_sign_in_attempt(c, &token, 5, NOW);
                store.write::<_, StoreError, _>(take).await.unwrap()
            });
        }
        let mut taken: Vec<_> = attempts.join_all().await.into_iter().flatten().collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3, 4, 5], "{}", world.kind);
    });
}

/// A new connect session brings back a user who was deleted; nothing else does.
#[test]
fn a_connect_session_brings_its_user_back() {
    use causeway_types::ConnectSessionId;
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let store = owned.store(&world);
        let done = store.write(move |scope| {
            assert!(connections::users::delete_user(scope, &owned.user, NOW)?);
            let new = causeway_domain::connection::ConnectSession {
                token: PlainToken::issued(&SystemRng, NOW.into()).hash(),
                connect_session_id: ConnectSessionId::issued(&SystemRng, NOW.into()),
                created_at: NOW.plus(3),
                ..owned.connect_session.clone()
            };
            connect_sessions::insert_connect_session(scope.connection(), &new)?;
            connections::users::find_user(scope, &owned.user)
        });
        assert_eq!(done.await.unwrap(), Some(NOW.plus(3)), "{}", world.kind);
    });
}

/// The code is its client's, for the user whom the client means, and works once within 300 seconds.
#[test]
fn a_connect_code_confirms_one_user_once() {
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        world
            .write(move |c| {
                let code = PlainToken::<ConnectCode>::issued(&SystemRng, NOW.into()).hash();
                let (tenant, id) = (&owned.tenant_id, &owned.connect_session.connect_session_id);
                let client = &owned.client.client_id;
                let outcome = |c: &mut _| connect_sessions::find_outcome(c, tenant, client, id);
                assert_eq!(outcome(c)?, Some(None));
                let connected = ConnectOutcome {
                    outcome: "connected".to_owned(),
                    connection_id: Some(owned.head.session_id.clone()),
                    finished_at: NOW,
                };
                let until = NOW.plus(CONNECT_CODE_SECONDS);
                let finish = |c: &mut _, outcome| {
                    let new = NewConnectCode {
                        code: &code,
                        unconfirmed_id: &owned.head.session_id,
                        more: &[],
                        expires_at: until,
                    };
                    connect_sessions::finish_connect_session(c, tenant, id, outcome, Some(new))
                };
                assert!(finish(c, &connected)?);
                let late = ConnectOutcome { outcome: "denied".to_owned(), ..connected.clone() };
                assert!(!finish(c, &late)?, "it is finished");
                assert_eq!(outcome(c)?, Some(Some(connected.clone())));
                let other = ClientId::new("other");
                assert_eq!(connect_sessions::find_outcome(c, tenant, &other, id)?, None);
                let elsewhere = TenantId::default_tenant();
                assert_eq!(connect_sessions::find_outcome(c, &elsewhere, client, id)?, None);

                let right =
                    Confirmation { tenant_id: tenant, client_id: client, user: &owned.user, code: &code };
                let user = TenantUser { user_id: UserId::parse("18").unwrap(), ..owned.user.clone() };
                let unknown = PlainToken::random(&SystemRng).hash();
                for wrong in [
                    Confirmation { tenant_id: &elsewhere, ..right },
                    Confirmation { client_id: &other, ..right },
                    Confirmation { user: &user, ..right },
                    Confirmation { code: &unknown, ..right },
                ] {
                    assert_eq!(connect_sessions::consume_connect_code(c, wrong, NOW)?, None);
                }
                let consume =
                    |c: &mut _, seconds| connect_sessions::consume_connect_code(c, right, NOW.plus(seconds));
                assert_eq!(consume(c, 300)?, None);
                let confirmed = Confirmed {
                    connection_id: owned.head.session_id.clone(),
                    unconfirmed_id: owned.head.session_id.clone(),
                };
                assert_eq!(consume(c, 299)?, Some(vec![confirmed]));
                assert_eq!(consume(c, 299)?, None, "once");
                Ok(())
            })
            .await;
    });
}

/// Work that is claimed is not claimed again before the claim ends, and only who holds the claim completes it.
#[test]
fn work_is_claimed_by_one() {
    use causeway_domain::connection::{WorkItem, WorkKind};
    use connections::work_queue::{claim_work, complete_work, put_work};
    on_each(|world| async move {
        let owned = tenant_with_everything(&world, "acme").await;
        let item = WorkItem {
            tenant_id: owned.tenant_id.clone(),
            kind: WorkKind::Refresh,
            row_id: owned.head.session_id.as_str().to_owned(),
            due_at: NOW,
        };
        let wanted = item.clone();
        world
            .write(move |c| {
                put_work(c, &WorkItem { due_at: NOW.plus(99), ..wanted.clone() })?;
                assert!(claim_work(c, WorkKind::Refresh, NOW, NOW.plus(60), 9)?.is_empty(), "not due");
                put_work(c, &wanted)?;
                assert!(claim_work(c, WorkKind::Revoke, NOW, NOW.plus(60), 9)?.is_empty(), "another kind");
                (0..200).try_for_each(|index| {
                    put_work(c, &WorkItem { row_id: format!("{index}"), ..wanted.clone() })
                })
            })
            .await;
        let mut claims = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let store = world.store.clone();
            claims.spawn(async move {
                let claim = |c: &mut _| claim_work(c, WorkKind::Refresh, NOW, NOW.plus(60), 999);
                store.write::<_, StoreError, _>(claim).await.unwrap()
            });
        }
        let claimed: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
        assert_eq!(claimed.len(), 201, "{}: each by one", world.kind);
        world
            .write(move |c| {
                let again = claim_work(c, WorkKind::Refresh, NOW.plus(60), NOW.plus(120), 999)?;
                assert_eq!(again.len(), 201, "their holder is dead");
                assert!(!complete_work(c, &claimed[0])?);
                assert!(complete_work(c, &again[0])?);
                let left = claim_work(c, WorkKind::Refresh, NOW.plus(999), NOW.plus(1999), 999)?;
                assert_eq!(left.len(), 200);
                Ok(())
            })
            .await;
    });
}
