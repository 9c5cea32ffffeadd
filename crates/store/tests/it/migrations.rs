//! Migrations: up, down and up again, with rows, beside servers and beside each other.

use causeway_domain::client::{Entitlements, PkcePolicy};
use causeway_store::authorization::codes;
use causeway_store::clients;
use causeway_store::engine::migrate::{self, MigrateError, SchemaState};
use causeway_store::operations::audit::{
    Actor, AuditEvent, AuditFilter, insert_audit_event, list_audit_events,
};
use causeway_store::sessions;
use causeway_store::testing::{TestDatabase, make_newer};
use causeway_store::tokens;
use causeway_store::{AnyConnection, DatabaseUrl, PageRequest, PostgresConnection, StoreError};
use causeway_types::secret::Code;
use causeway_types::{Resource, TenantId, Timestamp, UpstreamSessionId};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_query;

use crate::common::{World, client, ring, runtime, session, token_set};
use crate::schema::{NameRow, columns};

const SESSION_ITERATION: &str = "20261108000000_session_iteration";
const ENTITLEMENT_COLUMNS: &str = "20261130070000_entitlement_columns";
const AUDIT_ACTOR: &str = "20261130070100_audit_actor";

/// Every step, the oldest first.
pub(crate) fn steps() -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|step| step.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn reversed(names: &[String]) -> Vec<String> {
    names.iter().rev().cloned().collect()
}

/// A row in every table, by the columns that there were before `session_iteration`.
pub(crate) const ROWS: &str = "
INSERT INTO oauth_client (client_id, client_name, redirect_uris, grant_types, response_types,
    token_endpoint_auth_method, client_type, created_at, updated_at)
VALUES ('c', 'old', '[]', '[]', '[]', 'none', 'public', 1, 1);
INSERT INTO oauth_access_token (token, client_id, user_id, session_id, session_iteration, created_at, expires_at)
VALUES ('at', 'c', 'did:plc:z72i7hdynmk6r22z27h6tvur', 'us', 1, 1, 9);
INSERT INTO oauth_refresh_token (token, access_token, client_id, user_id, session_id, created_at)
VALUES ('rt', 'at', 'c', 'did:plc:z72i7hdynmk6r22z27h6tvur', 'us', 1);
INSERT INTO oauth_authorization_code (code, client_id, user_id, session_id, redirect_uri, code_challenge,
    code_challenge_method, created_at, expires_at)
VALUES ('ac', 'c', 'did:plc:z72i7hdynmk6r22z27h6tvur', 'us', 'https://a.example',
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 'S256', 1, 9);
INSERT INTO oauth_par_request (request_uri, authorization_request, client_id, created_at, expires_at)
VALUES ('u', '{}', 'c', 1, 9);
INSERT INTO oauth_dpop_nonce (nonce, expires_at) VALUES ('n', 9);
INSERT INTO oauth_auth_request (session_id, client_id, redirect_uri, response_type, created_at, expires_at, browser_id)
VALUES ('ar', 'c', 'https://a.example', 'code', 1, 9, 'b');
INSERT INTO oauth_atp_session (session_id, iteration, session_created_at, atp_oauth_state, signing_key_jkt, dpop_key)
VALUES ('us', 1, 1, '', 'jkt', 'encrypted');
INSERT INTO oauth_atp_request (oauth_state, authorization_server, nonce, pkce_verifier, signing_public_key,
    dpop_private_key, created_at, expires_at, auth_request_id, browser_id, pds, upstream_client_id, upstream_auth,
    upstream_redirect_uri, dpop_jkt)
VALUES ('s', 'https://pds.example', '', '', '', '', 1, 9, 'ar', 'b', '', '', '{}', '', '');
";

/// A row in every table of tenants and connections.
pub(crate) const OF_TENANT: &str = "
INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at) VALUES ('default', 'c', '17', 1);
INSERT INTO provider_registration (registration_id, tenant_id, provider, issuer, origin, client_id,
    token_endpoint_auth_method, redirect_uri, state, created_at, updated_at)
VALUES ('pr', 'default', 'example', 'https://id.example', 'operator', 'x', 'none', 'r', 'active', 1, 1);
INSERT INTO social_identity (social_identity_id, tenant_id, namespace, user_id, provider, issuer, subject, created_at,
    updated_at)
VALUES ('si', 'default', 'c', '17', 'example', 'https://id.example', 'u', 1, 1);
INSERT INTO managed_account (managed_account_id, tenant_id, social_identity_id, subject, tasks, created_at, updated_at)
VALUES ('ma', 'default', 'si', 'page', '[]', 1, 1);
INSERT INTO upstream_session (session_id, client_id, provider, subject, binding, session_kind, state, browser_id,
    iteration, created_at, last_used_at, namespace, user_id, account_slot, device_slot, registration_id,
    social_identity_id)
VALUES ('other', 'c', 'example', 'u', '{}', 'background', 'active', 'b', 1, 1, 1, 'c', '17', '', '', 'pr', 'si');
INSERT INTO upstream_credential (credential_id, tenant_id, session_id, iteration, namespace, user_id, provider,
    session_kind, account_slot, device_slot, credential_kind, social_identity_id, payload, state, created_at, updated_at,
    granted_scope)
VALUES ('other', 'default', 'other', 1, 'c', '17', 'example', 'background', '', '', 'user', 'si', 'encrypted', 'active',
    1, 1, 'read');
INSERT INTO upstream_credential (credential_id, tenant_id, session_id, iteration, namespace, user_id, provider,
    session_kind, account_slot, device_slot, credential_kind, social_identity_id, managed_account_id, payload, state,
    created_at, updated_at, granted_scope)
VALUES ('page', 'default', 'other', 1, 'c', '17', 'example', 'background', '', '', 'page', 'si', 'ma', 'encrypted',
    'active', 1, 1, 'post');
INSERT INTO connection_access (tenant_id, client_id, connection_id, granted_by, created_at)
VALUES ('default', 'c', 'other', 'creation', 1);
INSERT INTO connect_session (token, connect_session_id, tenant_id, client_id, namespace, user_id, providers, session_kind,
    parameters, force_reauth, connection_id, created_at, expires_at)
VALUES ('t', 'cs', 'default', 'c', 'c', '17', '[]', '[]', '{}', FALSE, 'other', 1, 9);
INSERT INTO upstream_pending (state, tenant_id, client_id, namespace, user_id, provider, registration_id, session_kind,
    browser_id, connect_session_id, payload, created_at, expires_at)
VALUES ('s', 'default', 'c', 'c', '17', 'example', 'pr', 'background', 'b', 'cs', 'encrypted', 1, 9);
INSERT INTO work_queue (tenant_id, kind, row_id, due_at) VALUES ('default', 'refresh', 'other', 9);
";

pub(crate) fn execute(url: &DatabaseUrl, sql: &str) {
    let result: Result<(), StoreError> = with(url, |c| Ok(c.batch_execute(sql)?));
    result.unwrap();
}

pub(crate) fn with<T>(
    url: &DatabaseUrl,
    f: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut conn = match url {
        DatabaseUrl::Sqlite { path } => {
            AnyConnection::Sqlite(SqliteConnection::establish(path.to_str().unwrap()).unwrap())
        }
        DatabaseUrl::Postgres(url) => AnyConnection::Postgres(PostgresConnection::establish(url).unwrap()),
    };
    f(&mut conn)
}

fn applied(url: &DatabaseUrl) -> Vec<bool> {
    migrate::status(url).unwrap().into_iter().map(|status| status.applied).collect()
}

#[test]
fn up_down_and_up_with_rows_in_every_table() {
    let steps = steps();
    let last = &steps[steps.len() - 1..];
    for database in TestDatabase::each_empty() {
        let url = database.url();
        assert_eq!(migrate::state(url).unwrap(), SchemaState::Empty);
        if let Some(path) = database.sqlite_path() {
            assert!(!path.exists(), "asking makes no file");
        }
        assert_eq!(migrate::up(url).unwrap(), steps);
        assert!(migrate::up(url).unwrap().is_empty());
        assert_eq!(migrate::state(url).unwrap(), SchemaState::Current);
        execute(url, ROWS);
        execute(
            url,
            "INSERT INTO upstream_session (session_id, client_id, did, session_kind, state, browser_id, iteration, \
             issuer, pds, upstream_client_id, upstream_auth, upstream_redirect_uri, created_at, last_used_at) \
             VALUES ('us', 'c', 'd', 'device', 'active', 'b', 1, 'i', 'p', 'x', '{}', 'r', 1, 1); \
             INSERT INTO signing_key VALUES ('k', 'p', 'ES256', '{}', 'encrypted', 1, NULL);",
        );
        execute(url, OF_TENANT);
        assert_eq!(migrate::down(url, 1).unwrap(), last);
        assert_eq!(migrate::state(url).unwrap(), SchemaState::Behind { pending: 1 });
        assert_eq!(applied(url).iter().filter(|applied| !**applied).count(), 1);
        assert_eq!(migrate::up(url).unwrap(), last);
        for name in reversed(&steps) {
            assert_eq!(migrate::down(url, 1).unwrap(), [name]);
        }
        assert_eq!(migrate::state(url).unwrap(), SchemaState::Empty);
        assert!(applied(url).iter().all(|applied| !applied));
        assert!(columns(url).is_empty(), "nothing is left");
        assert_eq!(migrate::up(url).unwrap(), steps);
        execute(url, ROWS);
    }
}

#[test]
fn rows_older_than_session_iteration_mean_the_head() {
    let steps = steps();
    let since = steps.iter().position(|name| name == SESSION_ITERATION).unwrap();
    for database in TestDatabase::each_empty() {
        let url = database.url();
        migrate::up(url).unwrap();
        migrate::down(url, steps.len() - since).unwrap();
        execute(url, ROWS);
        execute(url, "DELETE FROM oauth_atp_session");
        assert_eq!(migrate::up(url).unwrap(), steps[since..]);
        runtime().block_on(async {
            let world = World { kind: database.kind(), store: database.store().await, ring: ring() };
            let mut head =
                session(&client(), causeway_types::SessionKind::Device, causeway_types::SessionState::Active);
            head.session_id = UpstreamSessionId::new("us");
            head.iteration = 9;
            let ring = world.ring.clone();
            world.write(move |c| sessions::insert_session(c, &ring, &head, &token_set("9"))).await;
            let refresh = world
                .read(|c| tokens::find_refresh_token(c, &causeway_types::TokenHash::from_stored("rt")))
                .await;
            assert_eq!(refresh.map(|token| token.session_iteration), Some(None));
            let old = causeway_types::TokenHash::<Code>::from_stored("ac");
            let code = world.write(move |c| codes::consume_code(c, &old, causeway_types::Timestamp(5))).await;
            assert_eq!(code.map(|code| code.session_iteration), Some(9), "{}", world.kind);
            world.store.close().await;
        });
    }
}

#[test]
fn entitlements_leave_the_metadata_and_return_to_it() {
    const GRANTED: &str = r#"{"client_uri":"https://a.example","allow_background_access":true,"id_token_claims":true,
        "pkce":"nonce","allowed_resources":["urn:a:b"]}"#;
    let steps = steps();
    let since = steps.iter().position(|name| name == ENTITLEMENT_COLUMNS).unwrap();
    for database in TestDatabase::each_empty() {
        let url = database.url();
        migrate::up(url).unwrap();
        migrate::down(url, steps.len() - since).unwrap();
        execute(url, ROWS);
        execute(url, &format!("UPDATE oauth_client SET metadata = '{GRANTED}'"));
        execute(
            url,
            "INSERT INTO oauth_client (client_id, client_name, redirect_uris, grant_types, response_types, \
             token_endpoint_auth_method, client_type, created_at, updated_at) \
             VALUES ('plain', 'old', '[]', '[]', '[]', 'none', 'public', 1, 1)",
        );
        migrate::up(url).unwrap();
        let found = |id: &str| {
            let id = causeway_types::ClientId::new(id);
            let tenant = causeway_types::TenantId::default_tenant();
            with(url, |c| clients::find_client(c, &tenant, &id)).unwrap().unwrap()
        };
        let client = found("c");
        let granted = Entitlements {
            background_access: true,
            session_export: false,
            id_token_claims: true,
            pkce: PkcePolicy::Nonce,
            allowed_resources: vec![Resource::parse("urn:a:b").unwrap()],
            ..Entitlements::default()
        };
        assert_eq!(client.entitlements, granted, "{:?}", database.kind());
        assert_eq!(client.metadata.keys().collect::<Vec<_>>(), ["client_uri"]);
        assert_eq!(found("plain").entitlements, Entitlements::default());
        migrate::down(url, steps.len() - since).unwrap();
        let metadata = |id| {
            let query = format!("SELECT metadata AS name FROM oauth_client WHERE client_id = '{id}'");
            let rows = with(url, |c| Ok(sql_query(query).load::<NameRow>(c)?)).unwrap();
            serde_json::from_str::<serde_json::Value>(&rows[0].name).unwrap()
        };
        assert_eq!(metadata("c"), serde_json::from_str::<serde_json::Value>(GRANTED).unwrap());
        assert_eq!(metadata("plain"), serde_json::json!({}));
    }
}

#[test]
fn audit_events_of_users_are_readable_after_the_renaming_of_their_actor() {
    let steps = steps();
    let since = steps.iter().position(|name| name == AUDIT_ACTOR).unwrap();
    let tenant = TenantId::default_tenant();
    let event = AuditEvent::new(tenant.clone(), Timestamp(1), Actor::User, "sign_in", "ok");
    for database in TestDatabase::each_empty() {
        let url = database.url();
        migrate::up(url).unwrap();
        with(url, |c| insert_audit_event(c, &event)).unwrap();
        let listed =
            || with(url, |c| list_audit_events(c, &tenant, &AuditFilter::default(), &PageRequest::first(9)));
        migrate::down(url, steps.len() - since).unwrap();
        assert!(listed().is_err(), "it has the name that the version before reads");
        migrate::up(url).unwrap();
        assert_eq!(listed().unwrap().items, std::slice::from_ref(&event), "{:?}", database.kind());
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    for database in TestDatabase::each() {
        let url = database.url();
        with(url, |c| make_newer(c, false)).unwrap();
        let unknown = vec!["20991231000000".to_owned()];
        assert_eq!(migrate::state(url).unwrap(), SchemaState::Ahead { unknown });
        assert!(matches!(migrate::up(url), Err(MigrateError::Unknown(_))));
        assert!(matches!(migrate::down(url, 1), Err(MigrateError::Unknown(_))));
    }
}

#[test]
fn a_store_is_ready_on_exactly_our_schema() {
    async fn ready(database: &TestDatabase) -> Result<(), StoreError> {
        let store = database.store().await;
        let ready = store.ready().await;
        store.close().await;
        ready
    }
    runtime().block_on(async {
        for database in TestDatabase::each_empty() {
            let url = database.url();
            let empty = ready(&database).await;
            assert!(matches!(empty, Err(StoreError::Schema(SchemaState::Empty))), "{empty:?}");
            migrate::up(url).unwrap();
            ready(&database).await.unwrap();
            migrate::down(url, 1).unwrap();
            let behind = ready(&database).await.unwrap_err();
            assert!(matches!(behind, StoreError::Schema(SchemaState::Behind { pending: 1 })), "{behind:?}");
            assert!(behind.to_string().contains("causeway migrate up") && !behind.is_retryable());
            migrate::up(url).unwrap();
            with(url, |c| make_newer(c, false)).unwrap();
            let ahead = ready(&database).await.unwrap_err();
            assert!(matches!(ahead, StoreError::Schema(SchemaState::Ahead { .. })), "{ahead:?}");
            assert!(ahead.to_string().contains("20991231000000"), "{ahead}");
        }
    });
}

/// A newer program has migrated the database, by steps beside which this one may run: it works on, and it may start.
#[test]
fn a_newer_schema_that_is_compatible_is_used() {
    for database in TestDatabase::each() {
        let url = database.url();
        runtime().block_on(async {
            let store = database.store().await;
            with(url, |c| make_newer(c, true)).unwrap();
            let unknown = vec!["20991231000000".to_owned()];
            assert_eq!(migrate::state(url).unwrap(), SchemaState::Compatible { unknown });
            assert_eq!(
                migrate::up(url).unwrap(),
                Vec::<String>::new(),
                "there is nothing for this one to do"
            );
            for store in [store, database.store().await] {
                store.ready().await.unwrap();
                let (row, found) = (client(), client());
                let id = row.client_id.clone();
                store.write(move |c| clients::insert_client(c, &row)).await.unwrap();
                let read = store.read(move |c| clients::find_client(c, &found.tenant_id, &id)).await;
                assert!(read.unwrap().is_some());
                store.close().await;
            }
            // One of our own is missing, too: then nobody knows what that makes.
            execute(url, "DELETE FROM __diesel_schema_migrations WHERE version = '20261124000000'");
            assert!(matches!(migrate::state(url).unwrap(), SchemaState::Ahead { .. }));
        });
    }
}

/// The first line of each step from these on says whether the version before may run beside it; when it may not,
/// the schema says so, too.
#[test]
fn each_step_says_whether_the_version_before_may_run_beside_it() {
    const SAYS: &str = "-- The version before may run beside this: ";
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    for step in steps().into_iter().filter(|step| step.as_str() >= ENTITLEMENT_COLUMNS) {
        for database in ["sqlite", "postgres"] {
            let read = |file: &str| {
                std::fs::read_to_string(format!("{migrations}/{database}/{step}/{file}")).unwrap()
            };
            let (up, down) = (read("up.sql"), read("down.sql"));
            let said = up.lines().next().and_then(|line| line.strip_prefix(SAYS));
            let version = step.split('_').next().unwrap();
            let raises = up.contains(&format!("UPDATE schema_floor SET version = '{version}'"));
            match said {
                Some("yes.") => assert!(!raises, "{step}"),
                Some("no.") => assert!(raises && down.contains("UPDATE schema_floor"), "{step}"),
                _ => panic!("{database} {step}: its first line is \"{SAYS}yes.\" or \"{SAYS}no.\""),
            }
        }
    }
}

#[test]
fn only_one_migrates_at_a_time() {
    for database in TestDatabase::each_empty() {
        let start = std::sync::Barrier::new(8);
        let migrate_up = || {
            start.wait();
            migrate::up(database.url()).unwrap().len()
        };
        let applied: usize = std::thread::scope(|scope| {
            let migrators: Vec<_> = (0..8).map(|_| scope.spawn(migrate_up)).collect();
            migrators.into_iter().map(|migrator| migrator.join().unwrap()).sum()
        });
        assert_eq!(applied, steps().len(), "{}", database.kind());
    }
}
