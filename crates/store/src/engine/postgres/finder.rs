//! Look-ups without a thread of their own: those that wait together travel together.
//!
//! A finder is a thread with a connection. It sends every question that waits and reads the answers; what arrives
//! meanwhile makes the next batch. Under load a batch holds many questions, which share its system calls and its
//! switches of threads.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::batches::{Batches, Job};
use super::pipeline::{Answer, Pipeline, Statement};
use crate::engine::error::StoreError;

/// Opens a connection.
pub(in crate::engine) type Connect = dyn Fn() -> Result<Pipeline, StoreError> + Send + Sync;

/// The callers of a batch wait for each other, so none of them waits long for others' locks.
const SETUP: &str = "SET lock_timeout = 50";

struct Question {
    statement: Statement,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
    _turn: OwnedSemaphorePermit,
}

impl Job for Question {
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

/// The finders of a store.
pub(in crate::engine) struct Finders(Batches<Question>);

impl Finders {
    /// Starts `count` threads, each with a connection on which statements cannot write. The server has `timeout` to
    /// answer a batch.
    pub(in crate::engine) fn start(
        count: usize,
        timeout: Duration,
        connect: &Arc<Connect>,
    ) -> std::io::Result<Self> {
        let finder = |_| {
            let mut finder = Finder { link: None, timeout, connect: Arc::clone(connect) };
            move |batch| finder.run(batch)
        };
        Batches::start("causeway-finder", (0..count).map(finder)).map(Self)
    }

    /// Asks the server, in the caller's `turn`.
    pub(in crate::engine) async fn ask(
        &self,
        statement: Statement,
        turn: OwnedSemaphorePermit,
    ) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.push(Question { statement, reply, _turn: turn })?;
        answer.await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Refuses further questions; the threads end when the accepted ones are answered.
    pub(in crate::engine) fn close(&self) -> Vec<JoinHandle<()>> {
        self.0.close()
    }
}

struct Finder {
    link: Option<Pipeline>,
    timeout: Duration,
    connect: Arc<Connect>,
}

impl Finder {
    fn run(&mut self, batch: Vec<Question>) {
        let statements: Vec<_> = batch.iter().map(|question| &question.statement).collect();
        let mut answers = self.ask(&statements).map(Vec::into_iter);
        for Question { reply, .. } in batch {
            let answer = match &mut answers {
                Ok(answers) => answers.next().ok_or_else(no_answer),
                Err(error) => Err(error.clone()),
            };
            // A caller who went away needs no answer.
            let _ = reply.send(answer);
        }
    }

    /// Asks on the connection that is there. Reading twice does no harm: if that one turns out to be broken while
    /// there is time left, a new one is asked the same.
    fn ask(&mut self, statements: &[&Statement]) -> Result<Vec<Answer>, StoreError> {
        let until = Instant::now() + self.timeout;
        if let Some(mut kept) = self.link.take() {
            match ask_on(&mut kept, statements, until) {
                Ok(answers) => {
                    self.link = Some(kept);
                    return Ok(answers);
                }
                Err(error) if Instant::now() >= until => return Err(error),
                Err(error) => {
                    tracing::debug!(name: "store.connection_replaced", %error, "a broken connection is replaced");
                }
            }
        }
        let mut new = (self.connect)()?;
        new.set_deadline(until);
        new.execute_simple(SETUP)?;
        let answers = ask_on(&mut new, statements, until)?;
        self.link = Some(new);
        Ok(answers)
    }
}

fn ask_on(link: &mut Pipeline, statements: &[&Statement], until: Instant) -> Result<Vec<Answer>, StoreError> {
    link.set_deadline(until);
    link.settle()?;
    Ok(link.ask(statements)?)
}

fn no_answer() -> StoreError {
    StoreError::unavailable("the connection was given up before it answered")
}
