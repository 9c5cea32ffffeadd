//! Connections at providers, as the clients of a tenant see and use them.

pub mod deauthorize;
pub mod error;
pub mod export;
pub mod refresh;
pub mod relay;
pub mod tenant_client;
pub(crate) mod usable;
pub mod verify;
