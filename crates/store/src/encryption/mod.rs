//! Encryption of the secrets that are stored for others.

pub mod columns;
pub(crate) mod error;
pub mod handed_out;
pub mod keyring;
pub mod reencrypt;
