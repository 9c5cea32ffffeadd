//! Single-use values that were used: `replay`.

use causeway_domain::client::ReplayKey;
use diesel::prelude::*;
use diesel::sql_query;

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::store::Store;
use crate::schema::replay;

/// Consumes a single-use value; `false` when it was used before. Of any number of racing callers exactly one
/// gets it: a caller that comes while another one's transaction runs waits for its end.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn consume_once(c: &mut AnyConnection, once: &ReplayKey) -> Result<bool, StoreError> {
    let row = (replay::id.eq(once.id()), replay::expires_at.eq(once.expires_at().as_secs()));
    let insert = diesel::insert_into(replay::table).values(row).on_conflict_do_nothing();
    let inserted = match c {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    Ok(inserted == 1)
}

/// Whether a single-use value was used.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn was_used(c: &mut AnyConnection, once: &ReplayKey) -> Result<bool, StoreError> {
    let rows = replay::table.filter(replay::id.eq(once.id())).count();
    Ok(rows.get_result::<i64>(c)? > 0)
}

/// Same as [`consume_once`], for values that may be lost in a crash: among all processes of a deployment one
/// gets it, but no caller waits for the disk. On the embedded database, which has one process, the caller's own
/// memory has decided already, and nothing is written.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub async fn consume_shared(store: &Store, once: ReplayKey) -> Result<bool, StoreError> {
    if !store.is_shared() {
        return Ok(true);
    }
    store
        .write(move |c| {
            // For this transaction only: others see it when it ends, and it is on disk a moment later.
            c.defer(|c| fixed!(sql_query("SET LOCAL synchronous_commit = off")).execute(c))?;
            consume_once(c, &once)
        })
        .await
}
