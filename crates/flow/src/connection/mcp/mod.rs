//! Connections of users who signed in here at MCP servers, for whatever MCP client they use. A connection belongs to its user:
//! each client uses it with their consent.

mod access;
mod prompt;

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_providers::Kind;
use causeway_types::{Did, TenantId, TenantUser};

use crate::ctx::Ctx;
use crate::error::Internal;

pub use self::access::{McpAccess, find_by_id, find_for, grant_access, list};
pub use self::prompt::{Need, Prompt, PromptError, begin_for_authorization, outcome, prompt};
pub use causeway_providers::mcp::McpChallenge;

use crate::upstream::relay::RelayAnswer;

/// The user of an MCP client, as a token of ours or their consent names them.
#[derive(Clone, Debug)]
pub struct McpUser {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The user.
    pub did: Did,
    /// The client.
    pub client: Arc<Client>,
}

impl McpUser {
    /// The user as the tenant knows them.
    fn user(&self) -> Result<TenantUser, Internal> {
        TenantUser::of_did(&self.did)
            .ok_or(Internal::Inconsistent("the DID is longer than the name of a user"))
    }
}

/// Whether there is a provider of this name and of the kind `mcp`.
pub(crate) fn is_mcp(ctx: &Ctx, provider: &str) -> bool {
    let catalog = ctx.providers();
    catalog.find(provider).is_some_and(|found| matches!(found.definition.kind, Kind::Mcp(_)))
}

/// The scopes that an answer of an MCP server demands beyond those of the connection; `None`: it demands none.
pub fn demanded_scopes(answer: &RelayAnswer) -> Option<Vec<String>> {
    McpChallenge::demanded_scopes(answer.status(), answer.header_map())
}
