#![doc = include_str!("../README.md")]

pub mod authorization;
mod backoff;
mod bounded_map;
pub mod client;
mod clock;
mod json_object;
pub mod measure;
pub mod resource;
pub mod session;
pub mod token;

pub use backoff::Backoff;
pub use bounded_map::BoundedMap;
pub use clock::{Clock, SystemClock};
pub use json_object::JsonObject;

// Names as they were before the reusable types had a crate of their own, until every import says the new ones.
pub use causeway_types::{
    AccountProofId, AuthRequestId, BrowserSessionId, ClientId, CodeChallenge, CodeVerifier, CorrelationId,
    Did, EmailAddress, ErrorCode, Handle, Jkt, NodeId, Nsid, OauthState, PlainToken, Prompt, Prompts,
    RedirectUri, RequestUri, Resource, Resources, ResponseMode, Rng, Scope, Secret, SessionKind,
    SessionState, SignInInput, SigningAlg, SystemRng, TenantId, Timestamp, TokenHash, TokenKind, UnixMillis,
    UpstreamClientId, UpstreamSessionId, WireText, identity, nsid, pkce, redirect_uri, scope, secret,
};

pub use authorization::device;
pub use client as client_document;
pub use client as client_keys;
pub use client as logout;
pub use client::{AccessTokenFormat, PkcePolicy, ReplayKey};
pub use resource as resource_scopes;
pub use resource::{ResourceScopes, xrpc};
pub use session as account;
pub use session as upkeep;
pub use session::{AccountProof, AccountSession};

/// The former name of [`authorization`] and [`token`].
pub mod grant {
    pub use crate::authorization::*;
    pub use crate::token::*;
}
