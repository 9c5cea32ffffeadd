//! Logout: at a client's request, and announced to clients.

pub mod backchannel;
pub mod rp_initiated;
