//! The lease of a session: its holder may refresh.

use causeway_types::{NodeId, Timestamp, UpstreamSessionId};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{ACTIVE, PENDING};
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::operations::nodes;
use crate::schema::upstream_session::dsl;

/// A lease that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Number of the acquisition: a later one has a larger fence.
    pub fence: i64,
    /// Whether it had expired, or was void, instead of being released: its holder is dead, or could not
    /// write. Any response that the holder received and had not committed is lost.
    pub taken_over: bool,
}

/// A request for a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseClaim<'a> {
    /// Name of the holder, for operators who read the table.
    pub holder: &'a str,
    /// The server that it works for. When that one's heartbeat stops, the lease is void. `None`: it has none.
    pub node: Option<&'a NodeId>,
    /// Now.
    pub now: Timestamp,
    /// When the lease runs out.
    pub until: Timestamp,
}

/// Acquires the lease of a live session when it is free.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn acquire_lease(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    claim: LeaseClaim<'_>,
) -> Result<Option<Lease>, StoreError> {
    let live = || {
        dsl::upstream_session
            .filter(dsl::session_id.eq(session_id.as_str()))
            .filter(dsl::state.eq(ACTIVE).or(dsl::state.eq(PENDING)))
    };
    let holder =
        claim.node.map_or_else(|| claim.holder.to_owned(), |node| format!("{node}.{}", claim.holder));
    let mine = || {
        (
            dsl::lease_holder.eq(Some(&holder)),
            dsl::lease_fence.eq(dsl::lease_fence + 1),
            dsl::lease_until.eq(Some(claim.until.as_secs())),
        )
    };
    let free = live().filter(dsl::lease_until.is_null());
    let taken = diesel::update(free).set(mine()).returning(dsl::lease_fence);
    let fence = fixed!(taken).get_result::<i64>(c).optional()?;
    if let Some(fence) = fence {
        return Ok(Some(Lease { fence, taken_over: false }));
    }
    let void = sql::<Bool>(nodes::lease_is_void(c));
    let over = live().filter(dsl::lease_until.le(claim.now.as_secs()).assume_not_null().or(void));
    let fence =
        diesel::update(over).set(mine()).returning(dsl::lease_fence).get_result::<i64>(c).optional()?;
    Ok(fence.map(|fence| Lease { fence, taken_over: true }))
}

/// Extends a lease; `false` when it was released or another holder has taken it since.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn renew_lease(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    fence: i64,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let held = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::lease_fence.eq(fence))
        .filter(dsl::lease_holder.is_not_null());
    Ok(diesel::update(held).set(dsl::lease_until.eq(Some(until.as_secs()))).execute(c)? == 1)
}

/// Releases a lease in the transaction that ends the work under it, unless another holder has taken it since.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn release_lease_along(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    fence: i64,
) -> Result<(), StoreError> {
    Ok(c.defer(|c| release(c, session_id, fence))?)
}

/// Releases a lease; `false` when another holder has taken it since.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn release_lease(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    fence: i64,
) -> Result<bool, StoreError> {
    Ok(release(c, session_id, fence)? == 1)
}

fn release(c: &mut AnyConnection, session_id: &UpstreamSessionId, fence: i64) -> QueryResult<usize> {
    let held = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::lease_fence.eq(fence))
        .filter(dsl::lease_holder.is_not_null());
    let released = (dsl::lease_holder.eq(None::<&str>), dsl::lease_until.eq(None::<i64>));
    fixed!(diesel::update(held).set(released)).execute(c)
}
