//! Maps the errors of `causeway-flow` to the wire: one table for JSON, by subject, and in `page` one for pages.

mod api;
mod challenge;
mod connect;
mod connection;
mod mcp;
mod oauth;
mod operation;
mod page;
mod relay;
mod session;
mod tenant;
#[cfg(test)]
mod wire;

pub(crate) use self::api::ApiError;
pub(crate) use self::page::{PageError, sign_in_status};
