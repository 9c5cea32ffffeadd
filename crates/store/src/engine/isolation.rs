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

/// What PostgreSQL says about a role and the tables with a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// The role that the store works as.
    pub role: String,
    /// Whether it is a superuser.
    pub is_superuser: bool,
    /// Whether it has `BYPASSRLS`.
    pub bypasses_policies: bool,
    /// Tables that it owns, itself or as a member of the role that does.
    pub owned_tables: Vec<String>,
    /// Tables with a `tenant_id` that are neither [`SHARED_TABLES`] nor under forced row-level security, by policies all
    /// of which compare reads and writes with the tenant.
    pub unprotected_tables: Vec<String>,
}

impl Isolation {
    /// Whether the database keeps tenants apart, whatever a query says.
    pub const fn holds(&self) -> bool {
        !self.is_superuser
            && !self.bypasses_policies
            && self.owned_tables.is_empty()
            && self.unprotected_tables.is_empty()
    }
}

const ROLE: &str = "SELECT rolname::text AS role, rolsuper AS is_superuser, rolbypassrls AS bypasses_policies \
    FROM pg_roles WHERE rolname = current_user";
/// Tables of the schema in use.
const OWNED: &str = "SELECT relname::text AS name FROM pg_class \
    WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace \
    AND pg_has_role(relowner, 'USAGE') ORDER BY 1";
/// A policy of another kind than `ALL`, for some roles only, or without a comparison on either side protects nothing; one
/// more that compares nothing lets everything through.
const UNPROTECTED: &str = "SELECT c.relname::text AS name FROM pg_class c \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped \
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace \
    AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND COALESCE(( \
        SELECT bool_and(p.polcmd = '*' AND p.polroles = '{0}' \
            AND COALESCE(pg_get_expr(p.polqual, p.polrelid) LIKE '%causeway.tenant%', FALSE) \
            AND COALESCE(pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%causeway.tenant%', FALSE)) \
        FROM pg_policy p WHERE p.polrelid = c.oid), FALSE)) ORDER BY 1";

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
    let mut names = |query| -> Result<Vec<String>, StoreError> {
        Ok(sql_query(query).load::<Table>(c)?.into_iter().map(|table| table.name).collect())
    };
    let owned_tables = names(OWNED)?;
    let mut unprotected_tables = names(UNPROTECTED)?;
    unprotected_tables.retain(|name| !SHARED_TABLES.contains(&name.as_str()));
    Ok(Some(Isolation { role, is_superuser, bypasses_policies, owned_tables, unprotected_tables }))
}
