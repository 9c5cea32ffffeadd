//! Look-up of registered clients, in the cache and in the database.

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_store::clients;
use causeway_types::ClientId;
use tokio::time::Instant;

use crate::ctx::Ctx;
use crate::error::Internal;

/// Finds a client of our tenant, as it was half a second ago at most.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn find(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Arc<Client>>, Internal> {
    if let Some(client) = ctx.clients().get(client_id) {
        return Ok(Some(client));
    }
    let since = Instant::now();
    let found = find_now(ctx, client_id).await?;
    if let Some(client) = &found {
        ctx.clients().put(client, since);
    }
    Ok(found)
}

/// Finds a client of our tenant in the database, bypassing the cache.
pub(crate) async fn find_now(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Arc<Client>>, Internal> {
    let (tenant, client_id) = (ctx.tenant().clone(), client_id.clone());
    let found =
        ctx.store().read(move |c| clients::find_client(c, &tenant, &client_id).map_err(Internal::from));
    Ok(found.await?.map(Arc::new))
}
