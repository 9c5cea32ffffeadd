//! Encryption of the secrets that are stored for others.

pub mod reseal;
pub mod seal;
pub mod sealed;
