//! Connections at providers, as the clients of a tenant see and use them.

pub mod tenant_client;
