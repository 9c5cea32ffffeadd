//! Statements on their way to a server, and the replies that are still to come (PostgreSQL, "Pipelining").
//!
//! Statements are queued and cost nothing until an [exchange](Pipeline::exchange): it sends them together with
//! a mark, and reads every reply up to that mark. After an error the server skips what stands before the
//! mark, so that both sides are in step again there, whatever happened. A reply that does not fit closes the
//! connection.

use std::any::TypeId;
use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use diesel::QueryResult;
use diesel::result::Error as DieselError;

use super::error::{ServerError, closed};
use super::libpq::{Link, Lost, Reply, Status};

/// Prepared statements on one connection from which on those with a text of their own are not kept: lists in them
/// differ in length.
const MAX_PREPARED: usize = 512;
/// Empty results in a row after which a link is out of step.
const MAX_EMPTY: u32 = 4;

/// The identity of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) enum Key {
    /// The query's type, where its text follows from that.
    Type(TypeId),
    /// The text and the types of its parameters.
    Text(String, Vec<u32>),
}

/// A statement that is to be sent.
#[derive(Debug)]
pub(in crate::engine) struct Statement {
    /// `None`: it is not worth preparing.
    pub(super) key: Option<Key>,
    pub(super) sql: String,
    pub(super) types: Vec<u32>,
    pub(super) values: Vec<Option<Vec<u8>>>,
}

/// A reply to come.
#[derive(Debug)]
enum Expected {
    /// To the preparation of a statement.
    Prepared(Key),
    /// To a statement that begins a transaction.
    Begun,
    /// To any other statement.
    Executed,
    /// The mark at the end of an exchange.
    Synced,
}

/// The server's word on a statement that was asked for its own sake.
pub(in crate::engine) type Answer = Result<Arc<Reply>, ServerError>;

/// The outcome of a statement.
enum Outcome {
    Done(Reply),
    Failed(ServerError),
    /// One before it failed.
    Skipped,
}

impl Outcome {
    fn into_error(self) -> Option<ServerError> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Done(_) | Self::Skipped => None,
        }
    }
}

/// A connection with what is under way on it.
pub(in crate::engine) struct Pipeline {
    link: Link,
    /// Why the link is of no use any more.
    lost: Option<String>,
    expected: VecDeque<Expected>,
    /// The names of prepared statements; `None`: statements are not kept.
    prepared: Option<HashMap<Key, CString>>,
    names: u32,
    until: Instant,
    contended: bool,
}

impl Pipeline {
    /// Connects and runs `setup`. `keeps_statements`: whether the server's side of the connection stays the
    /// same from one transaction to the next.
    pub(super) fn open(
        uri: &str,
        setup: &str,
        keeps_statements: bool,
        until: Instant,
    ) -> Result<Self, String> {
        let uri = CString::new(uri).map_err(|error| error.to_string())?;
        let link = Link::open(&uri).and_then(|link| link.enter_pipeline().map(|()| link));
        let mut pipeline = Self {
            link: link.map_err(|Lost(reason)| reason)?,
            lost: None,
            expected: VecDeque::new(),
            prepared: keeps_statements.then(HashMap::new),
            names: 0,
            until,
            contended: false,
        };
        pipeline.execute_simple(setup).map_err(|error| error.to_string())?;
        Ok(pipeline)
    }

    /// Until when the server may take to reply from now on; a link on which it has not by then is closed.
    pub(super) fn set_deadline(&mut self, until: Instant) {
        self.until = until;
    }

    pub(super) const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Whether a transaction lost against another one since the last call.
    pub(super) fn take_contended(&mut self) -> bool {
        std::mem::take(&mut self.contended)
    }

    /// Sends what is queued, if anything is.
    pub(super) fn post_queued(&mut self) -> QueryResult<()> {
        if self.has_queued() { self.post() } else { Ok(()) }
    }

    /// Whether statements are queued that no exchange has sent yet.
    fn has_queued(&self) -> bool {
        self.expected.back().is_some_and(|last| !matches!(last, Expected::Synced))
    }

    /// Queues a statement without parameters that begins a transaction. When it fails, the connection is
    /// closed: it may lead to a server that is a standby by now.
    pub(super) fn queue_beginning(&mut self, sql: &str) -> QueryResult<()> {
        self.queue_text(sql, Expected::Begun)
    }

    /// Queues a statement without parameters.
    pub(super) fn queue_plain(&mut self, sql: &str) -> QueryResult<()> {
        self.queue_text(sql, Expected::Executed)
    }

    fn queue_text(&mut self, sql: &str, expected: Expected) -> QueryResult<()> {
        let text = || Ok(sql.to_owned());
        self.queue_as(Some(&Key::Text(sql.to_owned(), Vec::new())), text, &[], &[], expected)
    }

    /// Queues a statement; one with a key is prepared once and kept.
    pub(super) fn queue(
        &mut self,
        key: Option<&Key>,
        sql: impl FnOnce() -> QueryResult<String>,
        types: &[u32],
        values: &[Option<Vec<u8>>],
    ) -> QueryResult<()> {
        self.queue_as(key, sql, types, values, Expected::Executed)
    }

    fn queue_as(
        &mut self,
        key: Option<&Key>,
        sql: impl FnOnce() -> QueryResult<String>,
        types: &[u32],
        values: &[Option<Vec<u8>>],
        expected: Expected,
    ) -> QueryResult<()> {
        self.check_lost()?;
        if types.len() != values.len() || u16::try_from(values.len()).is_err() {
            return Err(DieselError::QueryBuilderError("a statement has 65,535 parameters at most".into()));
        }
        let name = match key {
            Some(key) => self.name_of(key, sql, types)?,
            None => Name::Unprepared(CString::new(sql()?)?),
        };
        let sent = match &name {
            Name::Prepared(name) => self.link.send_prepared(name, values),
            Name::Unprepared(sql) => self.link.send_query(sql, types, values),
        };
        self.or_close(sent)?;
        self.expected.push_back(expected);
        Ok(())
    }

    /// The name of a statement, whose preparation is queued when it has none.
    fn name_of(
        &mut self,
        key: &Key,
        sql: impl FnOnce() -> QueryResult<String>,
        types: &[u32],
    ) -> QueryResult<Name> {
        match &self.prepared {
            Some(prepared) => {
                if let Some(name) = prepared.get(key) {
                    return Ok(Name::Prepared(name.clone()));
                }
                // There are as many types as lines of code.
                if matches!(key, Key::Text(..)) && prepared.len() >= MAX_PREPARED {
                    return Ok(Name::Unprepared(CString::new(sql()?)?));
                }
            }
            None => return Ok(Name::Unprepared(CString::new(sql()?)?)),
        }
        let sql = CString::new(sql()?)?;
        self.names += 1;
        // With a digest of the text, so that behind a pooler that was not declared, where names are mixed up, it is
        // at worst unknown.
        let mut digest = DefaultHasher::new();
        (&sql, types).hash(&mut digest);
        let name = CString::new(format!("s{}_{:016x}", self.names, digest.finish()))?;
        let sent = self.link.send_prepare(&name, &sql, types);
        self.or_close(sent)?;
        self.expected.push_back(Expected::Prepared(key.clone()));
        if let Some(prepared) = &mut self.prepared {
            prepared.insert(key.clone(), name.clone());
        }
        Ok(Name::Prepared(name))
    }

    /// Sends what is queued and reads all replies. Returns the last statement's; the error is that of the first
    /// one that failed.
    pub(super) fn exchange(&mut self) -> QueryResult<Option<Reply>> {
        self.post()?;
        let mut last = None;
        for outcome in self.read_exchange()? {
            match outcome {
                Outcome::Done(reply) => last = Some(reply),
                Outcome::Failed(error) => return Err(error.into_diesel()),
                Outcome::Skipped => {}
            }
        }
        Ok(last)
    }

    /// Sends statements that do not depend on each other, together, and reads the reply to each. The last ones are
    /// missing if the connection is of no use any more after one before them. The error is the connection's.
    pub(super) fn ask(&mut self, statements: &[&Statement]) -> QueryResult<Vec<Answer>> {
        let mut answers = Vec::with_capacity(statements.len());
        // The server skips what stands behind a statement that failed: it is sent again.
        while let Some(left @ [_, ..]) = statements.get(answers.len()..) {
            // One of them was an error that the connection does not survive.
            if self.is_lost() && !answers.is_empty() {
                break;
            }
            let before = answers.len();
            for Statement { key, sql, types, values } in left {
                self.queue(key.as_ref(), || Ok(sql.clone()), types, values)?;
            }
            self.post()?;
            for outcome in self.read_exchange()? {
                match outcome {
                    Outcome::Done(reply) => answers.push(Ok(Arc::new(reply))),
                    Outcome::Failed(error) => answers.push(Err(error)),
                    Outcome::Skipped => break,
                }
            }
            if answers.len() == before {
                return Err(self.close(OUT_OF_STEP.to_owned()));
            }
        }
        Ok(answers)
    }

    /// Sends statements together, as one transaction. `Some`: nothing is committed, because this one of them failed.
    /// The error is the connection's: nobody knows then.
    pub(super) fn commit_all(&mut self, statements: &[&Statement]) -> QueryResult<Option<usize>> {
        for Statement { key, sql, types, values } in statements {
            self.queue(key.as_ref(), || Ok(sql.clone()), types, values)?;
        }
        self.post()?;
        // An error of the commit itself stands behind all of them.
        Ok(self.read_exchange()?.iter().position(|outcome| !matches!(outcome, Outcome::Done(_))))
    }

    /// Sends what is queued. Its replies are read before the next statement is queued: [`Pipeline::settle`].
    pub(super) fn post(&mut self) -> QueryResult<()> {
        self.check_lost()?;
        let sent = self.link.send_sync();
        self.or_close(sent)?;
        self.expected.push_back(Expected::Synced);
        Ok(())
    }

    /// Reads the replies to what was posted, whatever they are, and makes sure that the connection is still
    /// open and no transaction is. Takes no time on an idle connection.
    pub(super) fn settle(&mut self) -> QueryResult<()> {
        self.check_lost()?;
        if self.has_queued() {
            return Err(self.close("a transaction was abandoned".to_owned()));
        }
        while !self.expected.is_empty() {
            self.read_exchange()?;
        }
        self.contended = false;
        let checked = self.link.check();
        self.or_close(checked)?;
        if !self.link.is_idle() {
            return Err(self.close("a transaction was left open".to_owned()));
        }
        // An error among the replies may have been one that a connection does not survive.
        self.check_lost()
    }

    /// Runs statements without parameters, parted by semicolons, by the simple protocol.
    pub(super) fn execute_simple(&mut self, sql: &str) -> QueryResult<()> {
        self.check_lost()?;
        let sql = CString::new(sql)?;
        if self.has_queued() {
            self.exchange()?;
        }
        let (until, link) = (self.until, &self.link);
        let run = || {
            link.exit_pipeline()?;
            link.send_simple(&sql)?;
            let mut error = None;
            while let Some(reply) = link.receive(until)? {
                match reply.status() {
                    Status::Done => {}
                    Status::Failed if error.is_none() => error = Some(ServerError::new(&reply)),
                    _ => return Err(out_of_step()),
                }
            }
            link.enter_pipeline()?;
            Ok(error)
        };
        let error = run();
        match self.or_close(error)? {
            Some(error) => {
                self.note(&error);
                Err(error.into_diesel())
            }
            None => Ok(()),
        }
    }

    /// Reads the replies of one exchange, one for each statement.
    fn read_exchange(&mut self) -> QueryResult<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        match self.read_outcomes(&mut outcomes) {
            Ok(()) => Ok(outcomes),
            Err(Lost(reason)) => {
                // What the server said before it went is the better reason.
                let said = outcomes.into_iter().find_map(Outcome::into_error);
                Err(self.close(said.map_or(reason, ServerError::into_message)))
            }
        }
    }

    fn read_outcomes(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), Lost> {
        // A statement that could not be prepared is skipped, and this is why.
        let mut unprepared = None;
        while let Some(expected) = self.expected.pop_front() {
            if matches!(expected, Expected::Synced) {
                return self.read_mark(outcomes);
            }
            let outcome = self.read_outcome()?;
            match (expected, outcome) {
                (Expected::Prepared(_), Outcome::Done(_)) => {}
                (Expected::Prepared(key), outcome) => {
                    if let Some(prepared) = &mut self.prepared {
                        prepared.remove(&key);
                    }
                    unprepared = outcome.into_error();
                }
                (Expected::Begun, Outcome::Failed(error)) => return Err(Lost(error.into_message())),
                (_, Outcome::Skipped) => {
                    outcomes.push(unprepared.take().map_or(Outcome::Skipped, Outcome::Failed));
                }
                (_, outcome) => outcomes.push(outcome),
            }
        }
        Ok(())
    }

    fn read_outcome(&mut self) -> Result<Outcome, Lost> {
        let reply = self.link.receive(self.until)?.ok_or_else(out_of_step)?;
        let outcome = match reply.status() {
            Status::Done => Outcome::Done(reply),
            Status::Failed => {
                let error = ServerError::new(&reply);
                self.note(&error);
                Outcome::Failed(error)
            }
            Status::Skipped => Outcome::Skipped,
            Status::Synced | Status::Unexpected => return Err(out_of_step()),
        };
        if self.link.receive(self.until)?.is_some() { Err(out_of_step()) } else { Ok(outcome) }
    }

    /// Reads up to the mark. What stands before it is an error of the implicit commit there.
    fn read_mark(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), Lost> {
        let mut empty = 0;
        while empty < MAX_EMPTY {
            match self.link.receive(self.until)? {
                None => empty += 1,
                Some(reply) => match reply.status() {
                    Status::Synced => return Ok(()),
                    Status::Failed => {
                        let cause = ServerError::new(&reply);
                        self.note(&cause);
                        outcomes.push(Outcome::Failed(cause));
                    }
                    _ => return Err(out_of_step()),
                },
            }
        }
        Err(out_of_step())
    }

    fn note(&mut self, error: &ServerError) {
        self.contended |= error.is_contention();
        if error.spoils_connection() {
            self.lost.get_or_insert_with(|| error.clone_message());
        }
    }

    fn check_lost(&self) -> QueryResult<()> {
        self.lost.as_deref().map_or(Ok(()), |reason| Err(closed(reason)))
    }

    fn or_close<T>(&mut self, done: Result<T, Lost>) -> QueryResult<T> {
        done.map_err(|Lost(reason)| self.close(reason))
    }

    fn close(&mut self, reason: String) -> DieselError {
        self.expected.clear();
        let error = closed(&reason);
        self.lost.get_or_insert(reason);
        error
    }
}

/// How a statement is executed.
enum Name {
    /// By the name under which it was prepared.
    Prepared(CString),
    /// By its text.
    Unprepared(CString),
}

const OUT_OF_STEP: &str = "the server's replies do not fit what was sent";

fn out_of_step() -> Lost {
    Lost(OUT_OF_STEP.to_owned())
}
