//! The operator's changes to clients, sessions and keys: over HTTP ([`admin`](crate::operations::admin)) or at the
//! command line, which has a database and no server. Each change is committed together with its audit event.

mod clients;
mod context;
mod keys;
mod reencrypt;
mod sessions;

pub use self::clients::{ClientDescription, ClientRules, client_document, shown_client};
pub use self::context::Operator;
pub use self::reencrypt::{Progress, Reencrypted, Unreadable};
pub use self::sessions::Revoked;
