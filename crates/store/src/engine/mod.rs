//! The database engine: connections, transactions, the writer, migrations and errors.

pub(crate) mod batched;
pub(crate) mod column;
pub(crate) mod conn;
pub(crate) mod deadline;
pub(crate) mod error;
pub(crate) mod fixed;
pub mod isolation;
pub mod migrate;
pub(crate) mod options;
pub(crate) mod paging;
pub(crate) mod pool;
pub(crate) mod postgres;
pub(crate) mod schema_state;
pub(crate) mod server_lock;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod tenancy;
pub(crate) mod transaction;
pub(crate) mod url;
pub(crate) mod wal;
pub(crate) mod writer;
