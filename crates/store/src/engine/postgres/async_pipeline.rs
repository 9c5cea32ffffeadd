//! A pipeline whose replies are awaited on the runtime, without a thread.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use diesel::QueryResult;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error::closed;
use super::pipeline::{Answer, Outcome, Pipeline, Reading, Statement};

/// A connection on the runtime of the task that it was made in.
pub(super) struct AsyncPipeline {
    readiness: AsyncFd<OwnedFd>,
    pipeline: Pipeline,
}

impl AsyncPipeline {
    pub(super) fn new(mut pipeline: Pipeline) -> QueryResult<Self> {
        Ok(Self { readiness: pipeline.readiness()?, pipeline })
    }

    /// Whether the connection must not be used again.
    pub(super) const fn is_lost(&self) -> bool {
        self.pipeline.is_lost()
    }

    /// Sends statements that do not depend on each other, together, and awaits the reply to each. The last ones are
    /// missing if the connection is of no use any more after one before them. The error is the connection's.
    ///
    /// When the future is dropped, the connection must not be used again.
    pub(super) async fn ask(&mut self, statements: &[&Statement]) -> QueryResult<Vec<Answer>> {
        self.pipeline.check_idle()?;
        let mut answers = Vec::with_capacity(statements.len());
        // The server skips what stands behind a statement that failed: it is sent again.
        while let Some(left @ [_, ..]) = statements.get(answers.len()..) {
            // One of them was an error that the connection does not survive.
            if self.pipeline.is_lost() && !answers.is_empty() {
                break;
            }
            let before = answers.len();
            self.pipeline.queue_all(left)?;
            self.pipeline.post()?;
            for outcome in self.read_exchange().await? {
                match outcome {
                    Outcome::Done(reply) => answers.push(Ok(Arc::new(reply))),
                    Outcome::Failed(error) => answers.push(Err(error)),
                    Outcome::Skipped => break,
                }
            }
            // The others would wait for the same lock, one after another: each is better off alone.
            if let Some(Err(error)) = answers.last()
                && error.is_lock_timeout()
            {
                let refused = Err(error.clone());
                answers.resize(statements.len(), refused);
            }
            if answers.len() == before {
                return Err(self.pipeline.close_out_of_step());
            }
        }
        Ok(answers)
    }

    async fn read_exchange(&mut self) -> QueryResult<Vec<Outcome>> {
        let (mut reading, mut has_waited) = (Reading::default(), false);
        while !self.pipeline.read_on(&mut reading)? {
            // The runtime says only once that there is input, and libpq may have left some of it in the socket.
            if !has_waited || !self.pipeline.can_be_read()? {
                self.wait().await?;
                has_waited = true;
            }
            self.pipeline.take_input()?;
        }
        Ok(reading.outcomes)
    }

    /// Waits for input, and sends what is still queued meanwhile.
    async fn wait(&mut self) -> QueryResult<()> {
        let interest =
            if self.pipeline.flush()? { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let readiness = self.readiness.ready(interest).await;
        readiness.map_err(|error| closed(&error.to_string()))?.clear_ready();
        Ok(())
    }
}
