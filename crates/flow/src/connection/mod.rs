//! Connections at providers, as the clients of a tenant see and use them.
//!
//! A client makes a [connect session](connect_session) and sends its user's browser there. The user [begins](begin) on a page
//! of ours, leaves for the provider, and comes back to the [end of the authorization](complete). The client
//! [confirms](confirm) that it was its user who did.

mod audited;
pub mod begin;
pub mod client_document;
pub mod coalesce;
pub mod complete;
pub mod confirm;
pub mod connect_session;
pub mod end;
pub mod erase;
pub mod find;
pub mod form;
pub mod list;
pub mod mcp;
mod returned;
pub mod show;
mod store;
pub mod tenant_client;
pub mod tenants;
pub mod users;

pub mod deauthorize;
pub mod error;
pub mod export;
pub mod refresh;
pub mod relay;
pub(crate) mod usable;
pub mod verify;

pub use self::returned::Returned;
