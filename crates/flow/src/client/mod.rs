//! Clients: their authentication, keys, documents and registration.

pub mod assertion;
pub mod authenticated;
pub mod authentication;
pub(crate) mod cache;
pub mod document;
pub mod document_fetch;
pub(crate) mod fetch_turns;
pub(crate) mod keys;
pub(crate) mod lookup;
pub(crate) mod purge;
pub mod registration;
pub(crate) mod trust;
