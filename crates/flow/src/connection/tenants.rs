//! Tenants of a platform client: it makes them, acts in them and deletes them.

use std::sync::Arc;

use causeway_domain::client::{Client, Entitlement};
use causeway_domain::connection::{Erasure, Tenant};
use causeway_store::connections::{tenants, work_queue};
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::{Page, PageRequest, StoreError};
use causeway_types::{ErrorCode, TenantId, UserNamespace};

use super::erase;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;

/// The longest name of a tenant, in characters.
const MAX_NAME: usize = 200;

/// Why a tenant is not made, shown or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// The client is not entitled to it.
    #[error(
        "this client may not manage tenants: ask the operator of this server for the entitlement manage_tenants"
    )]
    NotEntitled,
    /// Not a name.
    #[error("name must be 1 to {MAX_NAME} characters, none of which is a control character")]
    Name,
    /// Not a namespace.
    #[error("user_namespace must be a text without control characters, and not did")]
    Namespace,
    /// There is no such tenant, or the client does not act in it.
    #[error("there is no such tenant, or this client does not act in it")]
    NotFound,
    /// Another client made the tenant, or the operator.
    #[error("only the client that made this tenant deletes it, or the operator of this server")]
    NotMaker,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ManageError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotEntitled | Self::NotMaker => ErrorCode::UnauthorizedClient,
            Self::Name | Self::Namespace => ErrorCode::InvalidRequest,
            Self::NotFound => ErrorCode::NotFound,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<StoreError> for ManageError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// A tenant to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTenant {
    name: String,
    user_namespace: Option<UserNamespace>,
}

impl NewTenant {
    /// Checks the name, and the namespace that the tenant's clients share if there is one.
    ///
    /// # Errors
    /// [`ManageError::Name`], [`ManageError::Namespace`].
    pub fn new(name: &str, user_namespace: Option<&str>) -> Result<Self, ManageError> {
        let name = name.trim();
        let fits = (1..=MAX_NAME).contains(&name.chars().take(MAX_NAME + 1).count());
        if !fits || name.chars().any(char::is_control) {
            return Err(ManageError::Name);
        }
        let parse = |text| UserNamespace::parse(text).filter(|namespace| !namespace.is_did());
        let user_namespace = match user_namespace {
            Some(text) => Some(parse(text).ok_or(ManageError::Namespace)?),
            None => None,
        };
        Ok(Self { name: name.to_owned(), user_namespace })
    }

    /// The tenant with an identifier.
    pub(crate) fn into_tenant(self, tenant_id: TenantId, created_at: causeway_types::Timestamp) -> Tenant {
        Tenant { tenant_id, name: self.name, user_namespace: self.user_namespace, created_at }
    }
}

fn check(client: &Client) -> Result<(), ManageError> {
    client.has_entitlement(Entitlement::ManageTenants).then_some(()).ok_or(ManageError::NotEntitled)
}

/// Makes a tenant, in which the client acts.
///
/// # Errors
/// [`ManageError`].
#[tracing::instrument(name = "flow.tenant.create", skip_all, fields(client_id = %client.client_id))]
pub async fn create(ctx: &Ctx, client: &Arc<Client>, new: NewTenant) -> Result<Tenant, ManageError> {
    check(client)?;
    let tenant = new.into_tenant(TenantId::random(ctx.rng()), ctx.now());
    let event = audit::event(ctx, Actor::Client, "tenant_created", "ok")
        .of_client(&client.client_id)
        .with("tenant_id", tenant.tenant_id.as_str());
    let (row, client_id) = (tenant.clone(), client.client_id.clone());
    ctx.store()
        .write(move |c| {
            tenants::insert_tenant(c, &row)?;
            tenants::note_maker(c, &row.tenant_id, &client_id)?;
            tenants::insert_tenant_client(c, &row.tenant_id, &client_id, row.created_at)?;
            insert_audit_event(c, &event).map_err(ManageError::from)
        })
        .await?;
    Ok(tenant)
}

/// Lists a page of the tenants that the client acts in.
///
/// # Errors
/// [`ManageError`].
pub async fn list(ctx: &Ctx, client: &Arc<Client>, page: PageRequest) -> Result<Page<Tenant>, ManageError> {
    check(client)?;
    let client_id = client.client_id.clone();
    let found = ctx
        .store()
        .read(move |c| tenants::list_tenants_of_client(c, &client_id, &page).map_err(ManageError::from));
    found.await
}

/// Finds a tenant that the client acts in.
///
/// # Errors
/// [`ManageError`].
pub async fn find(ctx: &Ctx, client: &Arc<Client>, tenant_id: &TenantId) -> Result<Tenant, ManageError> {
    check(client)?;
    let (client_id, id) = (client.client_id.clone(), tenant_id.clone());
    let found = ctx
        .store()
        .find(move |c| tenants::find_tenant_of_client(c, &id, &client_id).map_err(ManageError::from));
    found.await?.ok_or(ManageError::NotFound)
}

/// Deletes a tenant that the client made. Nobody acts in it from now on; everything in it is ended
/// and erased in the background.
///
/// # Errors
/// [`ManageError`].
#[tracing::instrument(name = "flow.tenant.delete", skip_all, fields(client_id = %client.client_id))]
pub async fn delete(ctx: &Ctx, client: &Arc<Client>, tenant_id: &TenantId) -> Result<(), ManageError> {
    find(ctx, client, tenant_id).await?;
    let event = audit::event(ctx, Actor::Client, "tenant_deleted", "ok")
        .of_client(&client.client_id)
        .with("tenant_id", tenant_id.as_str());
    let (id, client_id, now) = (tenant_id.clone(), client.client_id.clone(), ctx.now());
    let deleted = ctx.store().write(move |c| {
        if !tenants::is_made_by(c, &id, &client_id)? {
            return Err(ManageError::NotMaker);
        }
        let deleted = tenants::delete_tenant(c, &id, now)?;
        if deleted {
            work_queue::put_work(c, &Erasure::Tenant.work(&id, now))?;
            insert_audit_event(c, &event)?;
        }
        Ok::<_, ManageError>(deleted)
    });
    if !deleted.await? {
        return Err(ManageError::NotFound);
    }
    erase::erase_soon(ctx);
    Ok(())
}
