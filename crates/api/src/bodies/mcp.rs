//! Bodies about MCP servers.

use schemars::JsonSchema;
use serde::Serialize;
use url::Url;

/// The MCP servers of a user.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "McpServers")]
pub(crate) struct ListedMcpServers<'a> {
    /// The servers, by name.
    pub(crate) servers: Vec<ListedMcpServer<'a>>,
}

/// An MCP server.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "McpServer")]
pub(crate) struct ListedMcpServer<'a> {
    /// The provider.
    pub(crate) provider: &'a str,
    /// Its name for users to read.
    pub(crate) title: &'a str,
    /// The address for MCP clients.
    #[schemars(with = "Url")]
    pub(crate) url: &'a str,
    /// Whether the user is connected.
    pub(crate) state: McpState,
    /// The user's connection, if there is one.
    pub(crate) connection_id: Option<&'a str>,
    /// The page at which the user connects, to open in their browser; null: that is not necessary, or not possible at the moment.
    #[schemars(with = "Option<Url>")]
    pub(crate) connect_url: Option<&'a str>,
}

/// The state of an MCP server.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum McpState {
    /// Calls go through.
    Connected,
    /// The user has to connect again.
    ReauthRequired,
    /// The user has not connected it.
    NotConnected,
}
