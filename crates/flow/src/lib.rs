//! The use cases of Causeway, free of HTTP types: what an authorization server does, one file a verb, one folder a
//! part of the protocol.
//!
//! A sign-in reads top to bottom: [`authorization::request`] takes a client's request,
//! [`upstream::connect::sign_in`] sends the user to their authorization server, [`upstream::connect::callback`]
//! takes the response and trusts it only after the identity is proven, [`authorization::consent`] asks the user,
//! [`token::grants::code`] turns the code into tokens, [`token::grants::refresh`] rotates them, [`upstream::keeper`] keeps the
//! upstream session alive, [`upstream::relay`] calls the user's PDS with it, and [`token::revoke`] ends it.
//! [`authorization::device`] and [`token::grants::device`] do the same for a device without a browser.
//!
//! [`client::authenticated`] authenticates requests at the endpoints for clients, [`resource::access`] those at
//! resources. Everything runs on a [`Ctx`].

pub mod account;
pub mod authorization;
pub mod client;
pub mod connection;
mod ctx;
mod error;
pub mod logout;
pub mod mcp;
pub mod operations;
mod parts;
pub mod resource;
mod ring;
pub mod token;
pub mod upstream;

pub use authorization::device::user_code_limit::Guess;
pub use authorization::response::ClientAnswer;
pub use authorization::scopes::ScopePolicy;
pub use ctx::Ctx;
pub use error::Internal;
pub use operations::lifecycle::Lifecycle;
pub use parts::{ConfiguredRegistration, ConfiguredRegistrations, CtxParts};
pub use token::new_tokens::IssuedTokens;
pub use token::refusal::{
    ClientCredentialsRefusal, CodeRefusal, DeviceRefusal, ExchangeRefusal, RefreshRefusal, TokenError,
    TokenRefusal,
};
pub use upstream::atproto::metadata::UpstreamClient;
pub use upstream::atproto::profile::{SetUpError, UpstreamProfile};
