//! Look-ups on the async workers themselves: those that wait together travel together.
//!
//! A finder is a task with a connection, on the runtime of the thread whose look-ups it makes. It sends every question
//! that waits and awaits the answers; what arrives meanwhile makes the next batch. So a look-up costs no switch of
//! threads, and under load a batch holds many questions, which share its system calls.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::async_pipeline::AsyncPipeline;
use super::pipeline::{Answer, Pipeline, Statement};
use crate::engine::error::StoreError;

/// Opens a connection.
pub(in crate::engine) type Connect = dyn Fn() -> Result<Pipeline, StoreError> + Send + Sync;

/// The callers of a batch wait for each other, so none of them waits long for others' locks.
const SETUP: &str = "SET lock_timeout = 50";
/// Questions in a batch at most.
const LIMIT: usize = 64;

struct Question {
    statement: Arc<Statement>,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
    _turn: Arc<OwnedSemaphorePermit>,
}

/// The finders of a store. Threads share one if there are more of them.
pub(in crate::engine) struct Finders {
    seats: Box<[Mutex<Seat>]>,
    /// How long the server has to answer a batch.
    timeout: Duration,
    connect: Arc<Connect>,
}

/// The place of a finder.
enum Seat {
    /// Nobody has asked yet.
    Vacant,
    Taken {
        questions: UnboundedSender<Question>,
        task: JoinHandle<()>,
    },
    /// Nobody may ask any more.
    Closed,
}

impl Finders {
    /// Places for `count` finders, each with a connection on which statements cannot write. The server has `timeout` to
    /// answer a batch.
    pub(in crate::engine) fn new(count: usize, timeout: Duration, connect: &Arc<Connect>) -> Self {
        let seats = (0..count).map(|_| Mutex::new(Seat::Vacant)).collect();
        Self { seats, timeout, connect: Arc::clone(connect) }
    }

    /// Asks the server, in the caller's `turn`.
    pub(in crate::engine) async fn ask(
        &self,
        statement: Statement,
        turn: OwnedSemaphorePermit,
    ) -> Result<Answer, StoreError> {
        let (statement, turn) = (Arc::new(statement), Arc::new(turn));
        // A finder on a runtime that ends takes what it was asked with it. Asking twice does no harm.
        for _ in 0..2 {
            let (reply, answer) = oneshot::channel();
            self.hand_over(Question { statement: Arc::clone(&statement), reply, _turn: Arc::clone(&turn) })?;
            if let Ok(answer) = answer.await {
                return answer;
            }
        }
        Err(no_answer())
    }

    /// Hands a question to the finder of this thread. One that is not there, or was on a runtime that has ended, starts
    /// on this one.
    fn hand_over(&self, question: Question) -> Result<(), StoreError> {
        let seat = self.seats.get(thread_number() % self.seats.len()).ok_or(StoreError::Closed)?;
        let mut seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
        let question = match &*seat {
            Seat::Closed => return Err(StoreError::Closed),
            Seat::Vacant => question,
            Seat::Taken { questions, .. } => match questions.send(question) {
                Ok(()) => return Ok(()),
                Err(unsent) => unsent.0,
            },
        };
        let (questions, waiting) = mpsc::unbounded_channel();
        let finder =
            Finder { link: None, opening: None, timeout: self.timeout, connect: Arc::clone(&self.connect) };
        let task = tokio::spawn(finder.serve(waiting));
        let _ = questions.send(question);
        *seat = Seat::Taken { questions, task };
        Ok(())
    }

    /// Refuses further questions and waits until the accepted ones are answered.
    pub(in crate::engine) async fn close(&self) {
        let tasks: Vec<_> = self.seats.iter().filter_map(close).collect();
        let ended = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        // Nobody may be running the runtime of one of them any more.
        let _ = timeout(self.timeout, ended).await;
    }
}

fn close(seat: &Mutex<Seat>) -> Option<JoinHandle<()>> {
    let mut seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *seat, Seat::Closed) {
        Seat::Taken { task, .. } => Some(task),
        Seat::Vacant | Seat::Closed => None,
    }
}

/// The number of this thread among those that have looked something up.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: OnceCell<usize> = const { OnceCell::new() };
    }
    NUMBER.with(|number| *number.get_or_init(|| NEXT.fetch_add(1, Ordering::Relaxed)))
}

struct Finder {
    link: Option<AsyncPipeline>,
    /// A connection that is being opened, for this batch or the next one.
    opening: Option<JoinHandle<Result<Pipeline, StoreError>>>,
    timeout: Duration,
    connect: Arc<Connect>,
}

impl Finder {
    async fn serve(mut self, mut waiting: UnboundedReceiver<Question>) {
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, LIMIT).await > 0 {
            batch.retain(|question| !question.reply.is_closed());
            if batch.is_empty() {
                continue;
            }
            let statements: Vec<_> = batch.iter().map(|question| &*question.statement).collect();
            let asked = timeout(self.timeout, self.ask(&statements)).await;
            let mut answers = asked.unwrap_or_else(|_| Err(no_answer())).map(Vec::into_iter);
            for Question { reply, .. } in batch.drain(..) {
                let answer = match &mut answers {
                    Ok(answers) => answers.next().ok_or_else(no_answer),
                    Err(error) => Err(error.clone()),
                };
                // A caller who went away needs no answer.
                let _ = reply.send(answer);
            }
        }
    }

    /// Asks on the connection that is there. Reading twice does no harm: if that one turns out to be broken, a new one
    /// is asked the same. A connection is kept only if all replies were read.
    async fn ask(&mut self, statements: &[&Statement]) -> Result<Vec<Answer>, StoreError> {
        let mut answers = Vec::new();
        if let Some(mut kept) = self.link.take() {
            match kept.ask(statements).await {
                Ok(all) if !kept.is_lost() => {
                    self.link = Some(kept);
                    return Ok(all);
                }
                Ok(some) => {
                    answers = some;
                    // The error that the connection does not survive may be about the connection alone.
                    answers.pop();
                }
                Err(error) => {
                    tracing::debug!(name: "store.connection_replaced", %error, "a broken connection is replaced");
                }
            }
        }
        let mut new = self.open().await?;
        answers.extend(new.ask(statements.get(answers.len()..).unwrap_or_default()).await?);
        if !new.is_lost() {
            self.link = Some(new);
        }
        Ok(answers)
    }

    /// Opens a connection, on another thread because that blocks. When it takes longer than a batch may wait, the next
    /// one gets it.
    async fn open(&mut self) -> Result<AsyncPipeline, StoreError> {
        let (connect, timeout) = (Arc::clone(&self.connect), self.timeout);
        let opening = self.opening.get_or_insert_with(|| {
            tokio::task::spawn_blocking(move || {
                let mut new = connect()?;
                new.set_deadline(Instant::now() + timeout);
                new.execute_simple(SETUP)?;
                Ok(new)
            })
        });
        let opened = opening.await;
        self.opening = None;
        Ok(AsyncPipeline::new(opened.unwrap_or_else(|_| Err(no_answer()))?)?)
    }
}

fn no_answer() -> StoreError {
    StoreError::unavailable("the connection was given up before it answered")
}
