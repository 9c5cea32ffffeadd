//! The schema: the two databases and `schema.rs` say the same.

use std::collections::BTreeMap;

use causeway_store::DatabaseUrl;
use causeway_store::testing::TestDatabase;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::migrations::{ROWS, execute, with};

/// `table.column` to its class of type and whether it may be NULL.
pub(crate) type Columns = BTreeMap<String, String>;

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

pub(crate) fn columns(url: &DatabaseUrl) -> Columns {
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
pub(crate) struct NameRow {
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
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
