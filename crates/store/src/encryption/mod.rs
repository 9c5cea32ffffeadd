//! Encryption of the secrets that are stored for others.

pub mod columns;
pub(crate) mod error;
pub mod keyring;
pub mod reencrypt;
