//! Clean-up of deleted rows, tenant by tenant.

use causeway_types::Timestamp;
use diesel::sql_types::{BigInt, Text};
use diesel::{RunQueryDsl as _, sql_query};

use crate::engine::error::StoreError;
use crate::engine::tenancy::TenantScope;

/// Rows of `table`, whose key besides the tenant is `key`, are deleted for good when no row of `referring` names them.
struct Deleted {
    table: &'static str,
    key: &'static [&'static str],
    /// Tables that refer to it by columns of the same names.
    referring: &'static [&'static str],
    /// A further condition.
    only: &'static str,
}

/// What refers comes before what it refers to. A credential waits until its payload is erased, which is when its
/// revocation is settled.
const DELETED: [Deleted; 6] = [
    Deleted {
        table: "upstream_credential",
        key: &["credential_id"],
        referring: &[],
        only: " AND d.payload = ''",
    },
    Deleted { table: "connection_access", key: &["client_id", "connection_id"], referring: &[], only: "" },
    Deleted {
        table: "managed_account",
        key: &["managed_account_id"],
        referring: &["upstream_credential"],
        only: "",
    },
    Deleted {
        table: "social_identity",
        key: &["social_identity_id"],
        referring: &["managed_account", "upstream_credential", "upstream_session"],
        only: "",
    },
    Deleted {
        table: "provider_registration",
        key: &["registration_id"],
        referring: &["upstream_pending", "upstream_session"],
        only: "",
    },
    Deleted {
        table: "tenant_user",
        key: &["namespace", "user_id"],
        referring: &[
            "connect_session",
            "social_identity",
            "upstream_credential",
            "upstream_pending",
            "upstream_session",
        ],
        only: "",
    },
];

/// Deletes for good the rows of this tenant that were deleted before `until` and that nothing refers to any more, at most
/// `limit` of each table; returns how many. The head of a connection goes with the sessions.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn sweep_deleted(scope: &mut TenantScope<'_>, until: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let mut swept = 0;
    for Deleted { table, key, referring, only } in DELETED {
        let columns = key.join(", ");
        let unreferred = referring.iter().map(|other| {
            let same = key.iter().map(|column| format!(" AND r.{column} = d.{column}")).collect::<String>();
            format!(" AND NOT EXISTS (SELECT 1 FROM {other} r WHERE r.tenant_id = d.tenant_id{same})")
        });
        let unreferred = unreferred.collect::<String>();
        let old = format!(
            "SELECT {columns} FROM {table} d WHERE d.tenant_id = $1 AND d.deleted_at <= $2{only}{unreferred} \
             ORDER BY d.deleted_at LIMIT $3"
        );
        // Where a row has changed while the statement waited for it, PostgreSQL checks nothing but the conditions of the
        // statement itself again (READ COMMITTED).
        let statement = format!(
            "DELETE FROM {table} AS d WHERE d.tenant_id = $1 AND d.deleted_at <= $2{only} AND ({columns}) IN ({old})"
        );
        swept += sql_query(statement)
            .bind::<Text, _>(scope.tenant_id().as_str())
            .bind::<BigInt, _>(until.as_secs())
            .bind::<BigInt, _>(limit)
            .execute(scope.connection())?;
    }
    Ok(swept)
}
