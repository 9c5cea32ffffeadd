//! Authorization requests, from the first parameter to the code (RFC 6749 section 4.1).

pub(crate) mod claims;
pub(crate) mod code;
pub mod consent;
pub mod device;
pub(crate) mod new_request;
pub(crate) mod open_redirect;
pub mod par;
pub mod parameters;
pub(crate) mod pending;
pub mod prompt_none;
pub(crate) mod remembered;
pub mod request;
pub(crate) mod request_object;
pub(crate) mod resources;
pub(crate) mod response;
pub(crate) mod scopes;
