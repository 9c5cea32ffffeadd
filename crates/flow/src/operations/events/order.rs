//! The order of events within their client's stream.

use causeway_store::events::order;

use crate::ctx::Ctx;
use crate::error::Internal;

/// Assigns committed events their place in their client's order, so that they can be delivered.
pub(super) async fn order(ctx: &Ctx) -> Result<(), Internal> {
    let waiting = ctx.store().read(|c| order::has_unordered_events(c).map_err(Internal::from)).await?;
    if waiting {
        while ctx.store().write(|c| order::order_events(c).map_err(Internal::from)).await? {}
    }
    Ok(())
}
