//! Test support: a whole Causeway on port 0 with a clock that tests move, the two kinds of upstream
//! (a scripted one for faults, a real AT Protocol network for the truth), and a browser and an OAuth
//! client as small as they can be.

mod agent;
mod app;
mod binary;
mod client;
mod clock;
mod collector;
mod document_server;
mod dpop;
mod hook;
mod key_server;
mod realnet;
mod upstream;

pub use agent::{Agent, Answer};
pub use app::{Environment, TestApp, strict_outbound};
pub use binary::Causeway;
pub use causeway_store::testing::TestDatabase;
pub use client::{Authorization, OauthClient, Tokens, decide};
pub use clock::MockClock;
pub use collector::{Collector, SeenSpan};
pub use document_server::{DocumentServer, Published};
pub use dpop::DpopKey;
pub use hook::{Hook, Told};
pub use key_server::KeyServer;
pub use realnet::{Account, Driver, PdsRelease, PersonAt, RealNet, TlsProxy, scope_reference};
pub use reqwest::{RequestBuilder, Response};
pub use upstream::{Fault, Nonces, Script, ScriptedUpstream, TokenRefusal, XrpcReply, XrpcSeen};

use std::future::Future;

use anyhow::Result;

/// Whoever signs in at the upstream: takes the address that the browser was sent to, gives back the
/// address that it returns to.
pub trait Person {
    /// Signs in and allows.
    fn approve(&self, authorize_url: &str) -> impl Future<Output = Result<String>> + Send;
}
