//! Events for clients about their sign-ins and sessions: as a [stream](listen) that they read, and by signed
//! [requests](deliver_due).

mod listen;
mod webhook;

use causeway_store::events::order;

use crate::ctx::Ctx;
use crate::error::Internal;

pub(crate) use self::listen::Hub;
pub use self::listen::{ListenError, Listener, PER_CLIENT, PER_PROCESS, listen};
pub use self::webhook::{deliver_due, new_secret, start_due};

/// Seconds for which an event is retained for clients that were away.
pub const EVENT_SECONDS: i64 = 7 * 86_400;

/// Assigns committed events their place in their client's order, so that they can be delivered.
async fn order(ctx: &Ctx) -> Result<(), Internal> {
    let waiting = ctx.store().read(|c| order::has_unordered_events(c).map_err(Internal::from)).await?;
    if waiting {
        while ctx.store().write(|c| order::order_events(c).map_err(Internal::from)).await? {}
    }
    Ok(())
}
