//! Persistence of Causeway: one set of queries for SQLite (embedded, the default) and PostgreSQL.
//!
//! A [`Store`] runs closures on an [`AnyConnection`], each in one transaction; the modules named
//! after the aggregates hold the functions that such a closure calls. On SQLite the closures that
//! wait together are committed together.
//!
//! Three rules hold everywhere. Every change of state is a compare-and-swap: its condition stands in
//! the `WHERE` of the statement that makes the change, and the caller learns whether it was the one.
//! Every query that crosses a boundary between tenants, clients or browsers names that boundary.
//! Bearer secrets are stored as hashes, secrets of others are sealed.

mod column;
mod conn;
mod deadline;
mod error;
mod fixed;
mod options;
mod paging;
mod pool;
mod schema;
mod server_lock;
mod stats;
mod store;
mod transaction;
mod url;
mod wal;
mod writer;

pub mod account_proofs;
pub mod admin;
pub mod audit;
pub mod auth_requests;
pub mod clients;
pub mod codes;
pub mod consents;
pub mod deliveries;
pub mod device_codes;
pub mod event_order;
pub mod events;
pub mod grants;
pub mod keys;
pub mod logouts;
pub mod migrate;
pub mod nodes;
pub mod par;
pub mod replay;
pub mod reseal;
pub mod seal;
pub mod sealed;
pub mod sessions;
pub mod sweep;
pub mod tokens;
pub mod upkeep;
pub mod upstream_requests;

#[cfg(feature = "testing")]
pub mod testing;

pub use conn::AnyConnection;
pub use error::{OpenError, StoreError};
pub use options::{Pooler, StoreOptions};
pub use paging::{Page, PageRequest};
pub use server_lock::{ServerLock, ServerLockError};
pub use stats::StoreStats;
pub use store::Store;
pub use url::{DatabaseUrl, DatabaseUrlError};
