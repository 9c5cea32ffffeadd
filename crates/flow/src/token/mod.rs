//! The token endpoint and what it issues: one file a grant type, introspection and revocation.

pub mod client_credentials;
pub mod code;
pub mod device;
pub mod exchange;
pub(crate) mod id_token;
pub mod id_token_hint;
pub mod introspect;
pub(crate) mod issue;
pub(crate) mod jwt_access;
pub mod refresh;
pub(crate) mod resolved_grant;
pub mod revoke;
pub(crate) mod superseded;
pub mod token_type;
