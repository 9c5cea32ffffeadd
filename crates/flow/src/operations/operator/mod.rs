//! The operator's changes to clients, sessions, keys, tenants and connections: over HTTP ([`admin`](crate::operations::admin)) or at the
//! command line, which has a database and no server. Each change is committed together with its audit event.

mod clients;
mod connect;
mod connections;
mod context;
mod keys;
mod reencrypt;
mod registrations;
mod sessions;
mod tenants;

pub use self::clients::{ClientDescription, ClientRules, client_document, shown_client};
pub use self::connect::{ConnectingError, NewConnecting};
pub use self::context::Operator;
pub use self::reencrypt::{Progress, Reencrypted, Unreadable};
pub use self::registrations::{NewRegistration, SecretError};
pub use self::sessions::Revoked;
pub use self::tenants::NewTenantError;
