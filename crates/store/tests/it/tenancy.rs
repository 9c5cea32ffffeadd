//! Tenants are apart, whatever a query says. Row-level security is proven as a plain role: it does not hold for the
//! superuser that tests work as everywhere else.

use causeway_store::connections::sweep::sweep_deleted;
use causeway_store::connections::{access, heads, users};
use causeway_store::encryption::columns::ENCRYPTED_COLUMNS;
use causeway_store::encryption::reencrypt::{count_rows, has_encrypted_rows};
use causeway_store::engine::isolation::{Isolation, SHARED_TABLES, TENANT_TABLES, inspect};
use causeway_store::testing::{PgBouncer, TestDatabase, find_number, options};
use causeway_store::{
    AnyConnection, Pooler, Store, StoreError, StoreOptions, TenantScope, TenantStore, clients, sessions,
};
use causeway_types::{TenantId, TenantUser};
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};
use futures_util::future::join_all;

use crate::common::{NOW, World, bearer, client, ring, runtime};
use crate::exercise::{Owned, tenant_with_everything, use_everything, user};
use crate::migrations::with;

/// Rows of a table, without naming the tenant.
fn rows(c: &mut AnyConnection, table: &str) -> Result<i64, StoreError> {
    find_number(c, &format!("SELECT COUNT(*) AS number FROM {table}"))
}

fn all_rows(c: &mut AnyConnection) -> Result<i64, StoreError> {
    TENANT_TABLES.iter().map(|table| rows(c, table)).sum()
}

/// The rows of a tenant in [`TENANT_TABLES`]: one each, and two credentials.
const OF_ONE: i64 = 7;

/// Statements in one tenant's scope that mean another's rows.
async fn attack(acme: &Owned, globex: &Owned, store: &TenantStore) {
    let read = store.read(|scope| all_rows(scope.connection()));
    assert_eq!(read.await.unwrap(), OF_ONE, "without a WHERE");
    let found = store.find(|scope| rows(scope.connection(), "upstream_credential")).await;
    assert_eq!(found.unwrap(), 2);
    for table in TENANT_TABLES {
        let sql = format!("UPDATE {table} SET tenant_id = '{}'", globex.tenant_id);
        let moved =
            store.write(move |scope| Ok::<_, StoreError>(sql_query(&sql).execute(scope.connection())?));
        assert!(moved.await.is_err(), "{table}: a row cannot become another's");
        let sql = format!("UPDATE {table} SET deleted_at = NULL");
        let hit = store.write(move |scope| Ok::<_, StoreError>(sql_query(&sql).execute(scope.connection())?));
        let expected = if table == "upstream_credential" { 2 } else { 1 };
        assert_eq!(hit.await.unwrap(), expected, "{table}: only the tenant's own");
    }
    let insert = format!(
        "INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at) VALUES ('{}', 'n', 'u', 1)",
        globex.tenant_id
    );
    let put = store.write(move |scope| Ok::<_, StoreError>(sql_query(&insert).execute(scope.connection())?));
    assert!(put.await.is_err());
    let (theirs, ours) = (globex.clone(), acme.clone());
    let by_function = store.read(move |scope| {
        let mut found = Vec::new();
        for owned in [&ours, &theirs] {
            found.push(users::find_user(scope, &owned.user)?.is_some());
            found.push(access::has_access(scope, &owned.head.session_id, &owned.client.client_id)?);
        }
        Ok::<_, StoreError>(found)
    });
    assert_eq!(by_function.await.unwrap(), [true, true, false, false]);
    let id = globex.head.session_id.clone();
    let by_id = store.write(move |scope| {
        let ended = heads::end_connection(scope, &id, NOW)?;
        let confirmed = heads::confirm_connection(scope, &id, NOW)?;
        let state = format!(
            "SELECT COUNT(*) AS number FROM upstream_session WHERE session_id = '{id}' AND state = 'active'"
        );
        Ok::<_, StoreError>((ended, confirmed, find_number(scope.connection(), &state)?))
    });
    assert_eq!(by_id.await.unwrap(), (false, false, 1));
}

/// All that holds for a role on which the policies bind.
async fn holds(store: &Store) {
    let world = World { kind: "plain role", store: store.clone(), ring: ring() };
    let acme = tenant_with_everything(&world, "acme").await;
    let globex = tenant_with_everything(&world, "globex").await;
    for _ in 0..2 {
        attack(&acme, &globex, &acme.store(&world)).await;
        attack(&globex, &acme, &globex.store(&world)).await;
        // The setting ends with the transaction, on whatever connection it was.
        for _ in 0..8 {
            assert_eq!(store.read(all_rows).await.unwrap(), 0, "no tenant");
            let found = store.find(|c| rows(c, "upstream_credential")).await;
            assert_eq!(found.unwrap(), 0);
        }
    }
    for nobody in ["", "initech", "acme' OR 'a' = 'a"] {
        let store = store.in_tenant(&TenantId::new(nobody));
        assert_eq!(store.read(|scope| all_rows(scope.connection())).await.unwrap(), 0, "{nobody:?}");
    }
    let changed =
        store.write(|c| Ok::<_, StoreError>(sql_query("DELETE FROM upstream_credential").execute(c)?));
    assert_eq!(changed.await.unwrap(), 0);
    let unset = store.write(|c| {
        let sql = "INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at) VALUES ('acme', 'n', 'u', 1)";
        Ok::<_, StoreError>(sql_query(sql).execute(c)?)
    });
    assert!(unset.await.is_err());
    together(store, [&acme, &globex]).await;
    // Re-encryption reaches the rows of all tenants, one tenant after the other.
    let payload = ENCRYPTED_COLUMNS.iter().find(|one| one.name() == "upstream_credential.payload").unwrap();
    let counted = store.read(|c| Ok::<_, StoreError>((count_rows(c, *payload)?, has_encrypted_rows(c)?)));
    assert_eq!(counted.await.unwrap(), (4, true));
    // So does the end of a client's sessions, which begins without a tenant.
    let (id, ring) = (acme.head.session_id.clone(), world.ring.clone());
    let (tenant_id, client_id) = (acme.tenant_id.clone(), acme.client.client_id.clone());
    let ended = store.write(move |c| {
        clients::delete_client(c, &tenant_id, &client_id, NOW)?;
        while !clients::purge_deleted_clients(c, NOW, 9)?.is_done() {}
        let claimed = sessions::claim_revocation(c, &id, NOW, NOW.plus(60))?.unwrap();
        let credentials = sessions::find_credentials(c, &ring, &claimed.head)?;
        sessions::complete_revocation(c, &id, 1)?;
        Ok::<_, StoreError>((credentials, sessions::find_credentials(c, &ring, &claimed.head)?))
    });
    assert_eq!(ended.await.unwrap(), (Some(bearer("user")), None));
    let tenant = acme.store(&world);
    let live = tenant.read(|scope| {
        let live =
            "SELECT COUNT(*) AS number FROM upstream_credential WHERE deleted_at IS NULL OR payload <> ''";
        find_number(scope.connection(), live)
    });
    assert_eq!(live.await.unwrap(), 0);
    // Whatever enters another tenant in between, a scope stays its own.
    let initech = tenant_with_everything(&world, "initech").await;
    use_everything(&world, &initech).await;
}

/// A tenant that cannot be set is an error, whatever follows.
#[test]
fn a_tenant_that_is_not_set_is_an_error() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = database.store().await;
        let rename = "ALTER FUNCTION pg_catalog.set_config(text, text, boolean) RENAME TO set_config_gone";
        store.write(move |c| Ok::<_, StoreError>(c.batch_execute(rename)?)).await.unwrap();
        let tenant = store.in_tenant(&TenantId::new("acme"));
        let is_named = |result: Result<bool, StoreError>| {
            assert!(
                matches!(&result, Err(StoreError::Query(text)) if text.contains("set_config")),
                "{result:?}"
            );
        };
        let known = || {
            |scope: &mut TenantScope<'_>| Ok::<_, StoreError>(users::find_user(scope, &nobody())?.is_some())
        };
        is_named(tenant.read(known()).await);
        is_named(tenant.find(known()).await);
        let deleted = tenant.write(|scope| users::delete_user(scope, &nobody(), NOW));
        is_named(deleted.await);
        store.close().await;
    });
}

fn nobody() -> TenantUser {
    user(&client(), "nobody")
}

/// A row that comes back while the sweep waits for it stays.
#[test]
fn a_row_that_comes_back_is_not_swept() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = database.store().await;
        let world = World { kind: "postgres", store: store.clone(), ring: ring() };
        let owned = tenant_with_everything(&world, "acme").await;
        let (row, tenant) = (owned.clone(), owned.store(&world));
        let deleted = tenant.write(move |scope| {
            access::delete_access(scope, &row.head.session_id, &row.client.client_id, NOW)
        });
        assert!(deleted.await.unwrap());
        let (locked, is_locked) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel();
        let may_go = std::sync::Mutex::new(may_go);
        let granting = tokio::spawn({
            let tenant = tenant.clone();
            async move {
                let back = tenant.write(move |scope| {
                    let back = "UPDATE connection_access SET deleted_at = NULL";
                    sql_query(back).execute(scope.connection())?;
                    locked.send(()).unwrap();
                    may_go.lock().unwrap().recv().unwrap();
                    Ok::<_, StoreError>(())
                });
                back.await.unwrap();
            }
        });
        tokio::task::spawn_blocking(move || is_locked.recv().unwrap()).await.unwrap();
        let sweeping = tokio::spawn({
            let tenant = tenant.clone();
            async move { tenant.write(move |scope| sweep_deleted(scope, NOW, 9)).await.unwrap() }
        });
        let waits = "SELECT COUNT(*) AS number FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while store.read(move |c| find_number(c, waits)).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        granting.await.unwrap();
        assert_eq!(sweeping.await.unwrap(), 0);
        let left = store.read(|c| rows(c, "connection_access")).await;
        assert_eq!(left.unwrap(), 1);
        store.close().await;
    });
}

/// Look-ups and added rows of several tenants, and of none, that travel together: each is its own tenant's.
async fn together(store: &Store, owned: [&Owned; 2]) {
    let adds = (0..60).map(|index| {
        let owned = owned[index % 2].clone();
        let named = user(&owned.client, &format!("added-{index}"));
        let (store, tenant) = (store.clone(), store.in_tenant(&owned.tenant_id));
        async move {
            let TenantUser { namespace, user_id } = named;
            let add = format!(
                "INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at) VALUES ('{}', '{namespace}', \
                 '{user_id}', {NOW})",
                owned.tenant_id
            );
            let added = tenant.add(move |scope| {
                causeway_store::testing::defer(scope.connection(), &add)
            });
            let counted = tenant.find(|scope| rows(scope.connection(), "upstream_credential"));
            let none = store.find(|c| rows(c, "upstream_credential"));
            let id = owned.client.client_id.clone();
            let client = store.find(move |c| clients::find_client(c, &owned.tenant_id, &id));
            let (added, counted, none, client) = tokio::join!(added, counted, none, client);
            added.unwrap();
            assert_eq!((counted.unwrap(), none.unwrap()), (2, 0));
            assert!(client.unwrap().is_some());
        }
    });
    join_all(adds).await;
    for owned in owned {
        let store = store.in_tenant(&owned.tenant_id);
        let users = store.read(|scope| rows(scope.connection(), "tenant_user")).await;
        assert_eq!(users.unwrap(), 31);
    }
}

#[test]
fn row_level_security_holds_without_any_where() {
    let Some(database) = TestDatabase::postgres() else { return };
    let url = database.as_plain_role();
    runtime().block_on(async {
        let store = Store::open(&url, options()).await.unwrap();
        let isolation = store.read(inspect).await.unwrap().unwrap();
        assert!(isolation.holds(), "{isolation:?}");
        Box::pin(holds(&store)).await;
        store.close().await;
    });
}

#[test]
fn row_level_security_holds_behind_a_transaction_pooler() {
    let Some(database) = TestDatabase::postgres() else { return };
    let Some(pooler) = PgBouncer::before_url(&database.as_plain_role()) else { return };
    runtime().block_on(async {
        let options = StoreOptions { pooler: Pooler::Transaction, postgres_connections: 8, ..options() };
        let store = Store::open(pooler.url(), options).await.unwrap();
        Box::pin(holds(&store)).await;
        store.close().await;
    });
}

/// Each way in which PostgreSQL would not keep tenants apart is reported.
#[test]
fn what_weakens_row_level_security_is_reported() {
    let Some(database) = TestDatabase::postgres() else { return };
    let plain = database.as_plain_role();
    let report = |url| with(url, inspect).unwrap().unwrap();
    assert!(report(&plain).holds());
    let superuser = report(database.url());
    assert!(superuser.is_superuser && !superuser.holds() && !superuser.owned_tables.is_empty());
    assert!(superuser.unprotected_tables.is_empty(), "{superuser:?}");
    let unprotected = |weaken: &str, table: &str| {
        let sql = format!("{weaken};");
        with(database.url(), |c| Ok(c.batch_execute(&sql)?)).unwrap();
        let Isolation { unprotected_tables, .. } = report(&plain);
        assert_eq!(unprotected_tables, [table], "{weaken}");
    };
    let repair = |sql: &str| with(database.url(), |c| Ok(c.batch_execute(sql)?)).unwrap();
    unprotected("ALTER TABLE tenant_user NO FORCE ROW LEVEL SECURITY", "tenant_user");
    repair("ALTER TABLE tenant_user FORCE ROW LEVEL SECURITY");
    unprotected("ALTER TABLE tenant_user DISABLE ROW LEVEL SECURITY", "tenant_user");
    repair("ALTER TABLE tenant_user ENABLE ROW LEVEL SECURITY");
    unprotected("CREATE POLICY more ON managed_account USING (true) WITH CHECK (true)", "managed_account");
    repair("DROP POLICY more ON managed_account");
    unprotected("CREATE POLICY more ON managed_account FOR SELECT USING (true)", "managed_account");
    repair("DROP POLICY more ON managed_account");
    unprotected("DROP POLICY managed_account_of_tenant ON managed_account", "managed_account");
    repair(
        "CREATE POLICY managed_account_of_tenant ON managed_account \
         USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))",
    );
    assert_eq!(report(&plain).unprotected_tables, ["managed_account"], "writes are not compared");
    repair("DROP TABLE IF EXISTS of_the_future; DROP POLICY managed_account_of_tenant ON managed_account");
    repair(
        "CREATE POLICY managed_account_of_tenant ON managed_account \
         USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), '')) \
         WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))",
    );
    assert!(report(&plain).holds());
    repair("DROP POLICY managed_account_of_tenant ON managed_account");
    unprotected(
        "CREATE POLICY managed_account_of_tenant ON managed_account \
         USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), '') OR true) \
         WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))",
        "managed_account",
    );
    repair(
        "ALTER POLICY managed_account_of_tenant ON managed_account \
         USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))",
    );
    assert!(report(&plain).holds());
    repair("CREATE VIEW all_users AS SELECT * FROM tenant_user");
    assert_eq!(report(&plain).open_views, ["all_users"]);
    repair("ALTER VIEW all_users SET (security_invoker = true)");
    assert!(report(&plain).holds());
    repair("CREATE MATERIALIZED VIEW users_once AS SELECT * FROM tenant_user");
    assert_eq!(report(&plain).open_views, ["users_once"]);
    repair("DROP MATERIALIZED VIEW users_once; GRANT TRUNCATE ON tenant_user TO PUBLIC");
    assert_eq!(report(&plain).truncatable_tables, ["tenant_user"]);
    repair("REVOKE TRUNCATE ON tenant_user FROM PUBLIC");
    assert!(report(&plain).holds());
    let member = with(database.url(), |c| {
        c.batch_execute(
            "BEGIN; CREATE ROLE causeway_test_owner SUPERUSER BYPASSRLS;
             CREATE ROLE causeway_test_member NOINHERIT IN ROLE causeway_test_owner;
             ALTER TABLE tenant_user OWNER TO causeway_test_owner; SET LOCAL ROLE causeway_test_member",
        )?;
        let isolation = inspect(c);
        c.batch_execute("ROLLBACK")?;
        isolation
    });
    let member = member.unwrap().unwrap();
    assert!(member.is_superuser && member.bypasses_policies, "it may become one: {member:?}");
    assert_eq!(member.owned_tables, ["tenant_user"]);
    unprotected("CREATE TABLE of_the_future (tenant_id TEXT)", "of_the_future");
}

/// A table with a tenant is under row-level security, or on the list that the documentation explains.
#[test]
fn every_table_with_a_tenant_is_on_one_of_the_lists() {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    for database in TestDatabase::each() {
        let query = match database.kind() {
            "sqlite" => {
                "SELECT t.name AS name FROM sqlite_master t JOIN pragma_table_info(t.name) p \
                 WHERE t.type = 'table' AND p.name = 'tenant_id' ORDER BY t.name"
            }
            _ => {
                "SELECT table_name::text AS name FROM information_schema.columns \
                 WHERE table_schema = 'public' AND column_name = 'tenant_id' ORDER BY table_name"
            }
        };
        let names = with(database.url(), |c| Ok(sql_query(query).load::<Name>(c)?)).unwrap();
        let mut listed: Vec<_> = TENANT_TABLES.iter().chain(&SHARED_TABLES).copied().collect();
        listed.sort_unstable();
        assert_eq!(names.iter().map(|name| &name.name).collect::<Vec<_>>(), listed, "{}", database.kind());
    }
    let architecture = include_str!("../../../../docs/src/architecture.md");
    let section = architecture.split_once("### Tenants").unwrap().1.split_once("\n## ").unwrap().0;
    for table in TENANT_TABLES.iter().chain(&SHARED_TABLES) {
        assert!(section.contains(&format!("`{table}`")), "{table} is not in the documentation");
    }
}
