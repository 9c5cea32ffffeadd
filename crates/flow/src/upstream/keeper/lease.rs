//! The lease of a refresh, which one process at a time holds.

use std::sync::atomic::{AtomicBool, Ordering};

use causeway_domain::session::SessionHead;
use causeway_store::sessions::{self, LeaseClaim};

use crate::ctx::Ctx;
use crate::error::Internal;

/// Seconds that a lease lasts, unless the heartbeat of its node ends earlier: longer than the look-up of the account
/// may take ([`LOOKUP_TIMEOUT`](super::attempt::LOOKUP_TIMEOUT)). While the provider is asked, and while the database
/// rejects its answer, the lease is renewed.
pub(super) const LEASE_SECONDS: i64 = 120;

/// A lease that was acquired.
#[derive(Debug)]
pub(super) struct HeldLease {
    /// Which of the session's leases it is.
    pub(super) fence: i64,
    is_released: AtomicBool,
}

impl HeldLease {
    /// Called when the lease was released together with the end of the work.
    pub(super) fn note_released(&self) {
        self.is_released.store(true, Ordering::Relaxed);
    }
}

/// Acquires the lease. Its commit also proves that the answer could be written.
pub(super) async fn acquire(
    ctx: &Ctx,
    head: &SessionHead,
    holder: &str,
) -> Result<Option<HeldLease>, Internal> {
    let (id, holder, now) = (head.session_id.clone(), holder.to_owned(), ctx.now());
    let (node, until) = (ctx.node().alive().cloned(), now.plus(LEASE_SECONDS));
    let lease = ctx
        .store()
        .write(move |c| {
            let claim = LeaseClaim { holder: &holder, node: node.as_ref(), now, until };
            sessions::acquire_lease(c, &id, claim).map_err(Internal::from)
        })
        .await?;
    if lease.is_some_and(|lease| lease.taken_over) {
        ctx.stats().note_lease_takeover();
        tracing::warn!(
            session = %head.session_id,
            "the lease of an unfinished refresh was taken over: the authorization server's response to it, if any, is lost"
        );
    }
    Ok(lease.map(|lease| HeldLease { fence: lease.fence, is_released: AtomicBool::new(false) }))
}

/// Releases the lease, unless it was released already. When that fails, the lease expires by itself.
pub(super) async fn release(ctx: &Ctx, head: &SessionHead, lease: &HeldLease) {
    if lease.is_released.load(Ordering::Relaxed) {
        return;
    }
    let (id, fence) = (head.session_id.clone(), lease.fence);
    let released =
        ctx.store().write(move |c| sessions::release_lease(c, &id, fence).map_err(Internal::from)).await;
    if let Err(error) = released {
        tracing::warn!(%error, "a refresh lease was not released and will expire");
    }
}
