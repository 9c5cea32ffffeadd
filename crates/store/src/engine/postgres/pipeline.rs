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
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use tokio::io::unix::AsyncFd;

use super::error::{ServerError, closed};
use super::libpq::{Link, Lost, Reply, Status};

/// Prepared statements on one connection above which statements that are known by their text are not prepared any
/// more: lists in them differ in length.
const MAX_PREPARED: usize = 512;
/// Empty results in a row after which a link is out of step.
const MAX_EMPTY: u32 = 4;

/// Sets the tenant until the end of the transaction, so that no later one inherits it, whoever pools the connection. The
/// policies of row-level security compare with it.
const SET_TENANT: &str = "SELECT set_config('causeway.tenant', $1, true)";
/// The type `text`.
const TEXT_OID: u32 = 25;

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
    /// The tenant whose rows it reaches.
    pub(super) tenant: Option<String>,
}

/// A reply to come.
#[derive(Debug)]
enum Expected {
    /// To the preparation of a statement.
    Prepared(Key),
    /// To a statement that begins a transaction.
    Begun,
    /// To the setting of a tenant, which nobody waits for. An error of it is that of the statement behind it.
    TenantSet,
    /// To any other statement.
    Executed,
    /// The mark at the end of an exchange.
    Synced,
}

/// The server's word on a statement that was asked for its own sake.
pub(in crate::engine) type Answer = Result<Arc<Reply>, ServerError>;

/// The outcome of statements that were sent as one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// All of them are committed.
    All,
    /// None is.
    Nothing {
        /// The first statement that was refused; the number after the last one if the commit itself was.
        refused: usize,
    },
}

/// The outcome of a statement.
pub(super) enum Outcome {
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

/// Replies of an exchange, as far as they have been read.
#[derive(Default)]
pub(super) struct Reading {
    /// One for each statement.
    pub(super) outcomes: Vec<Outcome>,
    /// A reply after which the end of its statement's replies is still to come.
    reply: Option<Outcome>,
    /// Why a statement was not prepared, and is skipped.
    unprepared: Option<ServerError>,
    /// Empty results before the mark.
    empty: u32,
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

    /// Whether the server has said that a statement of the open transaction failed.
    pub(super) fn has_failed_transaction(&self) -> bool {
        self.link.has_failed_transaction()
    }

    /// Queues the setting of the tenant.
    pub(super) fn queue_tenant(&mut self, tenant: &str) -> QueryResult<()> {
        let (types, values) = ([TEXT_OID], [Some(tenant.as_bytes().to_vec())]);
        let key = Key::Text(SET_TENANT.to_owned(), types.to_vec());
        self.queue_as(Some(&key), || Ok(SET_TENANT.to_owned()), &types, &values, Expected::TenantSet)
    }

    /// Queues statements that share a transaction, each with its own tenant or none.
    pub(super) fn queue_all(&mut self, statements: &[&Statement]) -> QueryResult<()> {
        let mut current = "";
        for Statement { key, sql, types, values, tenant } in statements {
            let tenant = tenant.as_deref().unwrap_or_default();
            if tenant != current {
                self.queue_tenant(tenant)?;
                current = tenant;
            }
            self.queue(key.as_ref(), || Ok(sql.clone()), types, values)?;
        }
        Ok(())
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
        let execution = match key {
            Some(key) => self.prepare(key, sql, types)?,
            None => Execution::Text(CString::new(sql()?)?),
        };
        let sent = match &execution {
            Execution::Prepared(name) => self.link.send_prepared(name, values),
            Execution::Text(sql) => self.link.send_query(sql, types, values),
        };
        self.or_close(sent)?;
        self.expected.push_back(expected);
        Ok(())
    }

    /// Queues the preparation of a statement, unless it is prepared or not worth it.
    fn prepare(
        &mut self,
        key: &Key,
        sql: impl FnOnce() -> QueryResult<String>,
        types: &[u32],
    ) -> QueryResult<Execution> {
        match &self.prepared {
            Some(prepared) => {
                if let Some(name) = prepared.get(key) {
                    return Ok(Execution::Prepared(name.clone()));
                }
                // The number of types is bounded by the code, that of texts is not.
                if matches!(key, Key::Text(..)) && prepared.len() >= MAX_PREPARED {
                    return Ok(Execution::Text(CString::new(sql()?)?));
                }
            }
            None => return Ok(Execution::Text(CString::new(sql()?)?)),
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
        Ok(Execution::Prepared(name))
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

    /// Sends statements together, as one transaction. The error is the connection's: nobody knows then.
    pub(super) fn commit_all(&mut self, statements: &[&Statement]) -> QueryResult<Committed> {
        self.queue_all(statements)?;
        self.post()?;
        // An error of the commit itself stands behind all of them.
        let refused = self.read_exchange()?.iter().position(|outcome| !matches!(outcome, Outcome::Done(_)));
        Ok(refused.map_or(Committed::All, |statement| Committed::Nothing { refused: statement }))
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
        self.check_idle()
    }

    /// Makes sure that no transaction is open and that none of the replies was an error that a connection does not
    /// survive. Every reply must have been read.
    pub(super) fn check_idle(&mut self) -> QueryResult<()> {
        if !self.link.is_idle() {
            return Err(self.close("a transaction was left open".to_owned()));
        }
        self.check_lost()
    }

    /// Registers the socket with the current runtime.
    pub(super) fn readiness(&mut self) -> QueryResult<AsyncFd<OwnedFd>> {
        let readiness = self.link.readiness();
        self.or_close(readiness)
    }

    /// Sends what the socket takes of what was posted. True: there is more.
    pub(super) fn flush(&mut self) -> QueryResult<bool> {
        let flushed = self.link.flush();
        self.or_close(flushed)
    }

    /// Whether the socket has something to read.
    pub(super) fn can_be_read(&mut self) -> QueryResult<bool> {
        let ready = self.link.can_be_read();
        self.or_close(ready)
    }

    /// Reads what the socket has, or a part of it.
    pub(super) fn take_input(&mut self) -> QueryResult<()> {
        let taken = self.link.take_input();
        self.or_close(taken)
    }

    /// Closes a connection whose replies do not fit.
    pub(super) fn close_out_of_step(&mut self) -> DieselError {
        self.close(OUT_OF_STEP.to_owned())
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
        let mut reading = Reading::default();
        while !self.read_on(&mut reading)? {
            let waited = self.link.receive_more(self.until);
            self.or_close(waited)?;
        }
        Ok(reading.outcomes)
    }

    /// Reads on in the replies of an exchange, as far as they have arrived. True: that is all of them.
    pub(super) fn read_on(&mut self, reading: &mut Reading) -> QueryResult<bool> {
        self.read_arrived(reading).map_err(|Lost(reason)| {
            // What the server said before it went is the better reason.
            let said = std::mem::take(&mut reading.outcomes).into_iter().find_map(Outcome::into_error);
            self.close(said.map_or(reason, ServerError::into_message))
        })
    }

    fn read_arrived(&mut self, reading: &mut Reading) -> Result<bool, Lost> {
        while let Some(expected) = self.expected.front() {
            let Some(arrived) = self.link.arrived() else { return Ok(false) };
            if matches!(expected, Expected::Synced) {
                if self.read_mark(arrived, reading)? {
                    self.expected.pop_front();
                    break;
                }
                continue;
            }
            // A statement has one reply, and then there is none.
            match (reading.reply.take(), arrived) {
                (None, Some(reply)) => reading.reply = Some(self.outcome_of(reply)?),
                (Some(outcome), None) => self.assign(outcome, reading)?,
                _ => return Err(out_of_step()),
            }
        }
        Ok(true)
    }

    fn outcome_of(&mut self, reply: Reply) -> Result<Outcome, Lost> {
        match reply.status() {
            Status::Done => Ok(Outcome::Done(reply)),
            Status::Failed => {
                let error = ServerError::new(&reply);
                self.note(&error);
                Ok(Outcome::Failed(error))
            }
            Status::Skipped => Ok(Outcome::Skipped),
            Status::Synced | Status::Unexpected => Err(out_of_step()),
        }
    }

    /// Takes an outcome for what was expected next.
    fn assign(&mut self, outcome: Outcome, reading: &mut Reading) -> Result<(), Lost> {
        match (self.expected.pop_front(), outcome) {
            (Some(Expected::Prepared(_) | Expected::TenantSet), Outcome::Done(_))
            | (Some(Expected::TenantSet), Outcome::Skipped) => {}
            (Some(Expected::Prepared(key)), outcome) => {
                if let Some(prepared) = &mut self.prepared {
                    prepared.remove(&key);
                }
                // The first error is the one that all that follow are skipped for.
                if let Some(error) = outcome.into_error() {
                    reading.unprepared.get_or_insert(error);
                }
            }
            (Some(Expected::Begun), Outcome::Failed(error)) => return Err(Lost(error.into_message())),
            (_, Outcome::Skipped) => {
                let outcome = reading.unprepared.take().map_or(Outcome::Skipped, Outcome::Failed);
                reading.outcomes.push(outcome);
            }
            (_, outcome) => reading.outcomes.push(outcome),
        }
        Ok(())
    }

    /// Whether the mark is reached. What stands before it is an error of the implicit commit there.
    fn read_mark(&mut self, arrived: Option<Reply>, reading: &mut Reading) -> Result<bool, Lost> {
        match arrived.as_ref().map(Reply::status) {
            Some(Status::Synced) => return Ok(true),
            Some(Status::Failed) => {
                let failed = arrived.map(|reply| self.outcome_of(reply)).transpose()?;
                reading.outcomes.extend(failed);
            }
            Some(_) => return Err(out_of_step()),
            None if reading.empty == MAX_EMPTY => return Err(out_of_step()),
            None => reading.empty += 1,
        }
        Ok(false)
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
enum Execution {
    /// By the name under which it was prepared.
    Prepared(CString),
    /// By its text.
    Text(CString),
}

const OUT_OF_STEP: &str = "the server's replies do not fit what was sent";

fn out_of_step() -> Lost {
    Lost(OUT_OF_STEP.to_owned())
}
