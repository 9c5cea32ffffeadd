//! The grants of the token endpoint, one file each: the checks of a grant, and what it consumes. What all grants
//! have in common is in [`issue`](super::issue).

pub mod client_credentials;
pub mod code;
pub mod device;
pub mod exchange;
pub mod refresh;
