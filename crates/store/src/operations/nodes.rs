//! The servers that share a database: `node`. Each sends heartbeats while it is alive; the leases of a dead
//! one are free for others.
//!
//! Heartbeats are written and evaluated by the clock of the database, so that it does not matter how far the
//! clocks of the servers are apart. The embedded database has one server at a time: any other one in its
//! table is dead.

use causeway_types::NodeId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::node;

/// Seconds without a heartbeat after which a server on a shared database counts as dead. A server that hangs
/// for longer in the middle of a refresh may lose the session, so this covers several heartbeats.
pub const GONE_SECONDS: i64 = 15;

/// Records a server's heartbeat.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn beat(c: &mut AnyConnection, id: &NodeId) -> Result<(), StoreError> {
    let (beat, forget) = match c {
        AnyConnection::Sqlite(_) => (
            "INSERT INTO node (node_id, started_at, seen_at) VALUES ($1, unixepoch(), unixepoch()) \
             ON CONFLICT (node_id) DO UPDATE SET seen_at = excluded.seen_at",
            None,
        ),
        AnyConnection::Postgres(_) => (
            "INSERT INTO node (node_id, started_at, seen_at) \
             SELECT $1, now, now FROM CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) AS now \
             ON CONFLICT (node_id) DO UPDATE SET seen_at = excluded.seen_at",
            Some(
                "DELETE FROM node WHERE seen_at < CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) - 86400",
            ),
        ),
    };
    sql_query(beat).bind::<Text, _>(id.as_str()).execute(c)?;
    if let Some(forget) = forget {
        sql_query(forget).execute(c)?;
    }
    Ok(())
}

/// Deletes all servers but one: for the server of an embedded database, when it starts.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn forget_others(c: &mut AnyConnection, id: &NodeId) -> Result<(), StoreError> {
    diesel::delete(node::table.filter(node::node_id.ne(id.as_str()))).execute(c)?;
    Ok(())
}

/// Deletes a server that has stopped.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn leave(c: &mut AnyConnection, id: &NodeId) -> Result<(), StoreError> {
    diesel::delete(node::table.filter(node::node_id.eq(id.as_str()))).execute(c)?;
    Ok(())
}

/// The SQL condition for a row of `upstream_session` whose lease was taken by a server that is dead: the name
/// of its holder begins with that of the server, which begins with `node_`.
pub(crate) const fn lease_is_void(c: &AnyConnection) -> &'static str {
    match c {
        AnyConnection::Sqlite(_) => {
            "(substr(lease_holder, 1, 5) = 'node_' AND NOT EXISTS (SELECT 1 FROM node \
             WHERE node.node_id = substr(lease_holder, 1, length(node.node_id))))"
        }
        AnyConnection::Postgres(_) => {
            "(substr(lease_holder, 1, 5) = 'node_' AND NOT EXISTS (SELECT 1 FROM node \
             WHERE node.node_id = substr(lease_holder, 1, length(node.node_id)) \
             AND node.seen_at > CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) - 15))"
        }
    }
}
