//! The use cases of Causeway, free of HTTP types: what an authorization server does, one file a verb.
//!
//! A sign-in reads top to bottom: [`authorize`] takes a client's request, [`sign_in`] sends the user to
//! their authorization server, [`callback`] takes the response and trusts it only after the identity is
//! proven, [`consent`] asks the user, [`redeem`] turns the code into tokens, [`refresh`] rotates them,
//! [`device`] and [`device_token`] do the same for a device without a browser, [`keeper`] keeps the upstream
//! session alive ([`keep_alive`] even when nobody uses it), [`relay`] and [`repository`] call the user's PDS
//! with it, [`revoke`] ends it. [`caller`] authenticates requests at the endpoints for clients, [`access`]
//! those at resources.

pub mod access;
mod access_jwt;
pub mod account;
pub mod account_proof;
pub mod admin;
pub mod assertion;
mod atproto;
mod audit;
pub mod authorize;
pub mod backchannel;
pub mod callback;
pub mod caller;
mod claims;
mod client_cache;
pub mod client_credentials;
pub mod client_documents;
mod client_keys;
pub mod clients;
mod complaints;
pub mod consent;
mod ctx;
pub mod deliveries;
pub mod device;
pub mod device_token;
pub mod dpop;
mod error;
pub mod events;
pub mod exchange;
pub mod export;
mod fetch_turns;
mod flights;
mod guesses;
pub mod handles;
mod id_token;
pub mod id_token_hint;
pub mod introspect;
pub mod issuer_keys;
pub mod keep_alive;
pub mod keeper;
mod lifecycle;
pub mod limits;
pub mod logout;
pub mod maintenance;
mod negotiate;
pub mod node;
mod open_redirect;
pub mod operator;
pub mod par;
pub mod raw_json;
mod recent;
pub mod redeem;
mod redeemed;
pub mod refresh;
pub mod register;
pub mod registration;
pub mod relay;
mod remember;
pub mod repository;
mod request_object;
mod required;
mod resources;
mod respond;
pub mod revoke;
mod scopes;
pub mod session;
pub mod sign_in;
pub mod silent;
pub mod stats;
mod superseded;
mod tokens;
pub mod trace;
mod upstream;
pub mod upstream_check;
pub mod upstream_client;
pub mod user_claims;
pub mod userinfo;

pub use causeway_atproto::budget;
pub use ctx::{Ctx, CtxParts};
pub use error::{Class, Internal};
pub use guesses::Guess;
pub use lifecycle::Lifecycle;
pub use respond::ClientAnswer;
pub use scopes::ScopePolicy;
pub use tokens::{IssuedTokens, TokenError, TokenRefusal, TokenType};
pub use upstream::{SetUpError, UpstreamProfile};
pub use upstream_client::UpstreamClient;
