//! Clients' access to connections: `connection_access`.

use causeway_domain::connection::{ConnectionAccess, GrantedBy};
use causeway_types::{ClientId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::schema::connection_access::{self, dsl};

#[derive(Queryable, Selectable)]
#[diesel(table_name = connection_access)]
struct Row {
    connection_id: String,
    client_id: String,
    granted_by: String,
    created_at: i64,
}

impl Row {
    fn into_domain(self) -> Result<ConnectionAccess, StoreError> {
        let granted_by = GrantedBy::parse(&self.granted_by);
        Ok(ConnectionAccess {
            connection_id: UpstreamSessionId::new(self.connection_id),
            client_id: ClientId::new(self.client_id),
            granted_by: Column("connection_access", "granted_by").present(granted_by)?,
            created_at: Timestamp(self.created_at),
        })
    }
}

/// The row of a client and a connection of this scope's tenant.
macro_rules! row {
    ($scope:expr, $connection_id:expr, $client_id:expr) => {
        dsl::connection_access
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
            .filter(dsl::client_id.eq($client_id.as_str()))
            .filter(dsl::connection_id.eq($connection_id.as_str()))
    };
}

/// Grants a client access to a connection, unless it has it already.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such connection in the tenant, or the client does not act in it.
pub fn put_access(scope: &mut TenantScope<'_>, access: &ConnectionAccess) -> Result<(), StoreError> {
    let (granted_by, created_at) = (access.granted_by.as_str(), access.created_at.as_secs());
    let new = (
        dsl::tenant_id.eq(scope.tenant_id().as_str()),
        dsl::client_id.eq(access.client_id.as_str()),
        dsl::connection_id.eq(access.connection_id.as_str()),
        dsl::granted_by.eq(granted_by),
        dsl::created_at.eq(created_at),
    );
    let insert = diesel::insert_into(connection_access::table).values(new).on_conflict_do_nothing();
    let inserted = match scope.connection() {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    if inserted == 0 {
        let withdrawn =
            row!(scope, access.connection_id, access.client_id).filter(dsl::deleted_at.is_not_null());
        let again =
            (dsl::granted_by.eq(granted_by), dsl::created_at.eq(created_at), dsl::deleted_at.eq(None::<i64>));
        diesel::update(withdrawn).set(again).execute(scope.connection())?;
    }
    Ok(())
}

/// Whether a client may use a connection.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn has_access(
    scope: &mut TenantScope<'_>,
    connection_id: &UpstreamSessionId,
    client_id: &ClientId,
) -> Result<bool, StoreError> {
    let granted =
        row!(scope, connection_id, client_id).filter(dsl::deleted_at.is_null()).select(dsl::client_id);
    Ok(fixed!(granted).get_result::<String>(scope.connection()).optional()?.is_some())
}

/// Lists the clients that may use a connection, at most `limit`.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_access(
    scope: &mut TenantScope<'_>,
    connection_id: &UpstreamSessionId,
    limit: i64,
) -> Result<Vec<ConnectionAccess>, StoreError> {
    let rows: Vec<Row> = dsl::connection_access
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::connection_id.eq(connection_id.as_str()))
        .filter(dsl::deleted_at.is_null())
        .order(dsl::client_id.asc())
        .limit(limit)
        .select(Row::as_select())
        .load(scope.connection())?;
    rows.into_iter().map(Row::into_domain).collect()
}

/// Withdraws a client's access; `false` when it has none.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_access(
    scope: &mut TenantScope<'_>,
    connection_id: &UpstreamSessionId,
    client_id: &ClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let granted = row!(scope, connection_id, client_id).filter(dsl::deleted_at.is_null());
    let withdrawn = diesel::update(granted).set(dsl::deleted_at.eq(Some(now.as_secs())));
    Ok(withdrawn.execute(scope.connection())? == 1)
}
