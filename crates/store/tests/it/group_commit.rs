//! The one writer: what waits together is committed together, and nobody pays for another's fault.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use causeway_domain::client::Client;
use causeway_store::clients;
use causeway_store::testing::TestDatabase;
use causeway_store::{AnyConnection, Store, StoreError, StoreOptions};
use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;

use crate::common::{client, on_each, runtime};

type Job = Box<dyn FnMut(&mut AnyConnection) -> Result<(), StoreError> + Send>;

/// Runs all jobs in one batch: the writer is held up until they all wait.
async fn in_one_batch(store: &Store, jobs: Vec<Job>) -> Vec<Result<(), StoreError>> {
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel::<()>();
    let mut begun = Some(begun);
    let holder = {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(move |_| {
                    if let Some(begun) = begun.take() {
                        let _ = begun.send(());
                    }
                    let _ = held.recv();
                    Ok::<_, StoreError>(())
                })
                .await
        })
    };
    has_begun.await.unwrap();
    let before = store.stats();
    let count = jobs.len() as u64;
    let mut waiting = Vec::new();
    for mut job in jobs {
        let store = store.clone();
        let depth = store.stats().queue_depth;
        let counter = store.clone();
        waiting.push(tokio::spawn(async move { store.write(move |c| job(c)).await }));
        // One after the other, so that their order is known.
        while counter.stats().queue_depth == depth {
            tokio::task::yield_now().await;
        }
    }
    // Dropped rather than signaled: the closure may run again with the batch that it shares.
    drop(release);
    // It shares the batch of those that came while it ran, and their fate.
    let _ = holder.await.unwrap();
    let mut results = Vec::new();
    for job in waiting {
        results.push(job.await.unwrap());
    }
    let after = store.stats();
    assert_eq!(after.batches - before.batches, 1, "one batch");
    assert!(after.largest_batch >= count);
    results
}

fn insert(row: &Client) -> Job {
    let row = row.clone();
    Box::new(move |c| clients::insert_client(c, &row))
}

async fn exists(store: &Store, row: &Client) -> bool {
    let row = row.clone();
    store.read(move |c| clients::find_client(c, &row.tenant_id, &row.client_id)).await.unwrap().is_some()
}

fn on_sqlite<Fut: Future<Output = ()>>(test: impl FnOnce(Store) -> Fut) {
    let database = TestDatabase::sqlite();
    runtime().block_on(async {
        let store = database.store().await;
        test(store.clone()).await;
        store.close().await;
    });
}

#[test]
fn an_error_or_a_panic_rolls_back_its_own_closure_alone() {
    on_sqlite(|store| async move {
        let rows: Vec<Client> = (0..6).map(|_| client()).collect();
        let (failing, panicking, nested) = (rows[1].clone(), rows[3].clone(), rows[4].clone());
        let jobs: Vec<Job> = vec![
            insert(&rows[0]),
            Box::new(move |c| {
                clients::insert_client(c, &failing)?;
                Err(StoreError::Conflict("on purpose"))
            }),
            insert(&rows[2]),
            Box::new(move |c| {
                clients::insert_client(c, &panicking)?;
                // Leaves diesel with an open transaction of its own.
                c.transaction::<(), StoreError, _>(|_| panic!("on purpose"))
            }),
            // A transaction inside the closure is a savepoint, after the panic too.
            Box::new(move |c| {
                clients::insert_client(c, &nested)?;
                let inner = c.transaction::<(), StoreError, _>(|c| {
                    clients::delete_client(c, &nested.tenant_id, &nested.client_id, nested.created_at)?;
                    Err(StoreError::Conflict("inner"))
                });
                assert!(inner.is_err());
                Ok(())
            }),
            insert(&rows[5]),
        ];
        let results = in_one_batch(&store, jobs).await;
        assert!(matches!(results[1], Err(StoreError::Conflict("on purpose"))), "{results:?}");
        assert!(matches!(results[3], Err(StoreError::Panicked)), "{results:?}");
        for (index, there) in [true, false, true, false, true, true].into_iter().enumerate() {
            assert_eq!(results[index].is_ok(), there, "{index}");
            assert_eq!(exists(&store, &rows[index]).await, there, "{index}");
        }
        assert!(store.write(|_| Ok::<_, StoreError>(())).await.is_ok(), "the writer lives");
    });
}

/// Nobody else is concerned: it need not run again.
#[test]
fn who_fails_alone_is_rolled_back_at_once() {
    on_sqlite(|store| async move {
        let (row, runs) = (client(), Arc::new(AtomicUsize::new(0)));
        let (failing, counted) = (row.clone(), Arc::clone(&runs));
        let outcome = store
            .write(move |c| {
                counted.fetch_add(1, Ordering::Relaxed);
                clients::insert_client(c, &failing)?;
                Err::<(), _>(StoreError::Conflict("on purpose"))
            })
            .await;
        assert!(matches!(outcome, Err(StoreError::Conflict("on purpose"))), "{outcome:?}");
        assert!(!exists(&store, &row).await);
        assert_eq!((runs.load(Ordering::Relaxed), store.stats().retries), (1, 0));
        store.write(insert(&row)).await.unwrap();
        assert!(exists(&store, &row).await);
    });
}

#[test]
fn when_the_transaction_is_lost_everybody_is_told_to_retry() {
    for loses in ["ok", "error"] {
        on_sqlite(|store| async move {
            let rows: Vec<Client> = (0..3).map(|_| client()).collect();
            let jobs: Vec<Job> = vec![
                insert(&rows[0]),
                // Does what SQLite does by itself when the disk is full.
                Box::new(move |c| {
                    let ended =
                        c.batch_execute("INSERT OR ROLLBACK INTO oauth_client SELECT * FROM oauth_client");
                    assert!(ended.is_err());
                    if loses == "ok" { Ok(()) } else { Err(StoreError::Conflict("on purpose")) }
                }),
                insert(&rows[2]),
            ];
            for result in in_one_batch(&store, jobs).await {
                assert!(matches!(&result, Err(StoreError::TransactionLost(_))), "{result:?}");
                assert!(result.is_err_and(|error| error.is_retryable()));
            }
            assert!(!exists(&store, &rows[0]).await && !exists(&store, &rows[2]).await);
            assert_eq!(store.stats().lost_batches, 1);
            let again = rows[0].clone();
            store.write(move |c| clients::insert_client(c, &again)).await.unwrap();
            assert!(exists(&store, &rows[0]).await, "the writer goes on");
        });
    }
}

#[test]
fn a_full_disk_is_retryable_and_leaves_nothing_half_written() {
    on_sqlite(|store| async move {
        store
            .write(|c| {
                c.batch_execute("PRAGMA max_page_count = 1")?;
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        let rows: Vec<Client> = (0..200)
            .map(|_| {
                let mut row = client();
                row.client_name = "x".repeat(2000);
                row
            })
            .collect();
        let all = rows.clone();
        let result: Result<(), StoreError> =
            store.write(move |c| all.iter().try_for_each(|row| clients::insert_client(c, row))).await;
        assert!(result.as_ref().is_err_and(StoreError::is_retryable), "{result:?}");
        for row in &rows {
            assert!(!exists(&store, row).await);
        }
        let _ = store
            .write(|c| {
                c.batch_execute("PRAGMA max_page_count = 1000000")?;
                Ok::<_, StoreError>(())
            })
            .await;
        let row = rows[0].clone();
        store.write(move |c| clients::insert_client(c, &row)).await.unwrap();
    });
}

#[test]
fn a_commit_that_fails_is_told_to_everybody() {
    on_sqlite(|store| async move {
        let rows: Vec<Client> = (0..2).map(|_| client()).collect();
        let jobs: Vec<Job> = vec![
            insert(&rows[0]),
            // A deferred foreign key is checked by COMMIT.
            Box::new(|c| {
                c.batch_execute(
                    "PRAGMA defer_foreign_keys = ON; \
                     INSERT INTO oauth_par_request (request_uri, authorization_request, client_id, created_at, expires_at) \
                     VALUES ('u', '{}', 'nobody', 0, 0)",
                )?;
                Ok(())
            }),
            insert(&rows[1]),
        ];
        for result in in_one_batch(&store, jobs).await {
            assert!(matches!(&result, Err(StoreError::TransactionLost(_))), "{result:?}");
        }
        assert!(!exists(&store, &rows[0]).await);
        let again = rows[0].clone();
        store.write(move |c| clients::insert_client(c, &again)).await.unwrap();
    });
}

#[test]
fn what_was_accepted_is_committed_though_the_caller_went_away() {
    on_each(|world| async move {
        let row = client();
        let (begun, has_begun) = mpsc::channel::<()>();
        let (release, held) = mpsc::channel::<()>();
        let (store, inserted) = (world.store.clone(), row.clone());
        let caller = tokio::spawn(async move {
            store
                .write(move |c| {
                    let _ = begun.send(());
                    let _ = held.recv();
                    clients::insert_client(c, &inserted)
                })
                .await
        });
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        while !exists(&world.store, &row).await {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_closed_store_has_done_what_it_accepted() {
    let database = TestDatabase::sqlite();
    runtime().block_on(async {
        let options = StoreOptions { queue_limit: 2, batch_limit: 2, ..StoreOptions::default() };
        let store = Store::open(database.url(), options).await.unwrap();
        let rows: Vec<Client> = (0..20).map(|_| client()).collect();
        let mut callers = Vec::new();
        for row in rows.clone() {
            let store = store.clone();
            callers.push(tokio::spawn(
                async move { store.write(move |c| clients::insert_client(c, &row)).await },
            ));
        }
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert!(store.stats().largest_batch <= 2);
        let clone = store.clone();
        store.close().await;
        let refused = clone.write(|_| Ok::<_, StoreError>(())).await;
        assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
        assert!(matches!(clone.ping().await, Err(StoreError::Closed)));
        let reopened = database.store().await;
        for row in &rows {
            assert!(exists(&reopened, row).await);
        }
    });
}

#[cfg(unix)]
#[test]
fn a_new_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = TestDatabase::empty_sqlite();
    causeway_store::engine::migrate::up(database.url()).unwrap();
    runtime().block_on(async {
        let store = database.store().await;
        let row = client();
        store.write(move |c| clients::insert_client(c, &row)).await.unwrap();
        let path = database.sqlite_path().unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let mode = std::fs::metadata(format!("{}{suffix}", path.display())).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
        store.close().await;
    });
}

/// Somebody moves the file away beside the running server: nothing is acknowledged that nobody will
/// ever see, no empty file is made in its place, and putting it back is all there is to do.
#[tokio::test]
async fn a_database_file_that_is_gone_is_noticed() {
    use causeway_store::StoreError;
    use causeway_store::clients;
    use causeway_types::{ClientId, TenantId};
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    let path = database.sqlite_path().unwrap().to_owned();
    let delete = || {
        store.write::<_, StoreError, _>(|c| {
            clients::delete_client(
                c,
                &TenantId::default_tenant(),
                &ClientId::new("x"),
                causeway_types::Timestamp(0),
            )
        })
    };
    store.ready().await.unwrap();
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    assert!(matches!(delete().await, Err(StoreError::Unavailable(_))));
    assert!(store.ready().await.is_err());
    assert!(!path.exists());
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(delete().await, Err(StoreError::Unavailable(_))), "another file");
    std::fs::rename(&away, &path).unwrap();
    assert!(!delete().await.unwrap());
    store.ready().await.unwrap();
}
