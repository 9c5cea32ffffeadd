//! AT Protocol OAuth, client side: resolves accounts and their servers, and sends the requests that start,
//! use and end a session there.
//!
//! [`AtprotoClient`] is the entry point. All of its requests go through one [`HttpClient`], which refuses to
//! connect to addresses that are not on the public internet.

mod address;
mod body;
pub mod budget;
mod cache;
mod challenge;
mod client;
mod dns;
mod error;
mod http;
mod identity;
mod metadata;
mod nonce;
mod oauth;
mod open;
mod runtime;
mod sent;
mod stats;
mod times;
mod xrpc;

pub use client::{AtprotoClient, AtprotoConfig, Target};
pub use error::{Refusal, ResolveError, UpstreamTokenError};
pub use http::{Document, HttpClient, HttpConfig, HttpError};
pub use identity::Identity;
pub use metadata::AuthorizationServer;
pub use oauth::{CodeExchange, PushRequest, Pushed, TokenAnswer, UpstreamAuthKey, UpstreamIdentity};
pub use stats::UpstreamStats;
pub use xrpc::{UploadError, XrpcAnswer, XrpcBody, XrpcError, XrpcMethod, XrpcRequest};
