//! Deletion of the rows of deleted clients, in steps.

use causeway_types::{TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::tenancy::TenantScope;
use crate::schema::{oauth_atp_request, oauth_auth_request, oauth_client, tenant_client, upstream_session};
use crate::sessions::{self, Reach};

/// Result of a batch of [`purge_deleted_clients`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Sessions that were ended.
    pub sessions: usize,
    /// Rows that were deleted.
    pub rows: usize,
}

impl Purged {
    /// Whether nothing is left to do.
    pub const fn is_done(&self) -> bool {
        self.sessions == 0 && self.rows == 0
    }
}

/// A table whose rows belong to clients, and its key.
const OF_CLIENT: [(&str, &str); 8] = [
    ("oauth_authorization_code", "code"),
    ("oauth_access_token", "token"),
    ("oauth_refresh_token", "token"),
    ("oauth_par_request", "request_uri"),
    ("device_authorization", "device_code"),
    ("consent", "tenant_id, client_id, did, redirect_origin"),
    ("upstream_pending", "state"),
    ("connect_session", "token"),
];

/// Takes one step in deleting the client that was deleted first: ends at most `limit` of its sessions, whose
/// heads stay until they are revoked at their PDS, or deletes at most `limit` rows of a table, or finally its
/// own row, once nothing is left to be given back for it. Nothing is left to do when [`Purged::is_done`] says so.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn purge_deleted_clients(
    c: &mut AnyConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Purged, StoreError> {
    // One that has to wait holds up no other.
    let (client_id, waits) = match find_first(c, SETTLED)? {
        Some(first) => (first, false),
        None => match find_first(c, "")? {
            Some(first) => (first, true),
            None => return Ok(Purged::default()),
        },
    };
    let sessions = end_sessions_of(c, &client_id, now, limit)?;
    if sessions > 0 {
        return Ok(Purged { sessions, rows: 0 });
    }
    let rows = delete_auth_requests_of(c, &client_id, limit)?;
    if rows > 0 {
        return Ok(Purged { sessions: 0, rows });
    }
    for (table, key) in OF_CLIENT {
        let rows = delete_rows_of(c, &client_id, table, key, limit)?;
        if rows > 0 {
            return Ok(Purged { sessions: 0, rows });
        }
    }
    let rows = delete_access_of(c, &client_id, limit)?;
    if rows > 0 {
        return Ok(Purged { sessions: 0, rows });
    }
    if waits {
        return Ok(Purged::default());
    }
    let deleted = oauth_client::table
        .filter(oauth_client::client_id.eq(&client_id))
        .filter(oauth_client::deleted_at.is_not_null());
    Ok(Purged { sessions: 0, rows: diesel::delete(deleted).execute(c)? })
}

/// Clients for which no answer of a provider is to be given back any more: their rows go when that is so.
const SETTLED: &str = " AND NOT EXISTS (SELECT 1 FROM tenant_client t \
    JOIN upstream_pending p ON p.tenant_id = t.tenant_id AND p.client_id = t.client_id \
    WHERE t.client_id = oauth_client.client_id AND p.used AND p.payload <> '')";

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

/// Finds the client that was deleted first.
fn find_first(c: &mut AnyConnection, only: &str) -> Result<Option<String>, StoreError> {
    let first = format!(
        "SELECT client_id AS id FROM oauth_client WHERE deleted_at IS NOT NULL{only} ORDER BY deleted_at LIMIT $1"
    );
    Ok(sql_query(first).bind::<BigInt, _>(1_i64).get_result::<Id>(c).optional()?.map(|found| found.id))
}

fn end_sessions_of(
    c: &mut AnyConnection,
    client_id: &str,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let live: Vec<String> = upstream_session::table
        .filter(upstream_session::client_id.eq(client_id))
        .filter(upstream_session::ended_at.is_null())
        .order(upstream_session::session_id.asc())
        .limit(limit)
        .select(upstream_session::session_id)
        .load(c)?;
    for session_id in &live {
        sessions::end(c, Reach::All, &UpstreamSessionId::new(session_id.clone()), now)?;
        let session = upstream_session::table.filter(upstream_session::session_id.eq(session_id));
        diesel::update(session).set(upstream_session::deleted_at.eq(now.as_secs())).execute(c)?;
    }
    Ok(live.len())
}

/// Deletes authorization requests, with the upstream requests that await a callback for each.
fn delete_auth_requests_of(c: &mut AnyConnection, client_id: &str, limit: i64) -> Result<usize, StoreError> {
    let some: Vec<String> = oauth_auth_request::table
        .filter(oauth_auth_request::client_id.eq(client_id))
        .limit(limit)
        .select(oauth_auth_request::session_id)
        .load(c)?;
    let waiting = oauth_atp_request::table.filter(oauth_atp_request::auth_request_id.eq_any(&some));
    diesel::delete(waiting).execute(c)?;
    let requests = oauth_auth_request::table.filter(oauth_auth_request::session_id.eq_any(&some));
    Ok(diesel::delete(requests).execute(c)?)
}

/// Deletes access to connections, in one of the tenants that the client acts in.
fn delete_access_of(c: &mut AnyConnection, client_id: &str, limit: i64) -> Result<usize, StoreError> {
    let tenants: Vec<String> = tenant_client::table
        .filter(tenant_client::client_id.eq(client_id))
        .select(tenant_client::tenant_id)
        .load(c)?;
    for tenant_id in tenants.into_iter().map(TenantId::new) {
        let scope = &mut TenantScope::enter(c, &tenant_id);
        let some =
            "SELECT connection_id FROM connection_access WHERE tenant_id = $1 AND client_id = $2 LIMIT $3";
        let deleted = sql_query(format!(
            "DELETE FROM connection_access WHERE tenant_id = $1 AND client_id = $2 AND connection_id IN ({some})"
        ))
        .bind::<Text, _>(tenant_id.as_str())
        .bind::<Text, _>(client_id)
        .bind::<BigInt, _>(limit)
        .execute(scope.connection())?;
        if deleted > 0 {
            return Ok(deleted);
        }
    }
    Ok(0)
}

fn delete_rows_of(
    c: &mut AnyConnection,
    client_id: &str,
    table: &str,
    key: &str,
    limit: i64,
) -> Result<usize, StoreError> {
    let only = if table == "upstream_pending" { " AND NOT (used AND payload <> '')" } else { "" };
    let some = format!("SELECT {key} FROM {table} WHERE client_id = $1{only} LIMIT $2");
    let statement = format!("DELETE FROM {table} WHERE ({key}) IN ({some})");
    Ok(sql_query(statement).bind::<Text, _>(client_id).bind::<BigInt, _>(limit).execute(c)?)
}
