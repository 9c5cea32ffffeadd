//! Scripts: how a scripted MCP server is protected, and which of its endpoints fail.

use crate::upstream::Fault;

/// Habits and faults of an MCP server and its authorization server; by default they are those of the current revision.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own that a test turns on")]
pub struct McpScript {
    /// Fault of the MCP server.
    pub mcp: Fault,
    /// Fault of the metadata of the resource.
    pub resource: Fault,
    /// Fault of the metadata of the authorization server.
    pub server: Fault,
    /// Fault of the token endpoint.
    pub token: Fault,
    /// Fault of the registration endpoint.
    pub registration: Fault,
    /// Whether it takes calls without a token.
    pub is_open: bool,
    /// The place of the metadata of the resource.
    pub place: MetadataPlace,
    /// The resource in the metadata, instead of its address.
    pub resource_name: Option<String>,
    /// The issuer: a path of the same origin.
    pub issuer: String,
    /// The issuer in the metadata, instead of that.
    pub issuer_name: Option<String>,
    /// The address of the authorization endpoint in the metadata, instead of its own.
    pub authorization_endpoint: Option<String>,
    /// Whether the authorization server has metadata.
    pub has_server_metadata: bool,
    /// The scope of the challenge.
    pub challenge_scope: Option<String>,
    /// The scopes that the metadata of the resource lists.
    pub resource_scopes: Vec<String>,
    /// The scopes that the metadata of the authorization server lists.
    pub server_scopes: Vec<String>,
    /// The scopes that the authorization server refuses.
    pub refused_scopes: Vec<String>,
    /// The scope that calls of tools need.
    pub tool_scope: Option<String>,
    /// Whether clients register themselves.
    pub registers: bool,
    /// Whether clients that register get a secret, and have to authenticate with it.
    pub has_secrets: bool,
    /// Whether the address of a document may be a `client_id`.
    pub takes_documents: bool,
    /// Whether the metadata names PKCE with S256.
    pub has_pkce: bool,
    /// Whether the metadata says that responses name their issuer.
    pub names_issuer: bool,
    /// The issuer that responses name; `None`: its own, if [`names_issuer`](Self::names_issuer).
    pub iss: Option<String>,
    /// Whether responses leave the issuer out although the metadata promises it.
    pub omits_issuer: bool,
    /// Lifetime of access tokens in seconds.
    pub expires_in: i64,
    /// Whether refresh tokens are issued.
    pub refreshes: bool,
    /// Whether a refresh token works once.
    pub is_one_time: bool,
    /// Whether users deny.
    pub denies: bool,
    /// Whether answers of the MCP server are event streams.
    pub streams: bool,
}

/// The place of the metadata of a protected resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataPlace {
    /// Where the challenge says, and at the well-known address of the path.
    Path,
    /// At the well-known address of the origin, which no challenge names.
    Root,
    /// Nowhere, as in the revision 2025-03-26.
    Nowhere,
}

impl Default for McpScript {
    fn default() -> Self {
        Self {
            mcp: Fault::None,
            resource: Fault::None,
            server: Fault::None,
            token: Fault::None,
            registration: Fault::None,
            is_open: false,
            place: MetadataPlace::Path,
            resource_name: None,
            issuer: "/as".to_owned(),
            issuer_name: None,
            authorization_endpoint: None,
            has_server_metadata: true,
            challenge_scope: None,
            resource_scopes: vec!["tools:read".to_owned()],
            server_scopes: vec!["tools:read".to_owned(), "offline_access".to_owned()],
            refused_scopes: Vec::new(),
            tool_scope: None,
            registers: true,
            has_secrets: true,
            takes_documents: false,
            has_pkce: true,
            names_issuer: true,
            iss: None,
            omits_issuer: false,
            expires_in: 3600,
            refreshes: true,
            is_one_time: true,
            denies: false,
            streams: false,
        }
    }
}
