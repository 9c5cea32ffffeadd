#![doc = include_str!("../README.md")]

#[macro_use]
mod wire;

pub mod authorization;
pub mod claims;
pub mod client;
mod connection;
mod email;
pub mod error_code;
mod grant_type;
pub mod identity;
mod ids;
mod mcp_endpoint;
pub mod nsid;
pub mod pkce;
pub mod redirect_uri;
pub mod resource;
mod rng;
pub mod scope;
pub mod secret;
mod session;
mod signing_alg;
mod tenant_user;
mod time;
mod time_prefix;
mod wire_text;

pub use authorization::{Prompt, Prompts, ResponseMode};
pub use claims::{AccessTokenClaims, Introspection, TokenType};
pub use client::{ClientType, TokenEndpointAuthMethod};
pub use connection::{CredentialKind, ProviderKind};
pub use email::EmailAddress;
pub use error_code::ErrorCode;
pub use grant_type::GrantType;
pub use identity::{Did, Handle, SignInInput};
pub use ids::{
    AccountProofId, AuthRequestId, BrowserSessionId, ClientId, ConnectSessionId, CorrelationId, CredentialId,
    IdentityId, Jkt, ManagedAccountId, NodeId, OauthState, RegistrationId, RequestUri, TenantId,
    UpstreamClientId, UpstreamSessionId,
};
pub use mcp_endpoint::McpEndpoint;
pub use nsid::Nsid;
pub use pkce::{CodeChallenge, CodeVerifier};
pub use redirect_uri::RedirectUri;
pub use resource::{Resource, Resources};
pub use rng::{Rng, SystemRng};
pub use scope::Scope;
pub use secret::{PlainToken, Secret, TokenHash, TokenKind};
pub use session::{SessionKind, SessionState};
pub use signing_alg::SigningAlg;
pub use tenant_user::{TenantUser, UserId, UserNamespace};
pub use time::{Timestamp, UnixMillis};
pub use wire::ParseError;
pub use wire_text::WireText;
