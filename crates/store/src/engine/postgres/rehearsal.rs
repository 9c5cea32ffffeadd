//! A connection without a server, on which a closure is run to learn what it asks.
//!
//! The first run of a closure ends at its first statement, which is sent to the server; the next run gets the answer
//! and goes on from there, to the second statement or to its end. So a closure that only reads needs no thread that
//! waits for it.

use std::sync::Arc;

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::error::ServerError;
use super::libpq::Reply;
use super::pipeline::{Answer, Statement};

/// The run of a closure: the answers known so far, and the question that has none yet.
pub(super) struct Rehearsal {
    answers: std::vec::IntoIter<Answer>,
    /// Statements whose results nobody needs; `None`: they are questions as any other.
    deferred: Option<Vec<Statement>>,
    question: Option<Statement>,
    /// Whether more than a statement was to be executed.
    is_refused: bool,
}

/// The statements of a closure that ran without a server.
pub(in crate::engine) struct Trace {
    /// The statement that it needs the answer to.
    pub(in crate::engine) question: Option<Statement>,
    /// The statements that it does not need an answer to; `None`: they are not all.
    pub(in crate::engine) deferred: Option<Vec<Statement>>,
}

impl Rehearsal {
    /// For a closure that reads.
    pub(super) fn reading(answers: Vec<Answer>) -> Self {
        Self { answers: answers.into_iter(), deferred: None, question: None, is_refused: false }
    }

    /// For a closure that writes.
    pub(super) fn writing() -> Self {
        Self {
            answers: Vec::new().into_iter(),
            deferred: Some(Vec::new()),
            question: None,
            is_refused: false,
        }
    }

    /// The answer to a statement, or an error with which the run is over. A statement that is deferred has none.
    pub(super) fn answer(
        &mut self,
        statement: Statement,
        is_deferred: bool,
    ) -> QueryResult<Option<Arc<Reply>>> {
        if self.question.is_none() {
            if let Some(deferred) = self.deferred.as_mut().filter(|_| is_deferred) {
                deferred.push(statement);
                return Ok(None);
            }
            if let Some(answer) = self.answers.next() {
                return answer.map(Some).map_err(ServerError::into_diesel);
            }
            self.question = Some(statement);
        }
        Err(unknown())
    }

    /// Refuses what is more than a statement: a closure that writes has a transaction of its own then, one that reads
    /// may not do it.
    pub(super) fn refuse(&mut self) -> DieselError {
        self.is_refused = true;
        DieselError::QueryBuilderError("only single statements may be executed here".into())
    }

    /// The trace of the run.
    pub(super) fn into_trace(self) -> Trace {
        let is_whole = self.question.is_none() && !self.is_refused;
        Trace { question: self.question, deferred: self.deferred.filter(|_| is_whole) }
    }
}

fn unknown() -> DieselError {
    let text = "the answer is not known yet".to_owned();
    DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, Box::new(text))
}
