//! Events: who waits for whom, and in which order clients learn of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use causeway_domain::session::SessionHead;
use causeway_store::events;
use causeway_store::events::deliveries;
use causeway_store::events::order;
use causeway_store::events::{EventKind, Webhook};
use causeway_store::sessions;
use causeway_store::sessions::LeaseClaim;
use causeway_store::testing::TestDatabase;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::{ClientId, Secret, Timestamp};
use diesel::{RunQueryDsl as _, sql_query};

use crate::common::{NOW, World, on_each, ring, runtime};

/// A client that is subscribed, and an active session of it.
async fn subscribed(world: &World) -> SessionHead {
    let (_, head) = world.client_and_session().await;
    let (own, ring) = (head.clone(), world.ring.clone());
    let done = world.write(move |c| {
        let webhook = Webhook { url: "https://app.example/hook".to_owned(), secret: Secret::new("whsec_x") };
        events::subscribe(c, &ring, &own.tenant_id, &own.client_id, Some(&webhook), NOW)
    });
    assert!(done.await);
    head
}

fn note(
    c: &mut AnyConnection,
    client_id: &ClientId,
    kind: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    events::note_sign_in(c, client_id, None, kind, at)
}

/// The events of a client after `id`.
async fn after(world: &World, head: &SessionHead, id: i64) -> Vec<(i64, String)> {
    let own = head.clone();
    let listed = world.read(move |c| events::list_events_after(c, &own.client_id, id, 1000)).await;
    listed.into_iter().map(|event| (event.id, event.event)).collect()
}

/// PostgreSQL, where transactions run beside each other.
fn on_postgres<Fut: Future<Output = ()>>(test: impl FnOnce(World) -> Fut) {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let world = World { kind: database.kind(), store: database.store().await, ring: ring() };
        test(world.clone()).await;
        world.store.close().await;
    });
}

/// Sends what a transaction has written so far: a statement that somebody waits for takes it along.
fn send(c: &mut AnyConnection) -> Result<(), StoreError> {
    Ok(sql_query("SELECT 1").execute(c).map(drop)?)
}

/// A sweep writes an event and then ends a session; a refresh moves that session and then writes an event. If either
/// waited to write, they would wait for each other.
#[test]
fn who_writes_an_event_waits_for_nobody() {
    on_postgres(|world| async move {
        let head = subscribed(&world).await;
        let (noted, is_noted) = mpsc::channel();
        let (moved, is_moved) = mpsc::channel();
        // PostgreSQL ends a deadlock by having one of the two run again: then there is nobody to wait for.
        let again = [AtomicBool::new(false), AtomicBool::new(false)];
        let [sweep_again, refresh_again] = again;
        let (store, own) = (world.store.clone(), head.clone());
        let sweep = tokio::spawn(async move {
            let write = store.write(move |c| {
                note(c, &own.client_id, EventKind::Failed, NOW)?;
                if !sweep_again.swap(true, Ordering::Relaxed) {
                    send(c)?;
                    noted.send(()).unwrap();
                    is_moved.recv().unwrap();
                }
                sessions::end_session(c, &own.session_id, NOW)
            });
            write.await
        });
        let (store, own) = (world.store.clone(), head.clone());
        let refresh = tokio::spawn(async move {
            let write = store.write(move |c| {
                if refresh_again.load(Ordering::Relaxed) {
                    return Ok::<_, StoreError>(());
                }
                is_noted.recv().unwrap();
                let claim = LeaseClaim { holder: "refresh", node: None, now: NOW, until: NOW.plus(60) };
                assert!(sessions::acquire_lease(c, &own.session_id, claim)?.is_some());
                refresh_again.store(true, Ordering::Relaxed);
                moved.send(()).unwrap();
                events::note_session(c, &own.session_id, EventKind::Refreshed, NOW)
            });
            write.await
        });
        refresh.await.unwrap().unwrap();
        assert!(sweep.await.unwrap().unwrap());
        assert_eq!(world.store.stats().retries, 0, "they waited for each other");
        world.write(order::order_events).await;
        let told: Vec<String> = after(&world, &head, 0).await.into_iter().map(|(_, event)| event).collect();
        assert_eq!(told, ["failed", "refreshed", "ended"]);
    });
}

/// A client that has read an event never misses one that was written earlier and committed later.
#[test]
fn an_event_that_commits_late_comes_late() {
    on_postgres(|world| async move {
        let head = subscribed(&world).await;
        let (written, is_written) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let (store, own) = (world.store.clone(), head.clone());
        let slow = tokio::spawn(async move {
            let write = store.write(move |c| {
                note(c, &own.client_id, EventKind::Started, NOW)?;
                send(c)?;
                written.send(()).unwrap();
                may_go.recv().unwrap();
                Ok::<_, StoreError>(())
            });
            write.await
        });
        tokio::task::spawn_blocking(move || is_written.recv()).await.unwrap().unwrap();
        let own = head.clone();
        world.write(move |c| note(c, &own.client_id, EventKind::Failed, NOW)).await;
        world.write(order::order_events).await;
        let first = after(&world, &head, 0).await;
        assert_eq!(first.len(), 1, "{first:?}");
        assert_eq!(first[0].1, "failed");
        go.send(()).unwrap();
        slow.await.unwrap().unwrap();
        world.write(order::order_events).await;
        let late = after(&world, &head, first[0].0).await;
        assert_eq!(late.len(), 1, "{late:?}");
        assert_eq!(late[0].1, "started");
    });
}

/// A process that hangs while it orders the events of one client does not delay the events of other clients.
#[test]
fn clients_are_ordered_one_by_one() {
    on_postgres(|world| async move {
        let (first, second) = (subscribed(&world).await, subscribed(&world).await);
        for head in [&first, &second] {
            let own = head.clone();
            world.write(move |c| note(c, &own.client_id, EventKind::Started, NOW)).await;
        }
        let own = first.clone();
        let (ordered, is_ordered) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let store = world.store.clone();
        let hanging = tokio::spawn(async move {
            let write = store.write(move |c| {
                order::order_events(c)?;
                ordered.send(()).unwrap();
                may_go.recv().unwrap();
                Ok::<_, StoreError>(())
            });
            write.await
        });
        tokio::task::spawn_blocking(move || is_ordered.recv()).await.unwrap().unwrap();
        let third = subscribed(&world).await;
        let own_third = third.clone();
        world.write(move |c| note(c, &own_third.client_id, EventKind::Started, NOW)).await;
        world.write(move |c| note(c, &own.client_id, EventKind::Failed, NOW)).await;
        world.write(order::order_events).await;
        assert_eq!(after(&world, &third, 0).await.len(), 1);
        assert_eq!(after(&world, &first, 0).await.len(), 0, "its turn is somebody else's");
        go.send(()).unwrap();
        hanging.await.unwrap().unwrap();
        world.write(order::order_events).await;
        assert_eq!(after(&world, &first, 0).await.len(), 2);
    });
}

#[test]
fn ids_grow_and_no_two_events_have_the_same() {
    on_each(|world| async move {
        let (first, second) = (subscribed(&world).await, subscribed(&world).await);
        // A clock that is set back, and more than one batch.
        for at in [NOW, NOW.plus(-60)] {
            for _ in 0..150 {
                for head in [&first, &second] {
                    let own = head.clone();
                    world.write(move |c| note(c, &own.client_id, EventKind::Started, at)).await;
                }
            }
            while world.write(order::order_events).await {}
        }
        assert!(!world.read(order::has_unordered_events).await);
        let mut all = Vec::new();
        for head in [&first, &second] {
            let ids: Vec<i64> = after(&world, head, 0).await.into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids.len(), 300);
            assert!(ids.is_sorted() && ids[0] >= NOW.as_secs() * 1_000_000, "{ids:?}");
            all.extend(ids);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 600, "{}", world.kind);
    });
}

/// Events that wait for one client are not in another one's queue.
#[test]
fn queues_are_apart() {
    on_each(|world| async move {
        let (busy, quiet) = (subscribed(&world).await, subscribed(&world).await);
        let (own, other) = (busy.client_id.clone(), quiet.client_id.clone());
        world
            .write(move |c| {
                (0..50).try_for_each(|_| note(c, &own, EventKind::Started, NOW))?;
                note(c, &other, EventKind::Started, NOW.plus(5))
            })
            .await;
        let (ring, of) = (world.ring.clone(), quiet.client_id.clone());
        let claim = move |c: &mut AnyConnection| {
            deliveries::claim_webhooks(c, &ring, &of, NOW.plus(5), NOW.plus(65), 20)
        };
        assert!(world.write(claim.clone()).await.is_empty(), "they have no order yet");
        world.write(order::order_events).await;
        let mut due = world.read(|c| deliveries::clients_with_due_webhooks(c, NOW.plus(5))).await;
        due.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        let mut both = vec![busy.client_id.clone(), quiet.client_id.clone()];
        both.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(due, both);
        assert_eq!(world.write(claim.clone()).await.len(), 1);
        assert!(world.write(claim).await.is_empty(), "it is claimed");
        let mut backlog = world.read(deliveries::webhook_backlog).await;
        backlog.sort_by_key(|backlog| backlog.waiting);
        let backlog: Vec<_> = backlog.iter().map(|backlog| (backlog.waiting, backlog.oldest_at)).collect();
        assert_eq!(backlog, [(1, NOW.as_secs() + 5), (50, NOW.as_secs())]);
    });
}
