//! AT Protocol OAuth, client side: resolves accounts and their servers, and sends the requests that start,
//! use and end a session there.
//!
//! [`AtprotoClient`] is the entry point. By step: `identity` resolves an account to its PDS, `metadata` the PDS to
//! its authorization server, `authorization` gets and refreshes tokens there, and `xrpc` presents them to the PDS. All
//! requests go through one [`HttpClient`](causeway_outbound::HttpClient).

mod authorization;
mod client;
mod error;
mod identity;
mod metadata;
mod origin;
mod xrpc;

pub use authorization::{
    CodeExchange, PushRequest, Pushed, TokenAnswer, UpstreamAuthKey, UpstreamIdentity, nonce_of,
};
pub use client::{AtprotoClient, AtprotoConfig, Target};
pub use error::{Refusal, ResolveError, UpstreamTokenError};
pub use identity::Identity;
pub use metadata::AuthorizationServer;
pub use xrpc::{XrpcCall, XrpcRefusal, XrpcSignError, xrpc_refusal};
