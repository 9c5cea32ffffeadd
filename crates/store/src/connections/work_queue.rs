//! Work that is due in all tenants: `work_queue`. It holds identifiers alone, so it is not under row-level security.

use causeway_domain::connection::{WorkItem, WorkKind};
use causeway_types::{TenantId, Timestamp};
use diesel::prelude::*;

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::work_queue::{self, dsl};

/// The row of a piece of work.
macro_rules! row {
    ($item:expr) => {
        dsl::work_queue
            .filter(dsl::tenant_id.eq($item.tenant_id.as_str()))
            .filter(dsl::kind.eq($item.kind.as_str()))
            .filter(dsl::row_id.eq(&$item.row_id))
    };
}

/// Enqueues work, or changes when it is due.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such tenant.
pub fn put_work(c: &mut AnyConnection, item: &WorkItem) -> Result<(), StoreError> {
    let due = diesel::update(row!(item)).set(dsl::due_at.eq(item.due_at.as_secs()));
    if due.execute(c)? == 1 {
        return Ok(());
    }
    let new = (
        dsl::tenant_id.eq(item.tenant_id.as_str()),
        dsl::kind.eq(item.kind.as_str()),
        dsl::row_id.eq(&item.row_id),
        dsl::due_at.eq(item.due_at.as_secs()),
    );
    // Another process that enqueues the same at this moment wants it done just as soon.
    let insert = diesel::insert_into(work_queue::table).values(new).on_conflict_do_nothing();
    match c {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    Ok(())
}

/// Claims at most `limit` pieces of work of one kind, the longest due first: they are not due again before `until`, by
/// when the claiming process has done them or is dead. The claim is the due time of what is returned.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn claim_work(
    c: &mut AnyConnection,
    kind: WorkKind,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<WorkItem>, StoreError> {
    let due = dsl::work_queue
        .filter(dsl::kind.eq(kind.as_str()))
        .filter(dsl::due_at.le(now.as_secs()))
        .order(dsl::due_at.asc())
        .limit(limit)
        .select((dsl::tenant_id, dsl::row_id, dsl::due_at));
    let due: Vec<(String, String, i64)> = fixed!(due).load(c)?;
    let mut claimed = Vec::with_capacity(due.len());
    for (tenant_id, row_id, due_at) in due {
        let item = WorkItem { tenant_id: TenantId::new(tenant_id), kind, row_id, due_at: until };
        let unclaimed = row!(item).filter(dsl::due_at.eq(due_at));
        if fixed!(diesel::update(unclaimed).set(dsl::due_at.eq(until.as_secs()))).execute(c)? == 1 {
            claimed.push(item);
        }
    }
    Ok(claimed)
}

/// Claims a piece of work that one process does at a time, until its due time, whether it was enqueued or not; `false` when
/// another process has it.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such tenant.
pub fn claim_alone(c: &mut AnyConnection, item: &WorkItem, now: Timestamp) -> Result<bool, StoreError> {
    let expired = row!(item).filter(dsl::due_at.le(now.as_secs()));
    if diesel::update(expired).set(dsl::due_at.eq(item.due_at.as_secs())).execute(c)? == 1 {
        return Ok(true);
    }
    let new = (
        dsl::tenant_id.eq(item.tenant_id.as_str()),
        dsl::kind.eq(item.kind.as_str()),
        dsl::row_id.eq(&item.row_id),
        dsl::due_at.eq(item.due_at.as_secs()),
    );
    let insert = diesel::insert_into(work_queue::table).values(new).on_conflict_do_nothing();
    let inserted = match c {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    Ok(inserted == 1)
}

/// Completes claimed work; `false` when the claim has expired and another process has it, or it is due anew.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn complete_work(c: &mut AnyConnection, claimed: &WorkItem) -> Result<bool, StoreError> {
    let own = row!(claimed).filter(dsl::due_at.eq(claimed.due_at.as_secs()));
    Ok(fixed!(diesel::delete(own)).execute(c)? == 1)
}
