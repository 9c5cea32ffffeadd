//! Data of the operator and of the server itself: audit events, keys, nodes and sweeps.

pub mod admin;
pub mod audit;
pub mod keys;
pub mod nodes;
pub mod sweep;
