//! Users of a tenant, as a client names them.

use causeway_domain::connection::Erasure;
use causeway_store::connections::heads::{self, ConnectionFilter};
use causeway_store::connections::{erasure, users, work_queue};
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::{Page, PageRequest, StoreError, TenantScope};
use causeway_types::{ClientId, ErrorCode, TenantUser, Timestamp};

use super::erase;
use super::show::{ConnectionDetails, details};
use super::tenant_client::{InvalidUserId, TenantClient};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::revocation;

/// Why a user is not listed, exported or deleted.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No user has such a name.
    #[error(transparent)]
    Name(#[from] InvalidUserId),
    /// The tenant does not know the user, by this client's name.
    #[error("there is no such user")]
    NotFound,
    /// Other clients of the tenant have connections of the user.
    #[error(
        "other clients of this tenant have connections of this user: they end those first, or the operator of this server deletes the user"
    )]
    OfOthers,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl UserError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Name(_) => ErrorCode::InvalidRequest,
            Self::NotFound => ErrorCode::NotFound,
            Self::OfOthers => ErrorCode::UnauthorizedClient,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<StoreError> for UserError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Everything that is stored about a user, without secrets.
#[derive(Clone, Debug)]
pub struct UserExport {
    /// The user.
    pub user: TenantUser,
    /// When the tenant first knew them.
    pub created_at: Timestamp,
    /// A page of their connections, the newest first.
    pub connections: Page<ConnectionDetails>,
}

/// Lists a page of the users of the client's own names.
///
/// # Errors
/// [`UserError`].
pub async fn list(
    ctx: &Ctx,
    client: &TenantClient,
    page: PageRequest,
) -> Result<Page<TenantUser>, UserError> {
    let namespace = client.namespace.clone();
    let store = client.store(ctx);
    store.read(move |scope| users::list_users(scope, Some(&namespace), &page).map_err(UserError::from)).await
}

/// Exports a user of the client's, with the connections that the client may use.
///
/// # Errors
/// [`UserError`].
#[tracing::instrument(name = "flow.user.export", skip_all, fields(client_id = %client.client.client_id))]
pub async fn export(
    ctx: &Ctx,
    client: &TenantClient,
    user_id: &str,
    page: PageRequest,
) -> Result<UserExport, UserError> {
    let (user, client_id) = (client.user(user_id)?, client.client.client_id.clone());
    let store = client.store(ctx);
    let found =
        store.read(move |scope| export_user(scope, &user, Some(client_id), &page).map_err(UserError::from));
    found.await?.ok_or(UserError::NotFound)
}

/// Connections in a page of an export at most: each comes with its accounts and credentials.
const MOST_EXPORTED: i64 = 20;

/// Reads a user's data; `None`: the tenant does not know the user.
pub(crate) fn export_user(
    scope: &mut TenantScope<'_>,
    user: &TenantUser,
    client_id: Option<ClientId>,
    page: &PageRequest,
) -> Result<Option<UserExport>, StoreError> {
    let Some(created_at) = users::find_user(scope, user)? else { return Ok(None) };
    let filter = ConnectionFilter { client_id, user: Some(user.clone()), ..ConnectionFilter::default() };
    let page = PageRequest { limit: page.limit.min(MOST_EXPORTED), after: page.after.clone() };
    let Page { items, next } = heads::list_connections(scope, &filter, &page)?;
    let items = items.into_iter().map(|connection| details(scope, connection)).collect::<Result<_, _>>()?;
    Ok(Some(UserExport { user: user.clone(), created_at, connections: Page { items, next } }))
}

/// Deletes a user of the client's with everything that belongs to them: their connections end now, and are revoked at the
/// providers as soon as those take it. All of them have to be ones that the client may use.
///
/// # Errors
/// [`UserError`].
#[tracing::instrument(name = "flow.user.delete", skip_all, fields(client_id = %client.client.client_id))]
pub async fn delete(ctx: &Ctx, client: &TenantClient, user_id: &str) -> Result<(), UserError> {
    let (user, client_id, now) = (client.user(user_id)?, client.client.client_id.clone(), ctx.now());
    let event = audit::event(ctx, Actor::Client, "user_deleted", "ok")
        .of_client(&client.client.client_id)
        .with("tenant_id", client.tenant_id.as_str());
    let store = client.store(ctx);
    let deleted = store.write(move |scope| {
        if heads::has_connections_of_others(scope, &user, &client_id)? {
            return Err(UserError::OfOthers);
        }
        delete_user(scope, &user, &event, now).map_err(UserError::from)
    });
    if !deleted.await? {
        return Err(UserError::NotFound);
    }
    erase::erase_soon(ctx);
    revocation::revoke_due_soon(ctx);
    Ok(())
}

/// Deletes a user, ends a first batch of their connections, and leaves the rest to [`erase`]; `false`: the tenant does not
/// know the user.
pub(crate) fn delete_user(
    scope: &mut TenantScope<'_>,
    user: &TenantUser,
    event: &AuditEvent,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !users::delete_user(scope, user, now)? {
        return Ok(false);
    }
    let whose = Erasure::User(user.clone());
    let work = whose.work(scope.tenant_id(), now);
    erasure::erase(scope, &whose, now, erase::BATCH)?;
    work_queue::put_work(scope.connection(), &work)?;
    let event = event.clone().with("user_id", user.user_id.as_str());
    insert_audit_event(scope.connection(), &event.with("namespace", user.namespace.as_str()))?;
    Ok(true)
}
