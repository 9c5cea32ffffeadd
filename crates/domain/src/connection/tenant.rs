//! Tenants.

use causeway_types::{TenantId, Timestamp, UserNamespace};

/// A tenant: the boundary that users, connections and credentials never cross.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its identifier.
    pub tenant_id: TenantId,
    /// The name that the operator or the platform client gave it.
    pub name: String,
    /// The namespace that its clients share; `None`: each client has its own.
    pub user_namespace: Option<UserNamespace>,
    /// When it was made.
    pub created_at: Timestamp,
}
