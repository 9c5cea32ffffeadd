//! Writes that read nothing, committed together.
//!
//! A committer is a thread with a connection. What waits is sent as one transaction: one round trip and one commit
//! for all. If any of it fails, nothing is committed, and each caller's closure runs in a transaction of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::batches::Batches;
use super::finder::Connect;
use super::pipeline::{Pipeline, Statement};
use crate::engine::deadline::Abandoned;
use crate::engine::error::StoreError;

/// A connection that may write, and does not wait long for others' locks: the callers of a batch wait for each other.
const SETUP: &str = "SET default_transaction_read_only = off; SET lock_timeout = 50";

struct Job {
    statements: Vec<Statement>,
    abandoned: Abandoned,
    reply: oneshot::Sender<Result<bool, StoreError>>,
}

/// The committers of a store.
pub(in crate::engine) struct Committers(Batches<Job>);

impl Committers {
    /// Starts `count` threads, each with a connection. The server has `timeout` to commit a batch.
    pub(in crate::engine) fn start(
        count: usize,
        timeout: Duration,
        connect: &Arc<Connect>,
    ) -> std::io::Result<Self> {
        let committer = |_| {
            let mut committer = Committer { link: None, timeout, connect: Arc::clone(connect) };
            move |batch| committer.run(batch)
        };
        Batches::start("causeway-committer", (0..count).map(committer)).map(Self)
    }

    /// Commits statements; `false`: nothing of them is committed, and they may be tried alone.
    ///
    /// # Errors
    /// [`StoreError`] when nobody knows.
    pub(in crate::engine) async fn commit(
        &self,
        statements: Vec<Statement>,
        abandoned: Abandoned,
    ) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.push(Job { statements, abandoned, reply })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Refuses further work.
    pub(in crate::engine) fn close(&self) {
        self.0.close();
    }
}

struct Committer {
    link: Option<Pipeline>,
    timeout: Duration,
    connect: Arc<Connect>,
}

impl Committer {
    fn run(&mut self, mut batch: Vec<Job>) {
        // Their callers were told that they failed.
        batch.retain(|job| !job.abandoned.is_set());
        let done = self.commit(&batch);
        for Job { reply, .. } in batch {
            let _ = reply.send(done.clone());
        }
    }

    fn commit(&mut self, batch: &[Job]) -> Result<bool, StoreError> {
        // Until something is sent, a broken connection does no harm.
        let Some(mut link) = self.ready() else { return Ok(false) };
        let statements: Vec<_> = batch.iter().flat_map(|job| &job.statements).collect();
        let done = link.commit_all(&statements);
        if !link.is_lost() {
            self.link = Some(link);
        }
        Ok(done?)
    }

    /// A connection that is in order: the one that is there, or a new one.
    fn ready(&mut self) -> Option<Pipeline> {
        let until = Instant::now() + self.timeout;
        if let Some(mut kept) = self.link.take() {
            kept.set_deadline(until);
            match kept.settle() {
                Ok(()) => return Some(kept),
                Err(error) => {
                    tracing::debug!(name: "store.connection_replaced", %error, "a broken connection is replaced");
                }
            }
        }
        let mut new = (self.connect)().ok()?;
        new.set_deadline(until);
        new.execute_simple(SETUP).ok()?;
        Some(new)
    }
}
