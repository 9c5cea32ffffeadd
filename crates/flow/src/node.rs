//! This server among those on one database: it shows by a heartbeat that it lives, so that nobody waits for what one
//! that is gone has held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use causeway_domain::{NodeId, Rng};
use causeway_store::nodes;

use crate::ctx::Ctx;
use crate::error::Internal;

/// How often a server on a shared database shows that it lives: several times before it counts as gone.
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

    /// Its name, while it shows that it lives: nobody would believe in it otherwise.
    pub(crate) fn alive(&self) -> Option<&NodeId> {
        self.beats.load(Ordering::Relaxed).then_some(&self.id)
    }
}

/// Joins the servers on the database. On the embedded one, whatever the process before has held is free from now on.
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

/// Shows that this server lives. On the embedded database it has done so by starting.
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

/// Leaves the servers on the database, when all work is done.
///
/// # Errors
/// When the database does not answer.
pub async fn leave(ctx: &Ctx) -> Result<(), Internal> {
    ctx.node().beats.store(false, Ordering::Relaxed);
    let id = ctx.node().id.clone();
    ctx.store().write(move |c| nodes::leave(c, &id).map_err(Internal::from)).await
}
