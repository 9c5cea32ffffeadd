//! The lease of a session: whoever holds it may refresh.

use causeway_domain::{NodeId, Timestamp, UpstreamSessionId};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{ACTIVE, PENDING};
use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::nodes;
use crate::schema::upstream_session::dsl;

/// A lease that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which taking it is: a later one has a larger fence.
    pub fence: i64,
    /// Whether it ran out, or was void, instead of being given back: its holder is gone, or could not write. What
    /// that one was answered, and had not committed, is lost.
    pub taken_over: bool,
}

/// Who wants a lease, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct LeaseClaim<'a> {
    /// Whoever wants it, for those who look at the table.
    pub holder: &'a str,
    /// The server that it works for. When the heartbeat of that one is gone, so is the lease. `None`: it has none.
    pub node: Option<&'a NodeId>,
    /// Now.
    pub now: Timestamp,
    /// When the lease runs out.
    pub until: Timestamp,
}

/// Takes the lease of a live session when nobody holds it.
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
    let fence =
        diesel::update(free).set(mine()).returning(dsl::lease_fence).get_result::<i64>(c).optional()?;
    if let Some(fence) = fence {
        return Ok(Some(Lease { fence, taken_over: false }));
    }
    let void = sql::<Bool>(nodes::lease_is_void(c));
    let over = live().filter(dsl::lease_until.le(claim.now.as_secs()).assume_not_null().or(void));
    let fence =
        diesel::update(over).set(mine()).returning(dsl::lease_fence).get_result::<i64>(c).optional()?;
    Ok(fence.map(|fence| Lease { fence, taken_over: true }))
}

/// Holds a lease until later; `false` when it was given back or somebody else has taken it since.
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

/// Gives a lease back; `false` when somebody else has taken it since.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn release_lease(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    fence: i64,
) -> Result<bool, StoreError> {
    let held = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::lease_fence.eq(fence))
        .filter(dsl::lease_holder.is_not_null());
    let changed = diesel::update(held)
        .set((dsl::lease_holder.eq(None::<&str>), dsl::lease_until.eq(None::<i64>)))
        .execute(c)?;
    Ok(changed == 1)
}
