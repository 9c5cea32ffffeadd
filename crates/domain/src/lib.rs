#![doc = include_str!("../README.md")]

pub mod access_format;
pub mod account;
pub mod authorization;
pub mod bounded_map;
pub mod client;
pub mod client_document;
pub mod client_keys;
pub mod clock;
pub mod device;
mod email;
mod entitlement;
pub mod error_code;
pub mod grant;
mod grant_type;
pub mod identity;
pub mod ids;
mod json_object;
pub mod logout;
pub mod measure;
pub mod nsid;
pub mod pkce;
mod pkce_policy;
pub mod redirect_uri;
pub mod replay_key;
pub mod resource;
pub mod resource_scopes;
pub mod rng;
pub mod scope;
pub mod secret;
pub mod session;
pub mod signing_alg;
mod time_prefix;
pub mod upkeep;
mod wire_text;
pub mod xrpc;

pub use access_format::AccessTokenFormat;
pub use account::{AccountProof, AccountSession};
pub use authorization::{Prompt, Prompts, ResponseMode};
pub use bounded_map::BoundedMap;
pub use clock::{Clock, SystemClock, Timestamp, UnixMillis};
pub use email::EmailAddress;
pub use error_code::ErrorCode;
pub use identity::{Did, Handle, SignInInput};
pub use ids::{
    AccountProofId, AuthRequestId, BrowserSessionId, ClientId, CorrelationId, Jkt, NodeId, OauthState,
    RequestUri, TenantId, UpstreamClientId, UpstreamSessionId,
};
pub use json_object::JsonObject;
pub use nsid::Nsid;
pub use pkce::{CodeChallenge, CodeVerifier};
pub use pkce_policy::PkcePolicy;
pub use redirect_uri::RedirectUri;
pub use replay_key::ReplayKey;
pub use resource::{Resource, Resources};
pub use resource_scopes::ResourceScopes;
pub use rng::{Rng, SystemRng};
pub use scope::Scope;
pub use secret::{PlainToken, Secret, TokenHash, TokenKind};
pub use session::{SessionKind, SessionState};
pub use signing_alg::SigningAlg;
pub use wire_text::WireText;
