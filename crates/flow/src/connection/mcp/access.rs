//! The connection that an MCP client's call is made with.

use causeway_domain::connection::{Connection, ConnectionAccess, GrantedBy};
use causeway_store::connections::access;
use causeway_store::connections::heads::{self, ConnectionFilter};
use causeway_store::connections::in_use::{self, ConnectionInUse};
use causeway_store::{PageRequest, TenantScope};
use causeway_types::{SessionKind, UpstreamSessionId};

use super::{McpUser, is_mcp};
use crate::connection::error::UseError;
use crate::connection::relay::OpenConnection;
use crate::connection::usable::{self, UsableConnection};
use crate::ctx::Ctx;
use crate::error::Internal;

/// The most connections of one user that are listed.
const MOST: i64 = 200;

/// A user's connection, as far as a client may use it.
#[derive(Debug)]
pub enum McpAccess {
    /// It may be called.
    Ready(Box<OpenConnection>),
    /// There is one, and the user has not consented to its use by this client.
    NotGranted(UpstreamSessionId),
    /// There is none.
    None,
}

/// Finds the user's connection at a server.
///
/// # Errors
/// [`UseError::NotFound`] when there is no such MCP server.
pub async fn find_for(ctx: &Ctx, user: &McpUser, provider: &str) -> Result<McpAccess, UseError> {
    if !is_mcp(ctx, provider) {
        return Err(UseError::NotFound);
    }
    let (owner, name) = (user.user()?, provider.to_owned());
    let find = move |scope: &mut TenantScope<'_>| {
        in_use::find_connection_of_user(scope, &owner, &name, SessionKind::Device).map_err(Internal::from)
    };
    find_in(ctx, user, find).await
}

/// Finds a connection of the user's by its identifier; those of others look like none.
///
/// # Errors
/// [`UseError`].
pub async fn find_by_id(ctx: &Ctx, user: &McpUser, id: &UpstreamSessionId) -> Result<McpAccess, UseError> {
    let (owner, id) = (user.user()?, id.clone());
    let find = move |scope: &mut TenantScope<'_>| {
        let found = heads::find_connection(scope, &id)?;
        let is_own = found.is_some_and(|found| found.slot.user == owner && found.confirmed_at.is_some());
        Ok(is_own.then_some(id.clone()))
    };
    find_in(ctx, user, find).await
}

/// Finds the connection that `find` names, as the client may use it.
async fn find_in(
    ctx: &Ctx,
    user: &McpUser,
    find: impl Fn(&mut TenantScope<'_>) -> Result<Option<UpstreamSessionId>, Internal> + Send + 'static,
) -> Result<McpAccess, UseError> {
    let (ring, client_id) = (ctx.ring(), user.client.client_id.clone());
    let finding = move |scope: &mut TenantScope<'_>| {
        let Some(id) = find(scope)? else { return Ok::<_, Internal>(None) };
        let found = in_use::find_connection_in_use(scope, &ring, &id, &client_id)?;
        Ok(Some((id, found)))
    };
    let found = match ctx.store().in_tenant(&user.tenant_id).find(finding).await? {
        None => return Ok(McpAccess::None),
        Some((id, None)) => return Ok(McpAccess::NotGranted(id)),
        Some((_, Some(found))) => found,
    };
    let ConnectionInUse { head, credentials, registration, .. } = found;
    if !is_mcp(ctx, head.provider()) {
        return Ok(McpAccess::None);
    }
    match usable::note_use(ctx, &head).await {
        Ok(()) => {}
        Err(UseError::NotFound) => return Ok(McpAccess::None),
        Err(error) => return Err(error),
    }
    let connection = UsableConnection { head, credentials, registration, account: None };
    Ok(McpAccess::Ready(Box::new(OpenConnection::of(ctx, connection)?)))
}

/// Lets the client use a connection of the user's, who has consented to it; `false`: they have no such connection.
///
/// # Errors
/// [`UseError::Internal`].
pub async fn grant_access(ctx: &Ctx, user: &McpUser, id: &UpstreamSessionId) -> Result<bool, UseError> {
    let (owner, client_id, now, id) = (user.user()?, user.client.client_id.clone(), ctx.now(), id.clone());
    let grant = move |scope: &mut TenantScope<'_>| {
        let found = heads::find_connection(scope, &id)?;
        let is_own = found.is_some_and(|found| found.slot.user == owner && found.confirmed_at.is_some());
        if is_own {
            let access = ConnectionAccess {
                connection_id: id.clone(),
                client_id: client_id.clone(),
                granted_by: GrantedBy::User,
                created_at: now,
            };
            access::put_access(scope, &access)?;
        }
        Ok::<_, Internal>(is_own)
    };
    Ok(ctx.store().in_tenant(&user.tenant_id).write(grant).await?)
}

/// Lists the user's connections at MCP servers, whichever clients may use them.
///
/// # Errors
/// [`UseError::Internal`].
pub async fn list(ctx: &Ctx, user: &McpUser) -> Result<Vec<Connection>, UseError> {
    let filter = ConnectionFilter { user: Some(user.user()?), ..ConnectionFilter::default() };
    let wanted = PageRequest { limit: MOST, after: None };
    let list = move |scope: &mut TenantScope<'_>| {
        heads::list_connections(scope, &filter, &wanted).map_err(Internal::from)
    };
    let page = ctx.store().in_tenant(&user.tenant_id).read(list).await?;
    Ok(page.items.into_iter().filter(|found| is_mcp(ctx, found.head.provider())).collect())
}
