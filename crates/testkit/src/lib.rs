//! Test support: a whole Causeway server on port 0 with a clock that tests advance, two kinds of upstream (a
//! scripted one for faults, a real AT Protocol network for everything else), a scripted OAuth 2.0 provider with every odd
//! habit, and a minimal browser and OAuth client.

mod agent;
mod app;
mod bearer;
mod binary;
mod booking;
mod client;
mod clock;
mod collector;
mod connection;
mod document_server;
mod dpop;
mod hook;
mod key_server;
mod mcp;
mod mcp_peers;
mod oidc;
mod provider;
mod proxied_mcp;
mod realnet;
mod upstream;

pub use agent::{Agent, Answer};
pub use app::{Environment, TestApp, strict_outbound};
pub use bearer::{BEARER, BearerProvider};
pub use binary::Causeway;
pub use booking::{BookingCall, BookingScript, BookingSite};
pub use causeway_store::testing::TestDatabase;
pub use client::{Authorization, OauthClient, Tokens, decide};
pub use clock::MockClock;
pub use collector::{Collector, SeenSpan};
pub use connection::{GRAPH, TestConnection};
pub use document_server::{DocumentServer, Published};
pub use dpop::DpopKey;
pub use hook::{Hook, Told};
pub use key_server::KeyServer;
pub use mcp::{McpScript, McpSeen, MetadataPlace, ScriptedMcp};
pub use mcp_peers::{McpClientPeer, McpPeer, McpServerPeer};
pub use oidc::OidcProvider;
pub use provider::{
    Authentication, Bot, ExpiryShape, ManagedPage, ProviderCall, ProviderScript, Rotation, ScriptedProvider,
    TokenShape,
};
pub use proxied_mcp::{ProxiedMcp, ProxiedMcpScript, ProxiedMcpSeen};
pub use realnet::{Account, Driver, PdsRelease, RealNet, TlsProxy, UserAt, scope_reference};
pub use reqwest::{RequestBuilder, Response};
pub use upstream::{Fault, Nonces, Script, ScriptedUpstream, TokenRefusal, XrpcReply, XrpcSeen};

use std::future::Future;

use anyhow::Result;

/// A user signing in upstream: takes the URL to which the browser was redirected, and returns the URL to
/// which the upstream redirects it back.
pub trait User {
    /// Signs in and approves.
    fn approve(&self, authorize_url: &str) -> impl Future<Output = Result<String>> + Send;
}
