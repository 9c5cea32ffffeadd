//! MCP servers: what protects them, as they and their authorization servers say (Model Context Protocol, "Authorization",
//! revisions 2025-03-26 to 2026-07-28).
//!
//! [`ProviderClient::discover_mcp`](crate::oauth::ProviderClient::discover_mcp) asks the server and reads its metadata;
//! what follows is OAuth, and the business of [`oauth`](crate::oauth). [`McpChallenge`] reads what the server demands in
//! answers to calls.

mod challenge;
mod discovery;
mod resource;

pub use challenge::McpChallenge;
pub use discovery::{McpAuthorization, McpDiscoveryError, McpServer};
pub use resource::{ProtectedResource, ResourceError, resource_well_known};
