//! Whether PostgreSQL keeps tenants apart by itself: row-level security binds no superuser, no role with `BYPASSRLS` and,
//! unless it is forced, no owner of a table.

use diesel::sql_types::{Bool, Text};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;

/// Tables under row-level security: a row of them is a tenant's and nobody else's business.
pub const TENANT_TABLES: [&str; 6] = [
    "connection_access",
    "managed_account",
    "provider_registration",
    "social_identity",
    "tenant_user",
    "upstream_credential",
];

/// Tables with a tenant that are not under row-level security: they are found by a secret before the tenant is known, or
/// worked through for all tenants at once. The documentation lists them with the reason of each.
pub const SHARED_TABLES: [&str; 14] = [
    "account_proof",
    "audit_event",
    "connect_session",
    "consent",
    "device_authorization",
    "event_outbox",
    "event_subscription",
    "oauth_auth_request",
    "oauth_client",
    "tenant",
    "tenant_client",
    "upstream_pending",
    "upstream_session",
    "work_queue",
];

/// PostgreSQL's view of a role and of the tables with a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// The role that the store works as.
    pub role: String,
    /// Whether it is a superuser, or may become one.
    pub is_superuser: bool,
    /// Whether it has `BYPASSRLS`, or may become a role that does.
    pub bypasses_policies: bool,
    /// Tables that it owns, itself or as a member of the role that does.
    pub owned_tables: Vec<String>,
    /// Tables of tenants that it may truncate, which no policy prevents.
    pub truncatable_tables: Vec<String>,
    /// Views of tables of tenants that are read with the rights of the view's owner.
    pub open_views: Vec<String>,
    /// Tables with a `tenant_id` that are neither [`SHARED_TABLES`] nor under forced row-level security, by policies
    /// that let through the rows of the tenant alone.
    pub unprotected_tables: Vec<String>,
}

impl Isolation {
    /// Whether the database keeps tenants apart, whatever a query says.
    pub const fn holds(&self) -> bool {
        !self.is_superuser
            && !self.bypasses_policies
            && self.owned_tables.is_empty()
            && self.truncatable_tables.is_empty()
            && self.open_views.is_empty()
            && self.unprotected_tables.is_empty()
    }
}

/// A member of a role may become it, whether it inherits its rights or not.
const ROLE: &str = "SELECT current_user::text AS role, bool_or(rolsuper) AS is_superuser, \
    bool_or(rolbypassrls) AS bypasses_policies FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')";
/// Tables of the schema in use.
const OWNED: &str = "SELECT relname::text AS name FROM pg_class \
    WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace \
    AND pg_has_role(relowner, 'MEMBER') ORDER BY 1";
const TRUNCATABLE: &str = "SELECT c.relname::text AS name FROM pg_class c \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped \
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace \
    AND has_table_privilege(c.oid, 'TRUNCATE') ORDER BY 1";
/// Views by the tables that they read, whatever schema they are in. The contents of a materialized view are nobody's.
const VIEWS: &str = "SELECT DISTINCT v.relname::text AS name, c.relname::text AS of_table FROM pg_class v \
    JOIN pg_rewrite r ON r.ev_class = v.oid \
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid \
        AND d.refclassid = 'pg_class'::regclass \
    JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p') \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped \
    WHERE c.relnamespace = current_schema()::regnamespace AND (v.relkind = 'm' OR v.relkind = 'v' \
        AND NOT COALESCE(v.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', \
            'security_invoker=1', 'security_invoker=yes'], FALSE)) ORDER BY 1, 2";
/// A policy of another kind than `ALL`, for some roles only, or with any other condition on either side protects less.
const UNPROTECTED: &str = "SELECT c.relname::text AS name FROM pg_class c \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped \
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace \
    AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND COALESCE(( \
        SELECT bool_and(p.polcmd = '*' AND p.polroles = '{0}' \
            AND COALESCE(pg_get_expr(p.polqual, p.polrelid) = $1, FALSE) \
            AND COALESCE(pg_get_expr(p.polwithcheck, p.polrelid) = $1, FALSE)) \
        FROM pg_policy p WHERE p.polrelid = c.oid), FALSE)) ORDER BY 1";
/// The condition of the policies, as PostgreSQL prints it.
const CONDITION: &str = "(tenant_id = NULLIF(current_setting('causeway.tenant'::text, true), ''::text))";

#[derive(QueryableByName)]
struct Role {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Bool)]
    is_superuser: bool,
    #[diesel(sql_type = Bool)]
    bypasses_policies: bool,
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct View {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    of_table: String,
}

/// Inspects the role of this connection and the tables with a tenant; `None` on SQLite, which knows neither roles nor
/// row-level security.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn inspect(c: &mut AnyConnection) -> Result<Option<Isolation>, StoreError> {
    if let AnyConnection::Sqlite(_) = c {
        return Ok(None);
    }
    let Role { role, is_superuser, bypasses_policies } = sql_query(ROLE).get_result(c)?;
    let names = |tables: Vec<Table>| {
        let names = tables.into_iter().map(|table| table.name);
        names.filter(|name| !SHARED_TABLES.contains(&name.as_str())).collect::<Vec<_>>()
    };
    let owned_tables = sql_query(OWNED).load::<Table>(c)?.into_iter().map(|table| table.name).collect();
    let truncatable_tables = names(sql_query(TRUNCATABLE).load(c)?);
    let unprotected_tables = names(sql_query(UNPROTECTED).bind::<Text, _>(CONDITION).load(c)?);
    let mut open_views: Vec<_> = sql_query(VIEWS)
        .load::<View>(c)?
        .into_iter()
        .filter(|view| !SHARED_TABLES.contains(&view.of_table.as_str()))
        .map(|view| view.name)
        .collect();
    open_views.dedup();
    Ok(Some(Isolation {
        role,
        is_superuser,
        bypasses_policies,
        owned_tables,
        truncatable_tables,
        open_views,
        unprotected_tables,
    }))
}
