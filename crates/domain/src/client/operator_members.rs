//! Members of a client's document that only the operator sets, and others that a client may not set.

use super::entitlement::Entitlement;

/// Whether the client may do without PKCE.
pub(super) const PKCE: &str = "pkce";
/// The third-party resources that the client may request tokens for. Only the operator sets it, since a resource
/// trusts a token that names it.
pub(super) const ALLOWED_RESOURCES: &str = "allowed_resources";
/// The providers whose accounts the client may connect.
pub(super) const PROVIDERS: &str = "providers";
/// The tools of MCP servers that the client may call.
pub(super) const MCP_TOOLS: &str = "mcp_tools";
pub(super) const ACCESS_TOKEN_EXPIRATION: &str = "access_token_expiration";
pub(super) const REFRESH_TOKEN_EXPIRATION: &str = "refresh_token_expiration";

/// Members that a client may not set. They include those of the server's response: when a client sends its
/// old registration again, they are not stored, least of all its old secret.
const RESERVED: [&str; 15] = [
    "client_id",
    "client_secret",
    "registration_",
    Entitlement::BackgroundAccess.member(),
    Entitlement::SessionExport.member(),
    Entitlement::IdTokenClaims.member(),
    Entitlement::ManageTenants.member(),
    Entitlement::ImportConnections.member(),
    Entitlement::AllowUnconfirmed.member(),
    PROVIDERS,
    MCP_TOOLS,
    PKCE,
    ALLOWED_RESOURCES,
    ACCESS_TOKEN_EXPIRATION,
    REFRESH_TOKEN_EXPIRATION,
];

/// Whether a client may not set this member.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| name.starts_with(reserved))
}
