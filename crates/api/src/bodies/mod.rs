//! The JSON bodies of responses, and those of requests to the operator's API.
//!
//! Their JSON Schema is derived, so that the OpenAPI document describes what is sent. Doc comments become the
//! descriptions there: they address the developers of clients.

pub(crate) mod admin;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod connection_use;
pub(crate) mod forms;
pub(crate) mod mcp;
pub(crate) mod oauth;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod tenant;
