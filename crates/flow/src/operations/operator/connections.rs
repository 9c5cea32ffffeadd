//! The operator's view of connections, and who may use them.

use causeway_domain::connection::{Connection, ConnectionAccess, GrantedBy};
use causeway_store::connections::heads::{self, ConnectionFilter};
use causeway_store::connections::{access, tenants};
use causeway_store::operations::audit::insert_audit_event;
use causeway_store::{Page, PageRequest, StoreError};
use causeway_types::{ClientId, TenantId, UpstreamSessionId};

use super::context::Operator;
use crate::connection::show::{ConnectionDetails, details, find_confirmed};

impl Operator<'_> {
    /// Lists a page of a tenant's connections, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_connections(
        &self,
        tenant_id: &TenantId,
        filter: ConnectionFilter,
        page: PageRequest,
    ) -> Result<Page<Connection>, StoreError> {
        let store = self.store.in_tenant(tenant_id);
        store.read(move |scope| heads::list_connections(scope, &filter, &page)).await
    }

    /// Finds a confirmed connection with what belongs to it; `None`: the tenant has none of this identifier.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_connection(
        &self,
        tenant_id: &TenantId,
        connection_id: &UpstreamSessionId,
    ) -> Result<Option<ConnectionDetails>, StoreError> {
        let (store, id) = (self.store.in_tenant(tenant_id), connection_id.clone());
        let found = store.read(move |scope| {
            let Some(connection) = find_confirmed(scope, &id)? else { return Ok(None) };
            details(scope, connection).map(Some)
        });
        found.await
    }

    /// Ends a connection; `None`: the tenant has none of this identifier. `Some(false)`: it had ended before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_connection(
        &self,
        tenant_id: &TenantId,
        connection_id: &UpstreamSessionId,
    ) -> Result<Option<bool>, StoreError> {
        let (_, now, event) = self.about("connection_ended");
        let (store, id) = (self.store.in_tenant(tenant_id), connection_id.clone());
        let event = event.with("tenant_id", tenant_id.as_str());
        store
            .write(move |scope| {
                let Some(connection) = find_confirmed(scope, &id)? else { return Ok(None) };
                let ended = heads::end_connection(scope, &id, now)?;
                if ended {
                    let event = event.clone().of_session(&connection.head);
                    insert_audit_event(
                        scope.connection(),
                        &event.with("provider", connection.head.provider()),
                    )?;
                }
                Ok(Some(ended))
            })
            .await
    }

    /// Lets another client of the tenant use a connection; `false`: the tenant has no such connection, or the client does
    /// not act in it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn share_connection(
        &self,
        tenant_id: &TenantId,
        connection_id: &UpstreamSessionId,
        client_id: &ClientId,
    ) -> Result<bool, StoreError> {
        let (_, now, event) = self.about("connection_shared");
        let (tenant, store) = (tenant_id.clone(), self.store.in_tenant(tenant_id));
        let (id, client_id) = (connection_id.clone(), client_id.clone());
        let event = event.with("tenant_id", tenant_id.as_str()).with("with", client_id.as_str());
        store
            .write(move |scope| {
                let acts = tenants::find_tenant_of_client(scope.connection(), &tenant, &client_id)?.is_some();
                let Some(connection) = find_confirmed(scope, &id)?.filter(|_| acts) else { return Ok(false) };
                let shared = ConnectionAccess {
                    connection_id: id.clone(),
                    client_id: client_id.clone(),
                    granted_by: GrantedBy::Operator,
                    created_at: now,
                };
                access::put_access(scope, &shared)?;
                insert_audit_event(scope.connection(), &event.clone().of_session(&connection.head))?;
                Ok(true)
            })
            .await
    }
}
