//! What travels together on PostgreSQL: look-ups, and rows that are only added.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::available_parallelism;

use crate::engine::conn::{self, AnyConnection, PostgresSettings};
use crate::engine::error::{OpenError, StoreError};
use crate::engine::options::{Pooler, StoreOptions};
use crate::engine::postgres::PostgresConnection;
use crate::engine::postgres::committer::Committers;
use crate::engine::postgres::finder::{Connect, Finders};
use crate::engine::postgres::rehearsal::Trace;

/// The tasks and threads that send what waits, and their queues.
pub(in crate::engine) struct Batched {
    pub(in crate::engine) finders: Finders,
    pub(in crate::engine) committers: Committers,
}

/// The connections of those.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Shares {
    finders: usize,
    committers: usize,
}

impl Shares {
    /// Their part of the connections that the options allow; `None`: nothing travels together.
    pub(in crate::engine) fn of(options: StoreOptions) -> Option<Self> {
        let quarter = options.postgres_connections / 4;
        // Behind such a pooler, nothing may happen outside of transactions.
        if quarter == 0 || options.pooler == Pooler::Transaction {
            return None;
        }
        // An async worker has one finder.
        let workers = available_parallelism().map_or(1, usize::from);
        Some(Self { finders: quarter.min(workers), committers: quarter.min(2) })
    }

    pub(in crate::engine) const fn total(self) -> usize {
        self.finders + self.committers
    }
}

impl Batched {
    pub(in crate::engine) fn start(
        shares: Shares,
        url: &str,
        settings: PostgresSettings,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let url = url.to_owned();
        let connect: Arc<Connect> = Arc::new(move || {
            let pipeline = conn::open_postgres(&url, settings)?.into_pipeline();
            pipeline.ok_or_else(|| StoreError::unavailable("PostgreSQL: no connection"))
        });
        let committers = Committers::start(shares.committers, options.timeout, &connect)
            .map_err(|error| OpenError::Thread(error.to_string()))?;
        Ok(Self { finders: Finders::new(shares.finders, options.timeout, &connect), committers })
    }

    /// Refuses further work and waits until the accepted work is done.
    pub(in crate::engine) async fn close(&self) {
        self.finders.close().await;
        let threads = self.committers.close();
        let ended = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(ended).await;
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
