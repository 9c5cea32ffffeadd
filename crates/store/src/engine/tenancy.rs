//! The store as one tenant sees it.
//!
//! The functions of the tenants' tables take a [`TenantScope`] instead of a connection, and only a [`TenantStore`] makes
//! one: a query without a tenant cannot be written. On PostgreSQL, row-level security holds besides, whatever a query
//! says: the tenant is set in the transaction, with its first statement.

use causeway_types::TenantId;

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::store::Store;

/// A connection, in a transaction that reaches the rows of one tenant.
#[expect(missing_debug_implementations, reason = "a connection has nothing to show")]
pub struct TenantScope<'a> {
    c: &'a mut AnyConnection,
    tenant_id: &'a TenantId,
}

impl<'a> TenantScope<'a> {
    /// A scope of the tenant in the transaction of this connection, which may have scopes of several.
    pub(crate) const fn enter(c: &'a mut AnyConnection, tenant_id: &'a TenantId) -> Self {
        Self { c, tenant_id }
    }

    /// The tenant.
    pub const fn tenant_id(&self) -> &'a TenantId {
        self.tenant_id
    }

    /// The connection. Its next statements reach the rows of this tenant, whatever tenant the last ones reached.
    pub fn connection(&mut self) -> &mut AnyConnection {
        self.c.set_tenant(self.tenant_id);
        self.c
    }
}

/// A store whose closures reach the rows of one tenant ([`Store::in_tenant`]).
#[derive(Clone, Debug)]
pub struct TenantStore {
    store: Store,
    tenant_id: TenantId,
}

impl Store {
    /// The same database, for the rows of one tenant.
    #[must_use]
    pub fn in_tenant(&self, tenant_id: &TenantId) -> TenantStore {
        TenantStore { store: self.clone(), tenant_id: tenant_id.clone() }
    }
}

impl TenantStore {
    /// The tenant.
    pub const fn tenant_id(&self) -> &TenantId {
        &self.tenant_id
    }

    /// Same as [`Store::read`].
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from running.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut TenantScope<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let tenant_id = self.tenant_id.clone();
        self.store.read(move |c| f(&mut TenantScope::enter(c, &tenant_id))).await
    }

    /// Same as [`Store::find`]. Statements for several tenants may travel together: each has its own.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from running.
    pub async fn find<T, E, F>(&self, mut f: F) -> Result<T, E>
    where
        F: FnMut(&mut TenantScope<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let tenant_id = self.tenant_id.clone();
        self.store.find(move |c| f(&mut TenantScope::enter(c, &tenant_id))).await
    }

    /// Same as [`Store::write`].
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept it from being committed.
    pub async fn write<T, E, F>(&self, mut f: F) -> Result<T, E>
    where
        F: FnMut(&mut TenantScope<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let tenant_id = self.tenant_id.clone();
        self.store.write(move |c| f(&mut TenantScope::enter(c, &tenant_id))).await
    }

    /// Same as [`Store::add`]. Rows of several tenants may be committed together.
    ///
    /// # Errors
    /// The closure's error, or the [`StoreError`] that kept its changes from being committed.
    pub async fn add<T, E, F>(&self, mut f: F) -> Result<T, E>
    where
        F: FnMut(&mut TenantScope<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let tenant_id = self.tenant_id.clone();
        self.store.add(move |c| f(&mut TenantScope::enter(c, &tenant_id))).await
    }
}
