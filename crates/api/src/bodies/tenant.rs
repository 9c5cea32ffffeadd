//! Bodies about tenants and their users.

use causeway_domain::connection::Tenant;
use causeway_flow::connection::users::UserExport;
use causeway_types::{TenantId, TenantUser, Timestamp, UserId, UserNamespace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::connection::ConnectionDetail;

/// A tenant to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(crate) struct NewTenantBody {
    /// Its name, for users to read.
    pub(crate) name: String,
    /// The namespace of names for users that the tenant's clients share; absent: each client has its own.
    pub(crate) user_namespace: Option<String>,
}

/// A tenant to make, with clients that act in it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(crate) struct AdminNewTenant {
    /// Its name, for users to read.
    pub(crate) name: String,
    /// The namespace of names for users that the tenant's clients share; absent: each client has its own.
    pub(crate) user_namespace: Option<String>,
    /// The client_id of each client that acts in it.
    #[serde(default)]
    pub(crate) clients: Vec<String>,
}

/// A tenant.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
pub(crate) struct TenantBody<'a> {
    /// Its identifier: the value of the header Causeway-Tenant.
    tenant_id: &'a TenantId,
    /// Its name.
    name: &'a str,
    /// The namespace of names for users that the tenant's clients share; null: each client has its own.
    user_namespace: Option<&'a UserNamespace>,
    /// Unix time at which it was made.
    created_at: Timestamp,
}

impl<'a> From<&'a Tenant> for TenantBody<'a> {
    fn from(tenant: &'a Tenant) -> Self {
        let Tenant { tenant_id, name, user_namespace, created_at } = tenant;
        Self { tenant_id, name, user_namespace: user_namespace.as_ref(), created_at: *created_at }
    }
}

/// A page of tenants.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Tenants<'a> {
    /// The tenants.
    pub(crate) tenants: Vec<TenantBody<'a>>,
    /// The value of cursor for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'a str>,
}

/// A user of a tenant.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TenantUser")]
pub(crate) struct UserBody<'a> {
    /// The user, by the client's own name.
    user_id: &'a UserId,
    /// The party whose name this is.
    user_namespace: &'a UserNamespace,
}

impl<'a> From<&'a TenantUser> for UserBody<'a> {
    fn from(user: &'a TenantUser) -> Self {
        Self { user_id: &user.user_id, user_namespace: &user.namespace }
    }
}

/// A page of users.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Users<'a> {
    /// The users.
    pub(crate) users: Vec<UserBody<'a>>,
    /// The value of cursor for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'a str>,
}

/// Everything that is stored about a user, without secrets.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExportedUser<'a> {
    #[serde(flatten)]
    user: UserBody<'a>,
    /// Unix time at which the tenant first knew the user.
    created_at: Timestamp,
    /// Connections with what belongs to them, the newest first.
    connections: Vec<ConnectionDetail<'a>>,
    /// The value of cursor for further connections; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

impl<'a> ExportedUser<'a> {
    /// A user's data as it is at `now`.
    pub(crate) fn at(export: &'a UserExport, now: Timestamp) -> Self {
        Self {
            user: (&export.user).into(),
            created_at: export.created_at,
            connections: export.connections.items.iter().map(|it| ConnectionDetail::at(it, now)).collect(),
            next: export.connections.next.as_deref(),
        }
    }
}
