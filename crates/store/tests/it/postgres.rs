//! Behavior specific to PostgreSQL: lost connections and lost races between transactions.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use causeway_store::clients;
use causeway_store::testing::{TestDatabase, cut_other_connections};
use causeway_store::tokens;
use causeway_store::{Store, StoreError};
use diesel::connection::SimpleConnection as _;
use tracing::Instrument as _;
use tracing_subscriber::filter::LevelFilter;

use crate::common::{World, access_token, client, refresh_token, ring, runtime};

fn on_postgres<Fut: Future<Output = ()>>(test: impl FnOnce(Store) -> Fut) {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = database.store().await;
        test(store.clone()).await;
        store.close().await;
    });
}

#[test]
fn cut_connections_are_replaced() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = database.store().await;
        let executioner = database.store().await;
        // Three connections lie idle.
        let barrier = Arc::new(Barrier::new(3));
        let mut held = Vec::new();
        for _ in 0..3 {
            let (store, barrier) = (store.clone(), Arc::clone(&barrier));
            held.push(tokio::spawn(async move {
                store
                    .read(move |_| {
                        barrier.wait();
                        Ok::<_, StoreError>(())
                    })
                    .await
            }));
        }
        for read in held {
            read.await.unwrap().unwrap();
        }
        executioner.write(cut_other_connections).await.unwrap();
        for _ in 0..4 {
            let row = client();
            store.write(move |c| clients::insert_client(c, &row)).await.unwrap();
            store.ping().await.unwrap();
        }
        // In the middle of a transaction: the caller gets an error, the next one is served.
        let row = client();
        let result: Result<(), StoreError> = store
            .write(move |c| {
                c.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")?;
                clients::insert_client(c, &row)
            })
            .await;
        assert!(result.as_ref().is_err_and(StoreError::is_retryable), "{result:?}");
        store.ping().await.unwrap();
        store.write(|_| Ok::<_, StoreError>(())).await.unwrap();
    });
}

/// The log, line by line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Log lines from the store's own threads belong to the caller's span.
#[test]
fn a_lost_connection_is_said_of_the_request_that_found_it() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = database.store().await;
        store.ping().await.unwrap();
        database.store().await.write(cut_other_connections).await.unwrap();
        store.ping().instrument(tracing::info_span!("asked", by = "mallory")).await.unwrap();
        store.close().await;
    });
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let is_named = |line: &str| line.contains("asked{by=\"mallory\"}") && line.contains("broken connection");
    assert!(said.lines().any(is_named), "{said}");
}

#[test]
fn no_server_is_a_retryable_error_soon() {
    runtime().block_on(async {
        let url = "postgres://nobody@127.0.0.1:1/none".parse().unwrap();
        let opened = Store::open(&url, causeway_store::StoreOptions::default()).await;
        let Err(causeway_store::OpenError::Store(error)) = opened else { panic!("{opened:?}") };
        assert!(error.is_retryable(), "{error}");
    });
}

/// SQLSTATE 22021: trying again would not help.
#[test]
fn text_that_postgres_cannot_hold_is_refused_for_good() {
    on_postgres(|store| async move {
        let mut row = client();
        row.client_name = "a\0b".to_owned();
        let written = store.write(move |c| clients::insert_client(c, &row)).await;
        assert!(matches!(written, Err(StoreError::Query(_))), "{written:?}");
        let sought = causeway_types::TokenHash::from_stored("a\0b");
        let read = store.read(move |c| tokens::find_access_token(c, &sought)).await;
        assert!(matches!(read, Err(StoreError::Query(_))), "{read:?}");
        store.ping().await.unwrap();
        assert_eq!(store.stats().retries, 0);
    });
}

#[test]
fn a_deadlock_is_run_again() {
    on_postgres(|store| async move {
        let rows = [client(), client()];
        let both = rows.clone();
        store.write(move |c| both.iter().try_for_each(|row| clients::insert_client(c, row))).await.unwrap();
        let barrier = Arc::new(Barrier::new(2));
        let mut writers = Vec::new();
        for order in [[0, 1], [1, 0]] {
            let (store, barrier, rows) = (store.clone(), Arc::clone(&barrier), rows.clone());
            let runs = AtomicU32::new(0);
            writers.push(tokio::spawn(async move {
                store
                    .write(move |c| {
                        for (step, index) in order.into_iter().enumerate() {
                            let sql = format!(
                                "UPDATE oauth_client SET updated_at = updated_at + 1 WHERE client_id = '{}'",
                                rows[index].client_id
                            );
                            c.batch_execute(&sql)?;
                            if step == 0 && runs.fetch_add(1, Ordering::Relaxed) == 0 {
                                barrier.wait();
                            }
                        }
                        Ok::<_, StoreError>(())
                    })
                    .await
            }));
        }
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert!(store.stats().retries >= 1);
        for row in rows {
            let found = store
                .read(move |c| clients::find_client(c, &row.tenant_id, &row.client_id))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(found.updated_at, row.updated_at.plus(2));
        }
    });
}

/// A retry adds a sibling pair while the grant is being revoked beside it: whichever is first, no token of
/// the grant is alive afterwards.
#[test]
fn a_pair_does_not_slip_past_a_revocation() {
    on_postgres(|store| async move {
        let world = World { kind: "postgres", store: store.clone(), ring: ring() };
        for _ in 0..30 {
            let (_, session) = world.client_and_session().await;
            let access = access_token(&session);
            let parent = refresh_token(&session, &access, None);
            let row = parent.clone();
            world
                .write(move |c| {
                    tokens::insert_access_token(c, &access)?;
                    tokens::insert_refresh_token(c, &row)
                })
                .await;
            let barrier = Arc::new(Barrier::new(2));
            let child_access = access_token(&session);
            let child = refresh_token(&session, &child_access, Some(&parent));
            let retry = {
                let (store, barrier, child) = (store.clone(), Arc::clone(&barrier), child.clone());
                tokio::spawn(async move {
                    store
                        .write(move |c| {
                            let found = tokens::lock_refresh_token(c, &parent.token)?;
                            assert!(found.is_some_and(|found| found.revoked.is_none()));
                            barrier.wait();
                            tokens::insert_access_token(c, &child_access)?;
                            tokens::insert_refresh_token(c, &child)
                        })
                        .await
                })
            };
            let id = session.session_id.clone();
            let revoke = {
                let (store, barrier) = (store.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    store
                        .write(move |c| {
                            barrier.wait();
                            tokens::revoke_grant(c, &id)
                        })
                        .await
                })
            };
            let _ = retry.await.unwrap();
            revoke.await.unwrap().unwrap();
            let found = world.read(move |c| tokens::find_refresh_token(c, &child.token)).await;
            assert!(found.is_none_or(|found| found.revoked.is_some()), "a live token of a revoked grant");
        }
    });
}
