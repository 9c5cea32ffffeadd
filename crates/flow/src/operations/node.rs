//! This server as one of several on a database: a heartbeat shows that it is alive, so that the others do not
//! wait for leases that a dead one held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use causeway_store::operations::nodes;
use causeway_types::{NodeId, Rng};

use crate::ctx::Ctx;
use crate::error::Internal;

/// How often a server on a shared database sends a heartbeat: several times before it counts as dead.
pub const BEAT_PERIOD: Duration = Duration::from_secs(3);

/// This server.
#[derive(Debug)]
pub(crate) struct Node {
    id: NodeId,
    beats: AtomicBool,
}

impl Node {
    pub(crate) fn new(rng: &dyn Rng) -> Self {
        Self { id: NodeId::random(rng), beats: AtomicBool::new(false) }
    }

    /// Its ID, while it sends heartbeats; without them the others take it for dead.
    pub(crate) fn alive(&self) -> Option<&NodeId> {
        self.beats.load(Ordering::Relaxed).then_some(&self.id)
    }
}

/// Joins the servers on the database. On the embedded one, this frees everything that the previous process
/// held.
///
/// # Errors
/// When the database does not answer.
pub async fn join(ctx: &Ctx) -> Result<(), Internal> {
    let (id, alone) = (ctx.node().id.clone(), !ctx.store().is_shared());
    ctx.store()
        .write(move |c| {
            if alone {
                nodes::forget_others(c, &id)?;
            }
            nodes::beat(c, &id).map_err(Internal::from)
        })
        .await?;
    ctx.node().beats.store(true, Ordering::Relaxed);
    Ok(())
}

/// Sends a heartbeat. On the embedded database none is needed after [`join`].
///
/// # Errors
/// When the database does not answer.
pub async fn beat(ctx: &Ctx) -> Result<(), Internal> {
    if !ctx.store().is_shared() {
        return Ok(());
    }
    let id = ctx.node().id.clone();
    ctx.store().write(move |c| nodes::beat(c, &id).map_err(Internal::from)).await
}

/// Leaves the servers on the database, after all work is done.
///
/// # Errors
/// When the database does not answer.
pub async fn leave(ctx: &Ctx) -> Result<(), Internal> {
    ctx.node().beats.store(false, Ordering::Relaxed);
    let id = ctx.node().id.clone();
    ctx.store().write(move |c| nodes::leave(c, &id).map_err(Internal::from)).await
}
