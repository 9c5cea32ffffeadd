//! Accounts at AT Protocol servers: sign-in, refresh and revocation there, and our own identity as their client.

pub(crate) mod adapter;
pub mod callback;
pub mod handles;
pub mod metadata;
pub mod metadata_check;
pub(crate) mod new_session;
pub(crate) mod profile;
pub(crate) mod required;
pub(crate) mod scope_fallback;
pub mod sign_in;
