//! Operation of the server: limits, events, background work, and what the operator does.

pub mod admin;
pub(crate) mod audit;
pub(crate) mod complaints;
pub mod deliveries;
pub mod events;
pub mod issuer_keys;
pub(crate) mod lifecycle;
pub mod limits;
pub mod node;
pub mod operator;
pub mod stats;
pub mod sweep;
pub mod tenant_admin;
pub mod trace;
