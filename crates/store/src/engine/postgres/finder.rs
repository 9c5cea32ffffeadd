//! Look-ups without a thread of their own: those that wait together travel together.
//!
//! A finder is a thread with a connection. It sends every question that waits and reads the answers; what arrives
//! meanwhile makes the next batch. Under load a batch holds many questions, and a look-up costs neither a system call
//! nor a switch of threads.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::pipeline::{Answer, Pipeline, Statement};
use crate::engine::error::StoreError;

/// Questions in a batch at most.
const BATCH: usize = 64;

/// Opens a connection on which statements cannot write.
pub(in crate::engine) type Connect = dyn Fn() -> Result<Pipeline, StoreError> + Send + Sync;

struct Question {
    statement: Statement,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    is_closed: bool,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

impl Queue {
    fn push(&self, question: Question) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_closed {
            return Err(StoreError::Closed);
        }
        waiting.questions.push_back(question);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for questions whose callers still wait; `None`: there will be none.
    fn next(&self) -> Option<Vec<Question>> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |waiting: &mut Waiting| waiting.questions.is_empty() && !waiting.is_closed;
        let mut waiting = self.filled.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
        let count = waiting.questions.len().min(BATCH);
        let batch: Vec<_> = waiting.questions.drain(..count).collect();
        (!batch.is_empty()).then_some(batch)
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.filled.notify_all();
    }
}

/// The finders of a store. They end when this is dropped, after the questions that were accepted.
pub(in crate::engine) struct Finders {
    queue: Arc<Queue>,
}

impl Drop for Finders {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Finders {
    /// Starts `count` threads. The server has `timeout` to answer a batch.
    pub(in crate::engine) fn start(
        count: usize,
        timeout: Duration,
        connect: Arc<Connect>,
    ) -> std::io::Result<Self> {
        let finders = Self { queue: Arc::default() };
        for _ in 0..count {
            let finder = Finder { queue: Arc::clone(&finders.queue), timeout, connect: Arc::clone(&connect) };
            let _: JoinHandle<()> =
                std::thread::Builder::new().name("causeway-finder".to_owned()).spawn(move || finder.run())?;
        }
        Ok(finders)
    }

    /// Asks the server.
    pub(in crate::engine) async fn ask(&self, statement: Statement) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Question { statement, reply })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Refuses further questions.
    pub(in crate::engine) fn close(&self) {
        self.queue.close();
    }
}

struct Finder {
    queue: Arc<Queue>,
    timeout: Duration,
    connect: Arc<Connect>,
}

impl Finder {
    fn run(self) {
        let mut link = None;
        while let Some(mut batch) = self.queue.next() {
            batch.retain(|question| !question.reply.is_closed());
            if batch.is_empty() {
                continue;
            }
            let until = Instant::now() + self.timeout;
            let answers = self.answer(&mut link, &batch, until);
            for (question, answer) in batch.into_iter().zip(answers) {
                // A caller who went away needs no answer.
                let _ = question.reply.send(answer);
            }
        }
    }

    /// The answers to a batch. Reading twice does no harm: when a connection that was idle breaks, a new one is
    /// asked the same.
    fn answer(
        &self,
        link: &mut Option<Pipeline>,
        batch: &[Question],
        until: Instant,
    ) -> Vec<Result<Answer, StoreError>> {
        let kept = link.take().map(|kept| ask(kept, batch, until));
        if let Some(Ok((kept, answers))) = kept {
            *link = Some(kept);
            return answers.into_iter().map(Ok).collect();
        }
        if let Some(Err(error)) = kept {
            tracing::debug!(name: "store.connection_replaced", %error, "a broken connection is replaced");
        }
        let asked = (self.connect)().and_then(|new| ask(new, batch, until));
        match asked {
            Ok((new, answers)) => {
                *link = Some(new);
                answers.into_iter().map(Ok).collect()
            }
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

fn ask(
    mut link: Pipeline,
    batch: &[Question],
    until: Instant,
) -> Result<(Pipeline, Vec<Answer>), StoreError> {
    link.set_deadline(until);
    link.settle()?;
    let statements: Vec<_> = batch.iter().map(|question| &question.statement).collect();
    let answers = link.ask(&statements)?;
    Ok((link, answers))
}
