//! Connections at providers, as the clients of a tenant see and use them.

pub mod end;
pub mod erase;
pub mod list;
pub mod show;
pub mod tenant_client;
pub mod tenants;
pub mod users;
