//! MCP clients, with the tokens of their users.

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_types::{McpEndpoint, SessionKind};
use url::Url;

use crate::client::lookup;
use crate::connection::mcp::McpUser;
use crate::ctx::Ctx;
use crate::resource::access::{self, AccessError, AccessRequest};

/// An MCP client with a valid token for one endpoint.
#[derive(Clone, Debug)]
pub struct McpCaller {
    pub(crate) endpoint: McpEndpoint,
    pub(crate) user: McpUser,
    /// The nonce that goes with the answer, if this client's proofs need one (RFC 9449 section 9).
    pub dpop_nonce: Option<String>,
}

/// Checks a token that is presented at an endpoint. A job's token for a background session is none of the user's own.
///
/// # Errors
/// [`AccessError`].
pub async fn verify(
    ctx: &Ctx,
    endpoint: McpEndpoint,
    request: &AccessRequest<'_>,
) -> Result<McpCaller, AccessError> {
    let bearer = access::verify_at(ctx, request, &endpoint).await?;
    if bearer.session.kind == SessionKind::Background {
        return Err(AccessError::NoUser);
    }
    let client = lookup::find(ctx, &bearer.token.client_id).await?.ok_or(AccessError::Invalid)?;
    let user = McpUser { tenant_id: bearer.session.tenant_id.clone(), did: bearer.user.did, client };
    Ok(McpCaller { endpoint, user, dpop_nonce: bearer.dpop_nonce })
}

impl McpCaller {
    /// Whether a script of this origin may call: one of the client's own, by its redirect URIs, or one that the operator
    /// allows.
    pub fn may_come_from(&self, ctx: &Ctx, origin: &str) -> bool {
        ctx.mcp_allowed_origins().iter().any(|allowed| allowed == origin) || is_own(&self.user.client, origin)
    }

    /// The client.
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.user.client
    }
}

/// Whether an origin is that of one of the client's redirect URIs. A loopback address may have any port, as in those (RFC 8252
/// section 7.3).
fn is_own(client: &Client, origin: &str) -> bool {
    let Ok(from) = Url::parse(origin) else { return false };
    if !from.origin().is_tuple() || from.origin().ascii_serialization() != origin {
        return false;
    }
    client.redirect_uris.iter().any(|uri| {
        let Ok(uri) = Url::parse(uri.as_str()) else { return false };
        let is_loopback = || {
            let is_loopback_host = matches!(uri.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            is_loopback_host && (uri.scheme(), uri.host_str()) == (from.scheme(), from.host_str())
        };
        uri.origin() == from.origin() || is_loopback()
    })
}

#[cfg(test)]
mod tests {
    use causeway_domain::client::ClientMetadata;
    use causeway_types::{ClientId, TenantId, Timestamp};

    use super::*;

    #[test]
    fn origins_of_a_client() {
        let redirect_uris = ["https://app.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"];
        let redirect_uris = redirect_uris.map(str::to_owned).to_vec();
        let metadata = ClientMetadata { redirect_uris, ..ClientMetadata::default() };
        let (id, tenant) = (ClientId::new("c"), TenantId::default_tenant());
        let client = metadata.validate().unwrap().into_client(id, tenant, None, Timestamp(0));
        for (origin, may) in [
            ("https://app.example", true),
            ("http://127.0.0.1:6274", true),
            ("http://localhost:6274", false),
            ("https://app.example:8443", false),
            ("http://app.example", false),
            ("https://evil.example", false),
            ("https://app.example/", false),
            ("https://app.example.evil.example", false),
            ("com.example.app://", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(is_own(&client, origin), may, "{origin}");
        }
    }
}
