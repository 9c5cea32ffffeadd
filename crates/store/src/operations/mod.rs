//! What the operator and the server itself keep: audit events, keys, nodes and sweeps.

pub mod admin;
pub mod audit;
pub mod keys;
pub mod nodes;
pub mod sweep;
