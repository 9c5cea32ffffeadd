//! Statements on their way to a server, and the replies that are still to come (PostgreSQL, "Pipelining").
//!
//! Statements are queued and cost nothing until an [exchange](Pipeline::exchange): it sends them together with
//! a mark, and reads every reply up to that mark. After an error the server skips what stands before the
//! mark, so that both sides are in step again there, whatever happened. A reply that does not fit closes the
//! connection.

use std::any::TypeId;
use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::time::Instant;

use diesel::QueryResult;
use diesel::result::Error as DieselError;

use super::error::{ServerError, closed};
use super::libpq::{Link, Lost, Reply, Status};

/// Prepared statements on one connection at most. Those with lists in them differ in length.
const MAX_PREPARED: usize = 512;
/// Empty results in a row after which a link is out of step.
const MAX_EMPTY: u32 = 4;

/// What tells statements apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The query's type, where its text follows from that.
    Type(TypeId),
    /// The text and the types of its parameters.
    Text(String, Vec<u32>),
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

/// A connection with what is under way on it.
pub(super) struct Pipeline {
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

    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Whether a transaction lost against another one since the last call.
    pub(super) fn take_contended(&mut self) -> bool {
        std::mem::take(&mut self.contended)
    }

    /// Whether statements are queued that no exchange has sent yet.
    pub(super) fn has_queued(&self) -> bool {
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
        self.queue_as(Some(Key::Text(sql.to_owned(), Vec::new())), text, &[], &[], expected)
    }

    /// Queues a statement; one with a key is prepared once and kept.
    pub(super) fn queue(
        &mut self,
        key: Option<Key>,
        sql: impl FnOnce() -> QueryResult<String>,
        types: &[u32],
        values: &[Option<Vec<u8>>],
    ) -> QueryResult<()> {
        self.queue_as(key, sql, types, values, Expected::Executed)
    }

    fn queue_as(
        &mut self,
        key: Option<Key>,
        sql: impl FnOnce() -> QueryResult<String>,
        types: &[u32],
        values: &[Option<Vec<u8>>],
        expected: Expected,
    ) -> QueryResult<()> {
        self.check_lost()?;
        let name = match key.as_ref() {
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
                if prepared.len() >= MAX_PREPARED {
                    return Ok(Name::Unprepared(CString::new(sql()?)?));
                }
            }
            None => return Ok(Name::Unprepared(CString::new(sql()?)?)),
        }
        let sql = CString::new(sql()?)?;
        self.names += 1;
        let name = CString::new(format!("s{}", self.names))?;
        let sent = self.link.send_prepare(&name, &sql, types);
        self.or_close(sent)?;
        self.expected.push_back(Expected::Prepared(key.clone()));
        if let Some(prepared) = &mut self.prepared {
            prepared.insert(key.clone(), name.clone());
        }
        Ok(Name::Prepared(name))
    }

    /// Sends what is queued and reads all replies. Returns the last statement's; the error is the first one's
    /// that failed.
    pub(super) fn exchange(&mut self) -> QueryResult<Option<Reply>> {
        self.post()?;
        let (last, error) = self.read_all()?;
        error.map_or(Ok(last), |error| Err(error.into_diesel()))
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
        self.read_all()?;
        self.contended = false;
        let checked = self.link.check();
        self.or_close(checked)?;
        if self.link.is_idle() { Ok(()) } else { Err(self.close("a transaction was left open".to_owned())) }
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

    fn read_all(&mut self) -> QueryResult<(Option<Reply>, Option<ServerError>)> {
        let (mut last, mut error) = (None, None);
        while let Some(expected) = self.expected.pop_front() {
            if let Err(Lost(reason)) = self.read(expected, &mut last, &mut error) {
                // What the server said before it went is the better reason.
                let reason = error.map_or(reason, |error: ServerError| error.into_message());
                return Err(self.close(reason));
            }
        }
        Ok((last, error))
    }

    fn read(
        &mut self,
        expected: Expected,
        last: &mut Option<Reply>,
        error: &mut Option<ServerError>,
    ) -> Result<(), Lost> {
        if matches!(expected, Expected::Synced) {
            return self.read_mark(error);
        }
        let reply = self.link.receive(self.until)?.ok_or_else(out_of_step)?;
        match reply.status() {
            Status::Done => {
                if !matches!(expected, Expected::Prepared(_)) {
                    *last = Some(reply);
                }
            }
            status @ (Status::Failed | Status::Skipped) => {
                if status == Status::Failed {
                    let cause = ServerError::new(&reply);
                    self.note(&cause);
                    if matches!(expected, Expected::Begun) {
                        return Err(Lost(cause.into_message()));
                    }
                    error.get_or_insert(cause);
                }
                if let (Expected::Prepared(key), Some(prepared)) = (&expected, &mut self.prepared) {
                    prepared.remove(key);
                }
            }
            Status::Synced | Status::Unexpected => return Err(out_of_step()),
        }
        if self.link.receive(self.until)?.is_some() { Err(out_of_step()) } else { Ok(()) }
    }

    /// Reads up to the mark. What stands before it is an error of the implicit commit there.
    fn read_mark(&mut self, error: &mut Option<ServerError>) -> Result<(), Lost> {
        let mut empty = 0;
        while empty < MAX_EMPTY {
            match self.link.receive(self.until)? {
                None => empty += 1,
                Some(reply) => match reply.status() {
                    Status::Synced => return Ok(()),
                    Status::Failed => {
                        let cause = ServerError::new(&reply);
                        self.note(&cause);
                        error.get_or_insert(cause);
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

fn out_of_step() -> Lost {
    Lost("the server's replies do not fit what was sent".to_owned())
}
