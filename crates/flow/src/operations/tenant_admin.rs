//! The operator's API over HTTP: tenants, their users and connections. Changes and reads of data are recorded as audit
//! events.

use causeway_domain::connection::{Connection, Tenant};
use causeway_store::connections::heads::ConnectionFilter;
use causeway_store::operations::audit::insert_audit_event;
use causeway_store::{Page, PageRequest};
use causeway_types::{ClientId, TenantId, TenantUser, UpstreamSessionId};

use crate::connection::erase;
use crate::connection::show::ConnectionDetails;
use crate::connection::tenants::NewTenant;
use crate::connection::users::UserExport;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::operator::{NewTenantError, Operator};
use crate::upstream::revocation;

/// Makes a tenant, in which these clients act.
///
/// # Errors
/// [`NewTenantError`].
pub async fn create(ctx: &Ctx, new: NewTenant, clients: Vec<ClientId>) -> Result<Tenant, NewTenantError> {
    Operator::over_http(ctx).create_tenant(TenantId::random(ctx.rng()), new, clients).await
}

/// Lists a page of the tenants.
///
/// # Errors
/// When the database does not answer.
pub async fn list(ctx: &Ctx, page: PageRequest) -> Result<Page<Tenant>, Internal> {
    Ok(Operator::over_http(ctx).list_tenants(page).await?)
}

/// Finds a tenant.
///
/// # Errors
/// When the database does not answer.
pub async fn find(ctx: &Ctx, tenant_id: &TenantId) -> Result<Option<Tenant>, Internal> {
    Ok(Operator::over_http(ctx).find_tenant(tenant_id).await?)
}

/// Deletes a tenant; `false`: there is none, or it is the one that clients register in. The rest follows in the background.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.delete_tenant", skip_all, fields(%tenant_id))]
pub async fn delete(ctx: &Ctx, tenant_id: &TenantId) -> Result<bool, Internal> {
    let deleted = Operator::over_http(ctx).delete_tenant(tenant_id).await?;
    if deleted {
        erase::erase_soon(ctx);
    }
    Ok(deleted)
}

/// Lists a page of a tenant's users.
///
/// # Errors
/// When the database does not answer.
pub async fn list_users(
    ctx: &Ctx,
    tenant_id: &TenantId,
    page: PageRequest,
) -> Result<Page<TenantUser>, Internal> {
    let found = Operator::over_http(ctx).list_users(tenant_id, page).await?;
    note_read(ctx, "users_listed", tenant_id, None).await?;
    Ok(found)
}

/// Exports a user; `None`: the tenant does not know the user.
///
/// # Errors
/// When the database does not answer.
pub async fn export_user(
    ctx: &Ctx,
    tenant_id: &TenantId,
    user: &TenantUser,
    page: PageRequest,
) -> Result<Option<UserExport>, Internal> {
    let found = Operator::over_http(ctx).export_user(tenant_id, user, page).await?;
    if found.is_some() {
        note_read(ctx, "user_exported", tenant_id, Some(user.user_id.as_str())).await?;
    }
    Ok(found)
}

/// Deletes a user; `false`: the tenant does not know the user.
///
/// # Errors
/// When the database does not answer.
pub async fn delete_user(ctx: &Ctx, tenant_id: &TenantId, user: &TenantUser) -> Result<bool, Internal> {
    let deleted = Operator::over_http(ctx).delete_user(tenant_id, user).await?;
    if deleted {
        erase::erase_soon(ctx);
        revocation::revoke_due_soon(ctx);
    }
    Ok(deleted)
}

/// Lists a page of a tenant's connections, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_connections(
    ctx: &Ctx,
    tenant_id: &TenantId,
    filter: ConnectionFilter,
    page: PageRequest,
) -> Result<Page<Connection>, Internal> {
    let found = Operator::over_http(ctx).list_connections(tenant_id, filter, page).await?;
    note_read(ctx, "connections_listed", tenant_id, None).await?;
    Ok(found)
}

/// Finds a connection; `None`: the tenant has none of this identifier.
///
/// # Errors
/// When the database does not answer.
pub async fn find_connection(
    ctx: &Ctx,
    tenant_id: &TenantId,
    connection_id: &UpstreamSessionId,
) -> Result<Option<ConnectionDetails>, Internal> {
    let found = Operator::over_http(ctx).find_connection(tenant_id, connection_id).await?;
    if found.is_some() {
        note_read(ctx, "connection_shown", tenant_id, Some(connection_id.as_str())).await?;
    }
    Ok(found)
}

/// Ends a connection; `None`: the tenant has none of this identifier.
///
/// # Errors
/// When the database does not answer.
pub async fn end_connection(
    ctx: &Ctx,
    tenant_id: &TenantId,
    connection_id: &UpstreamSessionId,
) -> Result<Option<bool>, Internal> {
    let ended = Operator::over_http(ctx).end_connection(tenant_id, connection_id).await?;
    if ended == Some(true) {
        revocation::revoke_soon(ctx, connection_id).await;
    }
    Ok(ended)
}

/// Lets another client of the tenant use a connection; `false`: there is no such connection, or the client does not act in
/// the tenant.
///
/// # Errors
/// When the database does not answer.
pub async fn share_connection(
    ctx: &Ctx,
    tenant_id: &TenantId,
    connection_id: &UpstreamSessionId,
    client_id: &ClientId,
) -> Result<bool, Internal> {
    Ok(Operator::over_http(ctx).share_connection(tenant_id, connection_id, client_id).await?)
}

/// Records that data was read, before it is shown.
async fn note_read(ctx: &Ctx, event: &str, tenant_id: &TenantId, what: Option<&str>) -> Result<(), Internal> {
    let event = Operator::over_http(ctx).audit_event(event).with("tenant_id", tenant_id.as_str());
    let event = what.iter().fold(event, |event, what| event.with("of", *what));
    ctx.store().write(move |c| insert_audit_event(c, &event).map_err(Internal::from)).await
}
