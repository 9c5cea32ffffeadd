//! The MCP servers of a user.

use causeway_domain::connection::Connection;
use causeway_providers::Provider;
use causeway_types::{McpEndpoint, SessionState, UpstreamSessionId};

use super::call::McpError;
use super::endpoint::is_server;
use crate::client::lookup;
use crate::connection::coalesce::AskedBy;
use crate::connection::mcp::{self, McpUser, Need, PromptError};
use crate::ctx::Ctx;
use crate::resource::access::Bearer;

/// Pages to connect at that one list makes at most.
const MOST_PROMPTS: usize = 20;

/// An MCP server that a user may reach through this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// The provider.
    pub provider: String,
    /// Its name for users to read.
    pub title: String,
    /// The endpoint for MCP clients.
    pub url: String,
    /// Whether the user is connected.
    pub state: McpServerState,
    /// The connection, if the user has one.
    pub connection_id: Option<UpstreamSessionId>,
    /// The page at which the user connects; `None`: that is not necessary, or not possible at the moment.
    pub connect_url: Option<String>,
}

/// The state of a user's MCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpServerState {
    /// Calls go through.
    Connected,
    /// The user has to connect again.
    ReauthRequired,
    /// The user has not connected it.
    NotConnected,
}

/// Lists the MCP servers of a token's user, by name. Who lists them asks by hand: each that has to be connected comes with the
/// page for it.
///
/// # Errors
/// [`McpError`].
#[tracing::instrument(name = "flow.mcp.list", skip_all, fields(client_id = %bearer.token.client_id))]
pub async fn list(ctx: &Ctx, bearer: &Bearer) -> Result<Vec<McpServer>, McpError> {
    let client = lookup::find(ctx, &bearer.token.client_id).await?.ok_or(McpError::Unknown)?;
    let (tenant_id, did) = (bearer.session.tenant_id.clone(), bearer.user.did.clone());
    let user = McpUser { tenant_id, did, client };
    let connections = mcp::list(ctx, &user).await?;
    let catalog = ctx.providers();
    let find = |provider: &Provider| {
        connections.iter().find(|connection| connection.head.provider() == provider.name.as_str())
    };
    let mut rows: Vec<(&Provider, Option<&Connection>)> = catalog
        .iter()
        .filter(|provider| is_server(provider))
        .map(|provider| (provider, find(provider)))
        .collect();
    // Those of definitions for many servers.
    rows.extend(connections.iter().filter_map(|connection| {
        let provider = catalog.find(connection.head.provider()).filter(|provider| !is_server(provider))?;
        Some((provider, Some(connection)))
    }));
    let mut prompts_left = MOST_PROMPTS;
    let mut servers = Vec::with_capacity(rows.len());
    for (provider, connection) in rows {
        servers.push(shown(ctx, &user, provider, connection, &mut prompts_left).await?);
    }
    Ok(servers)
}

async fn shown(
    ctx: &Ctx,
    user: &McpUser,
    provider: &Provider,
    connection: Option<&Connection>,
    prompts_left: &mut usize,
) -> Result<McpServer, McpError> {
    let name = provider.name.as_str();
    let connection_id = connection.map(|connection| &connection.head.session_id);
    let (state, need) = match (connection, connection_id) {
        (Some(connection), _) if connection.head.state == SessionState::Active => {
            (McpServerState::Connected, None)
        }
        (Some(_), Some(id)) => (McpServerState::ReauthRequired, Some(Need::Reauth(id))),
        _ => (McpServerState::NotConnected, Some(Need::Connection)),
    };
    let connect_url = match need.filter(|_| *prompts_left > 0) {
        Some(need) => {
            *prompts_left -= 1;
            connect_url(ctx, user, name, need).await?
        }
        None => None,
    };
    let endpoint = match connection_id {
        Some(id) if !is_server(provider) => McpEndpoint::Connection(id.clone()),
        _ => McpEndpoint::Provider(name.to_owned()),
    };
    Ok(McpServer {
        provider: name.to_owned(),
        title: provider.definition.title.clone(),
        url: endpoint.address(ctx.issuer()),
        state,
        connection_id: connection_id.cloned(),
        connect_url,
    })
}

async fn connect_url(
    ctx: &Ctx,
    user: &McpUser,
    provider: &str,
    need: Need<'_>,
) -> Result<Option<String>, McpError> {
    match mcp::prompt(ctx, user, provider, need, AskedBy::Hand).await {
        Ok(prompt) => Ok(Some(prompt.connect_url)),
        Err(PromptError::Internal(error)) => Err(error.into()),
        Err(error) => {
            tracing::info!(%error, provider, "no page to connect at");
            Ok(None)
        }
    }
}
