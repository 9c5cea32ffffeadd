//! Behind a pooler that gives each transaction another connection to the server.

use causeway_store::clients;
use causeway_store::engine::migrate::{self, SchemaState};
use causeway_store::testing::{PgBouncer, TestDatabase, options};
use causeway_store::tokens;
use causeway_store::{Pooler, Store, StoreError, StoreOptions};
use futures_util::future::join_all;

use crate::common::{World, access_token, client, ring, runtime};

/// More than the pooler has to the server.
fn behind(pooler: Pooler) -> StoreOptions {
    StoreOptions { pooler, postgres_connections: 8, ..options() }
}

/// The work of one caller: statements that are prepared everywhere else, in transactions that read and write.
async fn work(world: &World) -> Result<(), StoreError> {
    let (client, session) = {
        let row = client();
        let session = crate::common::session(
            &row,
            causeway_types::SessionKind::Device,
            causeway_types::SessionState::Active,
        );
        (row, session)
    };
    let token = access_token(&session);
    let (row, issued) = (client.clone(), token.clone());
    world
        .store
        .write(move |c| {
            clients::insert_client(c, &row)?;
            tokens::insert_access_token(c, &issued)
        })
        .await?;
    let (hash, tenant, id) = (token.token.clone(), client.tenant_id, client.client_id);
    let found = world
        .store
        .read(move |c| {
            let token = tokens::find_access_token(c, &hash)?;
            Ok::<_, StoreError>((token, clients::find_client(c, &tenant, &id)?))
        })
        .await?;
    assert!(found.0.is_some() && found.1.is_some());
    world.store.write(move |c| tokens::revoke_access_token(c, &token.token)).await.map(drop)
}

#[test]
fn a_transaction_pooler_may_stand_between() {
    let Some(database) = TestDatabase::empty_postgres() else { return };
    let Some(pooler) = PgBouncer::before(&database) else { return };
    let migrated: usize = std::thread::scope(|scope| {
        let up = || migrate::up(pooler.url()).unwrap().len();
        let migrators: Vec<_> = (0..4).map(|_| scope.spawn(up)).collect();
        migrators.into_iter().map(|migrator| migrator.join().unwrap()).sum()
    });
    assert_eq!(migrated, migrate::status(pooler.url()).unwrap().len());
    assert_eq!(migrate::state(pooler.url()).unwrap(), SchemaState::Current);
    runtime().block_on(async {
        let store = Store::open(pooler.url(), behind(Pooler::Transaction)).await.unwrap();
        let world = World { kind: "pooler", store, ring: ring() };
        for _ in 0..3 {
            for done in join_all((0..40).map(|_| work(&world))).await {
                done.unwrap();
            }
        }
        world.store.ready().await.unwrap();
        world.store.close().await;
    });
}

/// The error names the setting that is missing.
#[test]
fn a_transaction_pooler_that_is_not_known_is_named() {
    let Some(database) = TestDatabase::postgres() else { return };
    let Some(pooler) = PgBouncer::before(&database) else { return };
    runtime().block_on(async {
        let store = Store::open(pooler.url(), behind(Pooler::None)).await.unwrap();
        let world = World { kind: "pooler", store, ring: ring() };
        let errors = join_all((0..40).map(|_| work(&world))).await.into_iter().filter_map(Result::err);
        let said: Vec<_> = errors.map(|error| error.to_string()).collect();
        assert!(said.iter().any(|text| text.contains("set database-pooler to transaction")), "{said:?}");
        world.store.close().await;
    });
}
