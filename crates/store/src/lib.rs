//! Persistence of Causeway: one set of queries for SQLite (embedded, the default) and PostgreSQL.
//!
//! A [`Store`] runs closures on an [`AnyConnection`], each in one transaction; the modules named
//! after the aggregates hold the functions that such a closure calls. On SQLite the closures that
//! wait together are committed together.
//!
//! Three rules hold everywhere. Every change of state is a compare-and-swap: its condition stands in
//! the `WHERE` of the statement that makes the change, and the caller learns whether it was the one.
//! Every query that crosses a boundary between tenants, clients or browsers names that boundary.
//! The tables of connections are reached by way of a [`TenantScope`] alone.
//! Bearer secrets are stored as hashes, third parties' secrets are encrypted.

pub mod authorization;
pub mod clients;
pub mod connections;
pub mod encryption;
pub mod engine;
pub mod events;
pub mod operations;
mod schema;
pub mod sessions;
pub mod tokens;

#[cfg(feature = "testing")]
pub mod testing;

pub use engine::conn::AnyConnection;
pub use engine::error::{OpenError, StoreError};
pub use engine::options::{Pooler, StoreOptions};
pub use engine::paging::{Page, PageRequest};
pub use engine::postgres::PostgresConnection;
pub use engine::server_lock::{ServerLock, ServerLockError};
pub use engine::stats::StoreStats;
pub use engine::store::Store;
pub use engine::tenancy::{TenantScope, TenantStore};
pub use engine::url::{DatabaseUrl, DatabaseUrlError};
