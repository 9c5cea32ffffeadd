//! Session identifiers of MCP servers, as their clients see them: encrypted, and bound to user, client and connection. Nothing
//! of them is stored here, so they outlive a restart and work at every node.

use causeway_store::StoreError;
use causeway_store::encryption::handed_out::HandedOut;
use causeway_types::{Secret, UpstreamSessionId};

use super::caller::McpCaller;
use crate::ctx::Ctx;
use crate::error::Internal;

/// The identifier that a client gets for one of the upstream.
pub(super) fn hand_out(
    ctx: &Ctx,
    caller: &McpCaller,
    connection_id: &UpstreamSessionId,
    upstream: &str,
) -> Result<String, Internal> {
    let context = context(caller, connection_id);
    let handed_out = ctx.ring().hand_out(HandedOut::McpSession, &context, upstream);
    Ok(handed_out.map_err(|error| StoreError::Encrypt { table: "mcp session", error })?)
}

/// The upstream's identifier behind one that a client presents; `None`: it is not one that this client got for this user and
/// connection.
pub(super) fn take_back(
    ctx: &Ctx,
    caller: &McpCaller,
    connection_id: &UpstreamSessionId,
    presented: &str,
) -> Option<Secret> {
    ctx.ring().take_back(HandedOut::McpSession, &context(caller, connection_id), presented)
}

/// No part has a control character in it.
fn context(caller: &McpCaller, connection_id: &UpstreamSessionId) -> String {
    let (client_id, did) = (caller.client().client_id.as_str(), caller.user.did.as_str());
    [client_id, did, connection_id.as_str()].join("\n")
}
