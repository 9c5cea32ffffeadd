//! What travels together on PostgreSQL: look-ups, and rows that are only added.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::engine::conn::{self, AnyConnection, PostgresSettings};
use crate::engine::error::{OpenError, StoreError};
use crate::engine::options::{Pooler, StoreOptions};
use crate::engine::postgres::PostgresConnection;
use crate::engine::postgres::committer::Committers;
use crate::engine::postgres::finder::{Connect, Finders};
use crate::engine::postgres::replay::Trace;

/// The threads that send what waits, and their queues.
pub(in crate::engine) struct Batched {
    pub(in crate::engine) finders: Finders,
    pub(in crate::engine) committers: Committers,
}

impl Batched {
    /// Threads of each kind, each with one of the connections that the options allow.
    pub(in crate::engine) const fn threads(options: StoreOptions) -> usize {
        match (options.pooler, options.postgres_connections) {
            // There, nothing may happen outside of transactions.
            (Pooler::Transaction, _) | (_, ..=3) => 0,
            (_, 4..=7) => 1,
            (_, 8..) => 2,
        }
    }

    pub(in crate::engine) fn start(
        count: usize,
        url: &str,
        settings: PostgresSettings,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let url = url.to_owned();
        let connect: Arc<Connect> = Arc::new(move || {
            let pipeline = conn::open_postgres(&url, settings)?.into_pipeline();
            pipeline.ok_or_else(|| StoreError::unavailable("PostgreSQL: no connection"))
        });
        let threads = |error: std::io::Error| OpenError::Thread(error.to_string());
        Ok(Self {
            finders: Finders::start(count, options.timeout, &connect).map_err(threads)?,
            committers: Committers::start(count, options.timeout, &connect).map_err(threads)?,
        })
    }

    /// Refuses further work; the threads end when the accepted work is done.
    pub(in crate::engine) fn close(&self) -> impl Iterator<Item = JoinHandle<()>> + use<> {
        self.finders.close().into_iter().chain(self.committers.close())
    }
}

/// Runs a closure on a connection without a server; `None`: it panicked.
pub(in crate::engine) fn run_apart<T>(
    conn: PostgresConnection,
    f: &mut impl FnMut(&mut AnyConnection) -> T,
) -> Option<(T, Trace)> {
    let mut conn = AnyConnection::Postgres(conn);
    let result = catch_unwind(AssertUnwindSafe(|| f(&mut conn))).ok()?;
    let AnyConnection::Postgres(conn) = conn else { return None };
    Some((result, conn.into_trace()?))
}
