//! Requests to an authorization server: push, exchange, refresh, revoke.

mod authentication;
pub(crate) mod nonce;
mod push;
mod request;
mod token;

pub use authentication::{UpstreamAuthKey, UpstreamIdentity};
pub use nonce::nonce_of;
pub use push::{PushRequest, Pushed};
pub use token::{CodeExchange, TokenAnswer};
