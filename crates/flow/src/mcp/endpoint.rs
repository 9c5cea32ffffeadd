//! The endpoints, and what is published about them.

use causeway_providers::{Kind, Provider};
use causeway_types::McpEndpoint;

use crate::ctx::Ctx;

/// The words for the server behind an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointInfo {
    /// The endpoint as a resource: its address.
    pub resource: String,
    /// Its name for users to read.
    pub title: String,
}

/// Describes an endpoint; `None`: there is none of this name. One of a connection is described whether or not there is such a
/// connection: nobody learns which there are.
pub fn describe(ctx: &Ctx, endpoint: &McpEndpoint) -> Option<EndpointInfo> {
    let resource = endpoint.address(ctx.issuer());
    let title = match endpoint {
        McpEndpoint::Provider(name) => title(ctx, name)?,
        McpEndpoint::Connection(_) => "MCP".to_owned(),
    };
    Some(EndpointInfo { resource, title })
}

/// Whether an endpoint may be named as a resource.
pub(crate) fn is_known(ctx: &Ctx, endpoint: &McpEndpoint) -> bool {
    describe(ctx, endpoint).is_some()
}

/// The title of a provider that is an MCP server; `None`: there is none of this name.
pub(crate) fn title(ctx: &Ctx, provider: &str) -> Option<String> {
    let catalog = ctx.providers();
    let provider = catalog.find(provider).filter(|provider| is_server(provider))?;
    Some(provider.definition.title.clone())
}

/// Whether a provider is one MCP server. A definition with parameters is of many: their connections have endpoints of their
/// own.
pub(crate) fn is_server(provider: &Provider) -> bool {
    matches!(provider.definition.kind, Kind::Mcp(_)) && provider.definition.parameters.is_empty()
}
