//! Sessions at upstream servers: how they begin, are kept alive, used and ended.

pub(crate) mod answer;
pub mod atproto;
pub mod connect;
pub mod export;
pub mod keeper;
pub(crate) mod mcp;
pub mod oauth2;
pub(crate) mod registry;
pub mod relay;
pub mod revocation;
pub mod session;
pub mod traits;
pub(crate) mod usable;
