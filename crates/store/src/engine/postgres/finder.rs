//! Look-ups without a thread of their own: those that wait together travel together.
//!
//! A finder is a thread with a connection. It sends every question that waits and reads the answers; what arrives
//! meanwhile makes the next batch. Under load a batch holds many questions, and a look-up costs neither a system call
//! nor a switch of threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::batches::Batches;
use super::pipeline::{Answer, Pipeline, Statement};
use crate::engine::error::StoreError;

/// Opens a connection.
pub(in crate::engine) type Connect = dyn Fn() -> Result<Pipeline, StoreError> + Send + Sync;

struct Question {
    statement: Statement,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
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

    /// Asks the server.
    pub(in crate::engine) async fn ask(&self, statement: Statement) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.push(Question { statement, reply })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Refuses further questions.
    pub(in crate::engine) fn close(&self) {
        self.0.close();
    }
}

struct Finder {
    link: Option<Pipeline>,
    timeout: Duration,
    connect: Arc<Connect>,
}

impl Finder {
    fn run(&mut self, mut batch: Vec<Question>) {
        // A caller who went away needs no answer.
        batch.retain(|question| !question.reply.is_closed());
        let statements: Vec<_> = batch.iter().map(|question| &question.statement).collect();
        let answers = self.ask(&statements);
        let mut answers = answers.map(Vec::into_iter);
        for Question { reply, .. } in batch {
            let answer = match &mut answers {
                Ok(answers) => answers.next().ok_or(StoreError::Closed),
                Err(error) => Err(error.clone()),
            };
            let _ = reply.send(answer);
        }
    }

    /// Asks on the connection that is there. Reading twice does no harm: if that one is broken, a new one is asked
    /// the same.
    fn ask(&mut self, statements: &[&Statement]) -> Result<Vec<Answer>, StoreError> {
        if let Some(link) = &mut self.link {
            match ask_on(link, statements, self.timeout) {
                Ok(answers) => return Ok(answers),
                Err(error) => {
                    tracing::debug!(name: "store.connection_replaced", %error, "a broken connection is replaced");
                    self.link = None;
                }
            }
        }
        let mut link = (self.connect)()?;
        let answers = ask_on(&mut link, statements, self.timeout)?;
        self.link = Some(link);
        Ok(answers)
    }
}

fn ask_on(
    link: &mut Pipeline,
    statements: &[&Statement],
    timeout: Duration,
) -> Result<Vec<Answer>, StoreError> {
    link.set_deadline(Instant::now() + timeout);
    link.settle()?;
    Ok(link.ask(statements)?)
}
