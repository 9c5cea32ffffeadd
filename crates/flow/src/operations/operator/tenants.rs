//! The operator's tenants, and their users.

use causeway_domain::connection::{Erasure, Tenant};
use causeway_store::connections::erasure::Erased;
use causeway_store::connections::{tenants, users, work_queue};
use causeway_store::operations::audit::insert_audit_event;
use causeway_store::{Page, PageRequest, StoreError, clients};
use causeway_types::{ClientId, TenantId, TenantUser};

use super::context::Operator;
use crate::connection::erase;
use crate::connection::tenants::NewTenant;
use crate::connection::users::{UserExport, delete_user, export_user};
use crate::error::Internal;

/// Why the operator's tenant is not made.
#[derive(Debug, thiserror::Error)]
pub enum NewTenantError {
    /// A client that is to act in it does not exist.
    #[error("there is no client {0}")]
    UnknownClient(ClientId),
    /// There is a tenant of this identifier already, or there was one.
    #[error("there is a tenant of this identifier already, or there was one")]
    Taken,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for NewTenantError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl Operator<'_> {
    /// Makes a tenant, in which these clients act.
    ///
    /// # Errors
    /// [`NewTenantError`].
    pub async fn create_tenant(
        &self,
        tenant_id: TenantId,
        new: NewTenant,
        acting: Vec<ClientId>,
    ) -> Result<Tenant, NewTenantError> {
        let (own, now, event) = self.about("tenant_created");
        let tenant = new.into_tenant(tenant_id, now);
        let (row, event) = (tenant.clone(), event.with("tenant_id", tenant.tenant_id.as_str()));
        self.store
            .write(move |c| {
                if tenants::is_deleted(c, &row.tenant_id)?.is_some() {
                    return Err(NewTenantError::Taken);
                }
                tenants::insert_tenant(c, &row)?;
                for client_id in &acting {
                    if clients::find_client(c, &own, client_id)?.is_none() {
                        return Err(NewTenantError::UnknownClient(client_id.clone()));
                    }
                    tenants::insert_tenant_client(c, &row.tenant_id, client_id, now)?;
                }
                Ok(insert_audit_event(c, &event)?)
            })
            .await?;
        Ok(tenant)
    }

    /// Lists a page of the tenants.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_tenants(&self, page: PageRequest) -> Result<Page<Tenant>, StoreError> {
        self.store.read(move |c| tenants::list_tenants(c, &page)).await
    }

    /// Finds a tenant that is not deleted.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_tenant(&self, tenant_id: &TenantId) -> Result<Option<Tenant>, StoreError> {
        let id = tenant_id.clone();
        self.store.read(move |c| tenants::find_tenant(c, &id)).await
    }

    /// Deletes a tenant: nobody acts in it any more, and [`Operator::erase`] does the rest. `false`: there is none of this
    /// identifier, or it is the one that clients register in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_tenant(&self, tenant_id: &TenantId) -> Result<bool, StoreError> {
        let (own, now, event) = self.about("tenant_deleted");
        if *tenant_id == own {
            return Ok(false);
        }
        let (id, event) = (tenant_id.clone(), event.with("tenant_id", tenant_id.as_str()));
        self.store
            .write(move |c| {
                let deleted = tenants::delete_tenant(c, &id, now)?;
                if deleted {
                    work_queue::put_work(c, &Erasure::Tenant.work(&id, now))?;
                    insert_audit_event(c, &event)?;
                }
                Ok(deleted)
            })
            .await
    }

    /// Whether the erasure of a deleted tenant goes on: `None`: there never was a tenant of this identifier.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_deleted(&self, tenant_id: &TenantId) -> Result<Option<bool>, StoreError> {
        let id = tenant_id.clone();
        self.store.read(move |c| tenants::is_deleted(c, &id)).await
    }

    /// Takes one step in the erasure of a deleted tenant or user. A server goes on with it whenever this stops.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn erase(&self, tenant_id: &TenantId, whose: &Erasure) -> Result<Erased, StoreError> {
        erase::step(self.store, tenant_id, whose, self.by.at).await
    }

    /// Lists a page of a tenant's users.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_users(
        &self,
        tenant_id: &TenantId,
        page: PageRequest,
    ) -> Result<Page<TenantUser>, StoreError> {
        let store = self.store.in_tenant(tenant_id);
        store.read(move |scope| users::list_users(scope, None, &page)).await
    }

    /// Exports a user with a page of their connections; `None`: the tenant does not know the user.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn export_user(
        &self,
        tenant_id: &TenantId,
        user: &TenantUser,
        page: PageRequest,
    ) -> Result<Option<UserExport>, StoreError> {
        let (store, user) = (self.store.in_tenant(tenant_id), user.clone());
        store.read(move |scope| export_user(scope, &user, None, &page)).await
    }

    /// Deletes a user; [`Operator::erase`] does the rest. `false`: the tenant does not know the user.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_user(&self, tenant_id: &TenantId, user: &TenantUser) -> Result<bool, StoreError> {
        let (_, now, event) = self.about("user_deleted");
        let (store, user) = (self.store.in_tenant(tenant_id), user.clone());
        let event = event.with("tenant_id", tenant_id.as_str());
        store.write(move |scope| delete_user(scope, &user, &event, now)).await
    }
}
