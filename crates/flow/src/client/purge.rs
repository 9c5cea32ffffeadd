//! The remaining data of deleted clients: sessions, which are ended, and rows.

use causeway_store::clients::{self, Purged};
use causeway_store::{Store, StoreError};
use causeway_types::Timestamp;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::revocation;

/// Sessions that one step ends, or rows that it deletes: few enough not to delay a running server.
const BATCH: i64 = 100;
/// Steps of the deletion of a client that follow the request at once; the rest waits for the next [`purge`].
const PURGE_SOON: usize = 20;

/// Ends the sessions of deleted clients and deletes their rows, a batch at a time, until none are left.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn purge(ctx: &Ctx) -> Result<(), Internal> {
    purge_steps(ctx, usize::MAX).await
}

#[tracing::instrument(name = "flow.purge", skip_all)]
async fn purge_steps(ctx: &Ctx, most: usize) -> Result<(), Internal> {
    let (mut sessions, mut rows) = (0, 0);
    for _ in 0..most {
        let purged = step(ctx.store(), ctx.now()).await?;
        if purged.is_done() {
            break;
        }
        sessions += purged.sessions;
        rows += purged.rows;
    }
    if sessions + rows > 0 {
        tracing::info!(sessions, rows, "remaining data of deleted clients deleted");
    }
    Ok(())
}

/// Starts [`purge`] and the revocations that follow from it, without waiting for them.
pub(crate) fn purge_soon(ctx: &Ctx) {
    let detached = ctx.clone();
    ctx.start(async move {
        if let Err(error) = purge_steps(&detached, PURGE_SOON).await {
            tracing::warn!(%error, "remaining data of a deleted client is deleted later");
        }
        revocation::revoke_due_soon(&detached);
    });
}

/// Takes one step: ends a batch of sessions, or deletes a batch of rows.
pub(crate) async fn step(store: &Store, now: Timestamp) -> Result<Purged, StoreError> {
    store.maintenance().write(move |c| clients::purge_deleted_clients(c, now, BATCH)).await
}
