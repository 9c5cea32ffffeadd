//! Writes that read nothing, committed together.
//!
//! A committer is a thread with a connection. What waits is sent as one transaction: one round trip and one commit
//! for all. If a statement fails, nothing is committed; its job is given back, to run in a transaction of its own, and
//! the others are sent again.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::batches::{Batches, Job};
use super::finder::Connect;
use super::pipeline::{Committed, Pipeline, Statement};
use crate::engine::deadline::Abandoned;
use crate::engine::error::StoreError;

/// A connection that may write. The callers of a batch wait for each other, so none of them waits long for others'
/// locks.
const SETUP: &str = "SET default_transaction_read_only = off; SET lock_timeout = 50";
/// How often a batch is sent at most, each time without the one that failed.
const ROUNDS: u32 = 4;

struct Addition {
    statements: Vec<Statement>,
    abandoned: Abandoned,
    reply: oneshot::Sender<Result<bool, StoreError>>,
    _turn: OwnedSemaphorePermit,
}

impl Job for Addition {
    /// The work of a caller who merely went away is done.
    fn is_wanted(&self) -> bool {
        !self.abandoned.is_set()
    }
}

/// The committers of a store.
pub(in crate::engine) struct Committers(Batches<Addition>);

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

    /// Commits statements, in the caller's `turn`; `false`: nothing of them is committed, and they may be tried
    /// alone.
    ///
    /// # Errors
    /// [`StoreError`] when nobody knows.
    pub(in crate::engine) async fn commit(
        &self,
        statements: Vec<Statement>,
        abandoned: Abandoned,
        turn: OwnedSemaphorePermit,
    ) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.push(Addition { statements, abandoned, reply, _turn: turn })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::unavailable("the connection was given up")))
    }

    /// Refuses further work; the threads end when the accepted work is done.
    pub(in crate::engine) fn close(&self) -> Vec<JoinHandle<()>> {
        self.0.close()
    }
}

struct Committer {
    link: Option<Pipeline>,
    timeout: Duration,
    connect: Arc<Connect>,
}

impl Committer {
    fn run(&mut self, mut batch: Vec<Addition>) {
        // Until something is sent, a broken connection does no harm.
        let Some(mut link) = self.ready() else { return answer(batch, &Ok(false)) };
        for _ in 0..ROUNDS {
            // Those whose callers were told meanwhile that they failed. Nothing of the rest has been sent.
            batch.retain(Addition::is_wanted);
            let statements: Vec<_> = batch.iter().flat_map(|job| &job.statements).collect();
            if statements.is_empty() {
                break;
            }
            match link.commit_all(&statements) {
                Ok(Committed::All) => answer(std::mem::take(&mut batch), &Ok(true)),
                Ok(Committed::Nothing { refused }) => {
                    let owner = owner_of(&batch, refused);
                    answer(batch.drain(owner..=owner), &Ok(false));
                }
                Err(error) => answer(std::mem::take(&mut batch), &Err(error.into())),
            }
            if link.is_lost() {
                break;
            }
        }
        answer(batch, &Ok(false));
        if !link.is_lost() {
            self.link = Some(link);
        }
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
        let connected = (self.connect)().and_then(|mut new| {
            new.set_deadline(until);
            new.execute_simple(SETUP)?;
            Ok(new)
        });
        connected
            .inspect_err(|error| tracing::debug!(name: "store.no_connection", %error, "no connection"))
            .ok()
    }
}

fn answer(jobs: impl IntoIterator<Item = Addition>, answer: &Result<bool, StoreError>) {
    for Addition { reply, .. } in jobs {
        // A caller who went away needs no answer.
        let _ = reply.send(answer.clone());
    }
}

/// The job that a statement of the batch belongs to. If the commit itself was refused, any of them may be the cause:
/// the last one is tried alone, and then the one before it.
fn owner_of(batch: &[Addition], statement: usize) -> usize {
    let mut end = 0;
    let found = batch.iter().position(|job| {
        end += job.statements.len();
        statement < end
    });
    found.unwrap_or(batch.len().saturating_sub(1))
}
