//! Accounts at AT Protocol servers: sign-in, refresh, revocation and calls there, and our own identity as their client.

pub(crate) mod adapter;
pub(crate) mod answer;
pub(crate) mod handles;
pub mod metadata;
pub mod metadata_check;
pub(crate) mod profile;

mod call;
mod connect;
mod permission;
mod scope_fallback;
