//! Encryption of the secrets that are stored for others.

pub mod columns;
pub mod keyring;
pub mod reencrypt;
