//! Connections to a PostgreSQL server, on which statements wait for each other as little as possible.
//!
//! diesel writes the queries and reads the rows; libpq speaks to the server, so that its rules hold for TLS,
//! passwords, several hosts and whatever else a connection URI can say.

mod async_pipeline;
mod batches;
pub(in crate::engine) mod committer;
mod connection;
pub(in crate::engine) mod error;
pub(in crate::engine) mod finder;
mod libpq;
pub(in crate::engine) mod pipeline;
pub(in crate::engine) mod rehearsal;
mod row;

pub(crate) use connection::Access;
pub use connection::PostgresConnection;
