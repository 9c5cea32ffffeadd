//! Authorization requests and codes, until tokens are issued.

pub mod auth_requests;
pub mod codes;
pub mod device_codes;
pub mod par;
pub mod replay;
