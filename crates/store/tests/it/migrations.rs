//! Up, down and up again; the two databases and `schema.rs` say the same.

use std::collections::BTreeMap;

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
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::common::{World, client, ring, runtime, session, token_set};

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
const ROWS: &str = "
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

/// `table.column` to its class of type and whether it may be NULL.
type Columns = BTreeMap<String, String>;

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    data_type: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
    #[diesel(sql_type = Nullable<Text>)]
    default_value: Option<String>,
}

const SQLITE_COLUMNS: &str = "SELECT m.name AS table_name, p.name AS column_name, p.type AS data_type, \
    p.\"notnull\" = 0 AS nullable, p.dflt_value AS default_value \
    FROM sqlite_master m JOIN pragma_table_info(m.name) p \
    WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'";
const POSTGRES_COLUMNS: &str = "SELECT table_name::text, column_name::text, data_type::text, \
    is_nullable = 'YES' AS nullable, column_default::text AS default_value \
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%'";

fn column_rows(url: &DatabaseUrl) -> Vec<ColumnRow> {
    let sql = match url {
        DatabaseUrl::Sqlite { .. } => SQLITE_COLUMNS,
        DatabaseUrl::Postgres(_) => POSTGRES_COLUMNS,
    };
    with(url, |c| Ok(sql_query(sql).load(c)?)).unwrap()
}

fn class(data_type: &str) -> &'static str {
    match data_type.to_ascii_lowercase().as_str() {
        "text" => "Text",
        "integer" | "bigint" => "BigInt",
        "boolean" => "Bool",
        other => panic!("no class for the type {other}"),
    }
}

fn described(class: &str, nullable: bool) -> String {
    if nullable { format!("Nullable<{class}>") } else { class.to_owned() }
}

fn columns(url: &DatabaseUrl) -> Columns {
    let of = |row: ColumnRow| {
        (format!("{}.{}", row.table_name, row.column_name), described(class(&row.data_type), row.nullable))
    };
    column_rows(url).into_iter().map(of).collect()
}

/// Defaults in one notation: `'default'::text` and `'default'`, `false` and `0`.
fn defaults(url: &DatabaseUrl) -> Columns {
    let plain = |text: String| match text.trim_end_matches("::text").trim_end_matches("::bigint") {
        "false" => "0".to_owned(),
        "true" => "1".to_owned(),
        other => other.trim_matches('\'').to_owned(),
    };
    column_rows(url)
        .into_iter()
        .filter_map(|row| {
            row.default_value.map(|value| (format!("{}.{}", row.table_name, row.column_name), plain(value)))
        })
        .collect()
}

/// The tables of the store, read from the text of their declarations.
fn schema_rs() -> Columns {
    let mut columns = Columns::new();
    let mut table = "";
    let texts = [include_str!("../../src/schema.rs"), include_str!("../../src/schema/connections.rs")];
    for line in texts.into_iter().flat_map(str::lines).map(str::trim) {
        if let Some((column, kind)) = line.split_once(" -> ") {
            columns.insert(format!("{table}.{column}"), kind.trim_end_matches(',').to_owned());
        } else if let Some((name, _)) = line.split_once(" (")
            && line.ends_with('{')
        {
            table = name;
        }
    }
    columns
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

fn names(url: &DatabaseUrl, sqlite: &str, postgres: &str) -> Vec<String> {
    let sql = match url {
        DatabaseUrl::Sqlite { .. } => sqlite,
        DatabaseUrl::Postgres(_) => postgres,
    };
    let rows: Vec<NameRow> = with(url, |c| Ok(sql_query(sql).load(c)?)).unwrap();
    let mut names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
    names.sort();
    names
}

fn indexes(url: &DatabaseUrl) -> Vec<String> {
    names(
        url,
        "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx%'",
        "SELECT indexname::text AS name FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'idx%'",
    )
}

/// `table.columns -> table.columns (on delete)`.
fn foreign_keys(url: &DatabaseUrl) -> Vec<String> {
    names(
        url,
        "SELECT t.name || '.' || group_concat(k.\"from\", ',' ORDER BY k.seq) || ' -> ' || k.\"table\" || '.' || \
            group_concat(k.\"to\", ',' ORDER BY k.seq) || \
            CASE k.on_delete WHEN 'CASCADE' THEN ' cascade' ELSE ' other' END AS name \
         FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) k WHERE t.type = 'table' GROUP BY t.name, k.id",
        "SELECT c.conrelid::regclass::text || '.' || o.names || ' -> ' || c.confrelid::regclass::text || '.' || \
            t.names || CASE c.confdeltype WHEN 'c' THEN ' cascade' ELSE ' other' END AS name FROM pg_constraint c \
         CROSS JOIN LATERAL (SELECT string_agg(a.attname, ',' ORDER BY k.n) AS names \
            FROM unnest(c.conkey) WITH ORDINALITY k (number, n) \
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) o \
         CROSS JOIN LATERAL (SELECT string_agg(a.attname, ',' ORDER BY k.n) AS names \
            FROM unnest(c.confkey) WITH ORDINALITY k (number, n) \
            JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number) t \
         WHERE c.contype = 'f'",
    )
}

/// Columns of primary keys, in order.
fn primary_keys(url: &DatabaseUrl) -> Vec<String> {
    names(
        url,
        "SELECT m.name || '.' || p.name || ' ' || p.pk AS name FROM sqlite_master m \
         JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND p.pk > 0 AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'",
        "SELECT table_name || '.' || column_name || ' ' || ordinal_position AS name \
         FROM information_schema.key_column_usage \
         WHERE constraint_schema = 'public' AND constraint_name LIKE '%\\_pkey' AND table_name NOT LIKE '\\_\\_%'",
    )
}

#[test]
fn schema_rs_is_what_the_migrations_make() {
    let schema = schema_rs();
    assert!(schema.len() > 100, "{}", schema.len());
    for database in TestDatabase::each() {
        assert_eq!(columns(database.url()), schema, "{}", database.kind());
    }
}

#[test]
fn both_databases_have_the_same_schema() {
    let databases = TestDatabase::each();
    let [sqlite, postgres] = databases.as_slice() else { return };
    let (sqlite, postgres) = (sqlite.url(), postgres.url());
    assert_eq!(columns(sqlite), columns(postgres));
    assert_eq!(defaults(sqlite), defaults(postgres));
    assert_eq!(indexes(sqlite), indexes(postgres));
    assert_eq!(foreign_keys(sqlite), foreign_keys(postgres));
    assert_eq!(primary_keys(sqlite), primary_keys(postgres));
}

/// Operators query with their own tools: these names are a stable interface.
#[test]
fn the_promised_tables_indexes_and_keys() {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    for database in TestDatabase::each() {
        let url = database.url();
        let tables: std::collections::BTreeSet<String> = columns(url)
            .into_keys()
            .filter_map(|name| name.split_once('.').map(|(table, _)| table.to_owned()))
            .collect();
        let oauth: Vec<&str> =
            tables.iter().map(String::as_str).filter(|name| name.starts_with("oauth_")).collect();
        assert_eq!(
            oauth,
            [
                "oauth_access_token",
                "oauth_atp_request",
                "oauth_atp_session",
                "oauth_auth_request",
                "oauth_authorization_code",
                "oauth_client",
                "oauth_dpop_nonce",
                "oauth_par_request",
                "oauth_refresh_token",
            ]
        );
        let indexes = indexes(url);
        for promised in [
            "idx_oauth_access_token_expires_at",
            "idx_oauth_access_token_client_id",
            "idx_oauth_access_token_user_id",
            "idx_oauth_access_token_dpop_jkt",
            "idx_oauth_refresh_token_expires_at",
            "idx_oauth_refresh_token_client_id",
            "idx_oauth_par_request_expires_at",
            "idx_oauth_dpop_nonce_expires_at",
            "idx_oauth_auth_request_expires_at",
            "idx_oauth_auth_request_client_id",
            "idx_oauth_atp_session_did",
            "idx_oauth_atp_request_expires_at",
        ] {
            assert!(indexes.iter().any(|name| name == promised), "{promised}");
        }
        let to_client = |table: &str| format!("{table}.client_id -> oauth_client.client_id cascade");
        let to_session = |table: &str| format!("{table}.session_id -> upstream_session.session_id cascade");
        let (of_tenant, others): (Vec<_>, Vec<_>) =
            foreign_keys(url).into_iter().partition(|name| name.contains(".tenant_id,"));
        let to_tenant = |table: &str| format!("{table}.tenant_id -> tenant.tenant_id other");
        assert_eq!(
            others,
            [
                to_client("consent"),
                to_client("device_authorization"),
                to_client("event_subscription"),
                to_session("iteration_history"),
                to_client("oauth_access_token"),
                to_client("oauth_auth_request"),
                to_client("oauth_par_request"),
                to_client("oauth_refresh_token"),
                to_tenant("provider_registration"),
                to_session("refresh_refusal"),
                to_client("tenant_client"),
                to_tenant("tenant_client"),
                to_tenant("tenant_user"),
                to_tenant("work_queue"),
            ]
        );
        // Everything among the tables of tenants leads to a row of the same tenant.
        assert_eq!(of_tenant.len(), 18, "{of_tenant:#?}");
        assert!(of_tenant.iter().all(|name| name.split_once(" -> ").unwrap().1.contains(".tenant_id,")));
        execute(url, ROWS);
        let defaults: Count = with(url, |c| {
            Ok(sql_query(
                "SELECT count(*) AS count FROM oauth_client WHERE metadata = '{}' AND tenant_id = 'default' \
                 AND access_token_expiration = 86400 AND refresh_token_expiration = 1209600",
            )
            .get_result(c)?)
        })
        .unwrap();
        assert_eq!(defaults.count, 1);
    }
}
