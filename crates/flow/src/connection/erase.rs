//! Erasure of what belongs to deleted tenants and users. It is work in the database's queue: a process that stops half-way
//! is followed by another one.

use causeway_domain::connection::{Erasure, WorkItem, WorkKind};
use causeway_store::connections::erasure::{self, Erased};
use causeway_store::connections::work_queue;
use causeway_store::{Store, StoreError};
use causeway_types::{TenantId, Timestamp};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::revocation;

/// Connections that one step ends, or rows that it deletes: few enough not to delay a running server.
pub(crate) const BATCH: i64 = 100;
/// Erasures that one process claims at once.
const CLAIMED: i64 = 10;
/// Seconds for which a process claims an erasure. One that has to wait is tried again then.
const CLAIM_SECONDS: i64 = 300;

/// Takes one step of an erasure.
pub(crate) async fn step(
    store: &Store,
    tenant_id: &TenantId,
    whose: &Erasure,
    now: Timestamp,
) -> Result<Erased, StoreError> {
    let (store, whose) = (store.maintenance().in_tenant(tenant_id), whose.clone());
    store.write(move |scope| erasure::erase(scope, &whose, now, BATCH)).await
}

/// Does the erasures that are due, until none is.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.erase_due", skip_all)]
pub async fn erase_due(ctx: &Ctx) -> Result<(), Internal> {
    loop {
        let now = ctx.now();
        let claimed = ctx.store().write(move |c| {
            let until = now.plus(CLAIM_SECONDS);
            work_queue::claim_work(c, WorkKind::Erase, now, until, CLAIMED).map_err(Internal::from)
        });
        let claimed = claimed.await?;
        if claimed.is_empty() {
            return Ok(());
        }
        for item in claimed {
            let tenant_id = item.tenant_id.clone();
            // Its claim runs out, and then it is tried again; the others do not wait for that.
            if let Err(error) = erase_all(ctx, item).await {
                tracing::error!(%error, %tenant_id, "an erasure failed");
            }
        }
        revocation::revoke_due_soon(ctx);
    }
}

async fn erase_all(ctx: &Ctx, item: WorkItem) -> Result<(), Internal> {
    let (mut connections, mut rows, mut waits) = (0, 0, false);
    if let Some(whose) = Erasure::parse(&item.row_id) {
        loop {
            let erased = step(ctx.store(), &item.tenant_id, &whose, ctx.now()).await?;
            connections += erased.connections;
            rows += erased.rows;
            waits = erased.waits;
            if erased.is_done() {
                break;
            }
        }
    }
    if waits {
        tracing::info!(tenant_id = %item.tenant_id, "an erasure waits for revocations at providers");
        return Ok(());
    }
    tracing::info!(tenant_id = %item.tenant_id, connections, rows, "an erasure is complete");
    let done = ctx.store().write(move |c| work_queue::complete_work(c, &item).map_err(Internal::from));
    done.await.map(drop)
}

/// Starts [`erase_due`] without waiting for it.
pub(crate) fn erase_soon(ctx: &Ctx) {
    let detached = ctx.clone();
    ctx.start(async move {
        if let Err(error) = erase_due(&detached).await {
            tracing::warn!(%error, "an erasure is postponed");
        }
    });
}
