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

/// The answers known so far, and the question that has none yet.
pub(super) struct Replay {
    answers: std::vec::IntoIter<Answer>,
    question: Option<Statement>,
}

impl Replay {
    pub(super) fn new(answers: Vec<Answer>) -> Self {
        Self { answers: answers.into_iter(), question: None }
    }

    /// The answer to a statement, or an error with which the run is over.
    pub(super) fn answer(
        &mut self,
        statement: impl FnOnce() -> QueryResult<Statement>,
    ) -> QueryResult<Arc<Reply>> {
        if self.question.is_none() {
            if let Some(answer) = self.answers.next() {
                return answer.map_err(ServerError::into_diesel);
            }
            self.question = Some(statement()?);
        }
        let text = "the answer is not known yet".to_owned();
        Err(DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, Box::new(text)))
    }

    /// What the run ended with, if it asked something new.
    pub(super) fn into_question(self) -> Option<Statement> {
        self.question
    }
}
