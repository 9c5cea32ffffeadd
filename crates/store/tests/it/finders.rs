//! Look-ups on PostgreSQL, which are awaited on the async workers: whose connections they use, and for how long.

use std::collections::BTreeSet;

use causeway_store::StoreError;
use causeway_store::testing::{TestDatabase, options};
use diesel::{RunQueryDsl as _, sql_query};
use futures_util::future::join_all;

use crate::common::runtime;
use crate::pipeline::{Number, ask, small_store};

/// Look-ups are awaited on the runtime that they come from: when that one has ended, on the next.
#[test]
fn look_ups_outlive_a_runtime() {
    let Some(database) = TestDatabase::postgres() else { return };
    let first = runtime();
    let store = first.block_on(small_store(database.url(), options().timeout));
    assert_eq!(first.block_on(store.find(|c| ask(c, 1))).unwrap(), 1);
    drop(first);
    let second = runtime();
    assert_eq!(second.block_on(store.find(|c| ask(c, 2))).unwrap(), 2);
    second.block_on(store.close());
}

/// However many threads ask, look-ups use their share of the connections.
#[test]
fn many_threads_share_few_connections() {
    let Some(database) = TestDatabase::postgres() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = small_store(database.url(), options().timeout).await;
        let asking = (0..200).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let asked = sql_query("SELECT pg_backend_pid()::bigint AS number");
                let backend: Number =
                    store.find(move |c| Ok::<_, StoreError>(asked.clone().get_result(c)?)).await?;
                Ok::<_, StoreError>((store.find(move |c| ask(c, number)).await? == number, backend.number))
            })
        });
        let mut backends = BTreeSet::new();
        for asked in join_all(asking).await {
            let (is_own, backend) = asked.unwrap().unwrap();
            assert!(is_own);
            backends.insert(backend);
        }
        assert_eq!(backends.len(), 1, "four connections allow one for look-ups");
        store.close().await;
    });
}
