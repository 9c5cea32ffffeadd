//! The OAuth 2.0 client: what a definition says becomes requests, and answers become tokens, accounts or refusals.
//!
//! Every decision is a function without I/O, in a file of its own. [`ProviderClient`] sends: a request within a deadline,
//! and an answer within the memory budget of the process. It stores nothing and tries nothing again.
//!
//! 1. [`authorization_url`] is where the user is sent. [`capture_callback`] reads what comes back beside the code.
//! 2. [`ProviderClient::redeem`], then [`ProviderClient::exchange`]: the answer is a [`TokenAnswer`], or a [`TokenError`]
//!    whose [meaning](TokenError::meaning) says what follows. Whatever was issued is in the answer, with its [flaws](Flaw)
//!    beside it.
//! 3. [`ProviderClient::identity`] and [`ProviderClient::managed_accounts`] ask whose account it is, and what it manages.
//!    [`verify_id_token`] reads it from an ID token.
//! 4. [`ProviderClient::refresh`] renews, and [`ProviderClient::revoke`] gives back.

mod account;
mod api;
mod api_call;
mod authentication;
mod authorization;
mod capture;
pub(crate) mod client;
pub(crate) mod discovery;
mod endpoints;
mod error;
mod expiry;
mod id_token;
mod identity;
mod issuer;
mod managed_accounts;
pub(crate) mod metadata;
mod refusal;
mod registered;
mod registration;
mod revocation;
mod scope;
mod token_answer;
mod token_request;
mod tokens;

pub use account::Account;
pub use api_call::ApiError;
pub use authorization::{Ask, Authorization, authorization_url};
pub use capture::{CaptureError, capture_callback};
pub use client::ProviderClient;
pub use discovery::DiscoveryError;
pub use endpoints::endpoints;
pub use error::TokenError;
pub use expiry::refresh_end;
pub use id_token::{IdTokenError, IdTokenRules, VerifiedIdToken, verify_id_token};
pub use issuer::RegistrationIssuer;
pub use managed_accounts::{Extent, Listing, ManagedAccount};
pub use metadata::{MetadataError, ServerMetadata, WellKnown, well_known};
pub use refusal::{Refusal, RefusalMeaning};
pub use registered::{ClientCredential, RegisteredClient, SecretInUse};
pub use registration::{ClientToRegister, RegistrationAnswer, RegistrationError, RegistrationForm};
pub use revocation::{Revoked, RevokedTokens};
pub use scope::{missing_scopes, requested_scopes};
pub use token_answer::{Flaw, PageTokens, TokenAnswer, Tokens};
pub use token_request::{CodeRedemption, RenewalTokens, TokenContext};
pub use tokens::Issued;
