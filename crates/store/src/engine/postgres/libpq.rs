//! The part of libpq that a pipeline needs, behind safe functions.
//!
//! A [`Link`] never blocks on its socket: a caller who waits for a [`Reply`] says until when, or waits elsewhere.

#![expect(unsafe_code, reason = "libpq is a C library")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::num::NonZeroU32;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::time::Instant;

use pq_sys::{
    ConnStatusType, ExecStatusType, Oid, PGTransactionStatusType, PGconn, PGresult, PQclear, PQcmdStatus,
    PQcmdTuples, PQconnectdb, PQconsumeInput, PQenterPipelineMode, PQerrorMessage, PQexitPipelineMode,
    PQfinish, PQflush, PQfname, PQftype, PQgetResult, PQgetisnull, PQgetlength, PQgetvalue, PQisBusy,
    PQnfields, PQntuples, PQpipelineSync, PQresultErrorField, PQresultErrorMessage, PQresultStatus,
    PQsendPrepare, PQsendQuery, PQsendQueryParams, PQsendQueryPrepared, PQsetNoticeProcessor,
    PQsetnonblocking, PQsocket, PQsslInUse, PQstatus, PQtransactionStatus,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// The format of parameters and results.
const BINARY: c_int = 1;

/// Why a link is of no use any more.
#[derive(Debug)]
pub(super) struct Lost(pub(super) String);

/// A connection to a server.
pub(super) struct Link(NonNull<PGconn>);

// SAFETY: libpq allows a connection to be used by any thread, one at a time.
unsafe impl Send for Link {}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: the pointer is valid until here.
        unsafe { PQfinish(self.0.as_ptr()) }
    }
}

impl Link {
    /// Connects; blocks for as long as the URI's `connect_timeout` allows.
    pub(super) fn open(uri: &CStr) -> Result<Self, Lost> {
        // SAFETY: the text ends with NUL.
        let conn = unsafe { PQconnectdb(uri.as_ptr()) };
        let link = Self(NonNull::new(conn).ok_or_else(|| Lost("out of memory".to_owned()))?);
        if !link.is_open() {
            return Err(link.lost());
        }
        // SAFETY: the connection is valid, and the function is one for notices.
        unsafe { PQsetNoticeProcessor(conn, Some(ignore_notice), std::ptr::null_mut()) };
        // SAFETY: the connection is valid.
        link.succeeded(unsafe { PQsetnonblocking(conn, 1) } == 0)?;
        Ok(link)
    }

    fn is_open(&self) -> bool {
        // SAFETY: the connection is valid.
        unsafe { PQstatus(self.0.as_ptr()) == ConnStatusType::CONNECTION_OK }
    }

    /// Whether the server has said that no transaction is open.
    pub(super) fn is_idle(&self) -> bool {
        // SAFETY: the connection is valid.
        unsafe { PQtransactionStatus(self.0.as_ptr()) == PGTransactionStatusType::PQTRANS_IDLE }
    }

    /// Whether the server has said that a transaction is open in which a statement failed.
    pub(super) fn has_failed_transaction(&self) -> bool {
        // SAFETY: the connection is valid.
        unsafe { PQtransactionStatus(self.0.as_ptr()) == PGTransactionStatusType::PQTRANS_INERROR }
    }

    fn lost(&self) -> Lost {
        // SAFETY: the connection is valid, and so is the text until its next use.
        let text = unsafe { CStr::from_ptr(PQerrorMessage(self.0.as_ptr())) };
        Lost(text.to_string_lossy().trim_end().to_owned())
    }

    fn succeeded(&self, success: bool) -> Result<(), Lost> {
        if success { Ok(()) } else { Err(self.lost()) }
    }

    /// From now on, statements are sent without waiting for the replies to those before. Nothing may be
    /// under way.
    pub(super) fn enter_pipeline(&self) -> Result<(), Lost> {
        // SAFETY: the connection is valid.
        self.succeeded(unsafe { PQenterPipelineMode(self.0.as_ptr()) } == 1)
    }

    /// The opposite. Every reply must have been read.
    pub(super) fn exit_pipeline(&self) -> Result<(), Lost> {
        // SAFETY: the connection is valid.
        self.succeeded(unsafe { PQexitPipelineMode(self.0.as_ptr()) } == 1)
    }

    /// Sends statements, parted by semicolons and without parameters; not in a pipeline.
    pub(super) fn send_simple(&self, sql: &CStr) -> Result<(), Lost> {
        // SAFETY: the connection is valid, and the text ends with NUL.
        self.succeeded(unsafe { PQsendQuery(self.0.as_ptr(), sql.as_ptr()) } == 1)
    }

    /// Queues the preparation of a statement under a name.
    pub(super) fn send_prepare(&self, name: &CStr, sql: &CStr, types: &[Oid]) -> Result<(), Lost> {
        let count = length(types.len());
        // SAFETY: the connection is valid, the texts end with NUL, and there are `count` types.
        let sent =
            unsafe { PQsendPrepare(self.0.as_ptr(), name.as_ptr(), sql.as_ptr(), count, types.as_ptr()) };
        self.succeeded(sent == 1)
    }

    /// Queues the execution of a prepared statement.
    pub(super) fn send_prepared(&self, name: &CStr, values: &[Option<Vec<u8>>]) -> Result<(), Lost> {
        let arguments = Arguments::new(values);
        // SAFETY: the connection is valid, the name ends with NUL, and the arguments outlive the call, which
        // copies them.
        let sent = unsafe {
            PQsendQueryPrepared(
                self.0.as_ptr(),
                name.as_ptr(),
                length(values.len()),
                arguments.pointers.as_ptr(),
                arguments.lengths.as_ptr(),
                arguments.formats.as_ptr(),
                BINARY,
            )
        };
        self.succeeded(sent == 1)
    }

    /// Queues the execution of a statement that is prepared for this once.
    pub(super) fn send_query(
        &self,
        sql: &CStr,
        types: &[Oid],
        values: &[Option<Vec<u8>>],
    ) -> Result<(), Lost> {
        if types.len() != values.len() {
            return Err(Lost("a parameter without a type".to_owned()));
        }
        let arguments = Arguments::new(values);
        // SAFETY: as above, and there are as many types as values.
        let sent = unsafe {
            PQsendQueryParams(
                self.0.as_ptr(),
                sql.as_ptr(),
                length(values.len()),
                types.as_ptr(),
                arguments.pointers.as_ptr(),
                arguments.lengths.as_ptr(),
                arguments.formats.as_ptr(),
                BINARY,
            )
        };
        self.succeeded(sent == 1)
    }

    /// Queues a mark up to which the server skips everything after an error, and sends what is queued.
    pub(super) fn send_sync(&self) -> Result<(), Lost> {
        // SAFETY: the connection is valid.
        self.succeeded(unsafe { PQpipelineSync(self.0.as_ptr()) } == 1)
    }

    /// The next reply, or `None` where the replies to one statement end. Sends what is still queued.
    pub(super) fn receive(&self, until: Instant) -> Result<Option<Reply>, Lost> {
        loop {
            if let Some(arrived) = self.arrived() {
                return Ok(arrived);
            }
            self.receive_more(until)?;
        }
    }

    /// Waits for input, and sends what is still queued meanwhile.
    pub(super) fn receive_more(&self, until: Instant) -> Result<(), Lost> {
        if !self.wait(self.flush()?, Some(until))? {
            return Err(Lost("no response from the server in time".to_owned()));
        }
        self.take_input()
    }

    /// Same as [`Link::receive`], of what has been read already; `None`: it is not complete.
    pub(super) fn arrived(&self) -> Option<Option<Reply>> {
        let conn = self.0.as_ptr();
        // SAFETY: the connection is valid.
        if unsafe { PQisBusy(conn) } == 1 {
            return None;
        }
        // SAFETY: as above; the result is ours.
        Some(NonNull::new(unsafe { PQgetResult(conn) }).map(Reply))
    }

    /// Sends what the socket takes of what is queued. True: there is more.
    pub(super) fn flush(&self) -> Result<bool, Lost> {
        // SAFETY: the connection is valid.
        match unsafe { PQflush(self.0.as_ptr()) } {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.lost()),
        }
    }

    /// Reads what has arrived by itself. A connection that the server has closed is noticed here.
    pub(super) fn check(&self) -> Result<(), Lost> {
        while self.can_be_read()? {
            self.take_input()?;
        }
        self.succeeded(self.is_open())
    }

    /// Reads what the socket has, or a part of it.
    pub(super) fn take_input(&self) -> Result<(), Lost> {
        self.consume()?;
        // The socket says nothing about what is left of a TLS record, 16 kB at most, of which libpq takes one part at
        // a time. Reading what is not there does not wait.
        // SAFETY: the connection is valid.
        if unsafe { PQsslInUse(self.0.as_ptr()) } == 1 {
            for _ in 0..3 {
                self.consume()?;
            }
        }
        Ok(())
    }

    fn consume(&self) -> Result<(), Lost> {
        // SAFETY: the connection is valid.
        self.succeeded(unsafe { PQconsumeInput(self.0.as_ptr()) } == 1)
    }

    /// Whether the socket has something to read.
    pub(super) fn can_be_read(&self) -> Result<bool, Lost> {
        self.wait(false, None)
    }

    /// Registers the socket with the current runtime, by a descriptor of its own.
    pub(super) fn readiness(&self) -> Result<AsyncFd<OwnedFd>, Lost> {
        let socket = self.socket()?.try_clone_to_owned().map_err(|error| Lost(error.to_string()))?;
        // SAFETY: the descriptor is open until it is dropped.
        unsafe { AsyncFd::register(socket) }.map_err(|error| Lost(error.to_string()))
    }

    fn socket(&self) -> Result<BorrowedFd<'_>, Lost> {
        // SAFETY: the connection is valid.
        let socket = unsafe { PQsocket(self.0.as_ptr()) };
        if socket < 0 {
            return Err(self.lost());
        }
        // SAFETY: the socket stays open for as long as the connection, which is borrowed.
        Ok(unsafe { BorrowedFd::borrow_raw(socket) })
    }

    /// Waits until the socket can be read, or also written; `None` only looks. False: not in time.
    fn wait(&self, to_write: bool, until: Option<Instant>) -> Result<bool, Lost> {
        let socket = self.socket()?;
        let interest = if to_write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        loop {
            let left = until.map_or(Ok(Timespec { tv_sec: 0, tv_nsec: 0 }), |until| {
                Timespec::try_from(until.saturating_duration_since(Instant::now()))
            });
            let left = left.map_err(|error| Lost(error.to_string()))?;
            match poll(&mut [PollFd::new(&socket, interest)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Lost(error.to_string())),
            }
        }
    }
}

/// Notices are not errors, and libpq would write them to stderr.
unsafe extern "C" fn ignore_notice(_: *mut c_void, _: *const c_char) {}

/// The protocol counts with 16 bits; libpq refuses more.
fn length(count: usize) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

/// Parameters in the form that libpq takes.
struct Arguments {
    pointers: Vec<*const c_char>,
    lengths: Vec<c_int>,
    formats: Vec<c_int>,
}

impl Arguments {
    fn new(values: &[Option<Vec<u8>>]) -> Self {
        // An empty vector's pointer is not null, which would mean NULL.
        let pointer = |value: &Option<Vec<u8>>| {
            value.as_ref().map_or(std::ptr::null(), |bytes| bytes.as_ptr().cast::<c_char>())
        };
        Self {
            pointers: values.iter().map(pointer).collect(),
            lengths: values.iter().map(|value| length(value.as_ref().map_or(0, Vec::len))).collect(),
            formats: vec![BINARY; values.len()],
        }
    }
}

/// Kind of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// The statement succeeded.
    Done,
    /// The statement failed.
    Failed,
    /// The statement was skipped, because one before it failed.
    Skipped,
    /// A mark of [`Link::send_sync`] was reached.
    Synced,
    /// Nothing that our statements cause.
    Unexpected,
}

/// A server's reply to one statement.
pub(in crate::engine) struct Reply(NonNull<PGresult>);

// SAFETY: a result is not changed after it was received, and libpq allows any thread to read it.
unsafe impl Send for Reply {}
// SAFETY: as above.
unsafe impl Sync for Reply {}

impl Drop for Reply {
    fn drop(&mut self) {
        // SAFETY: the result is ours and valid until here.
        unsafe { PQclear(self.0.as_ptr()) }
    }
}

impl Reply {
    pub(super) fn status(&self) -> Status {
        // SAFETY: the result is valid.
        match unsafe { PQresultStatus(self.0.as_ptr()) } {
            ExecStatusType::PGRES_COMMAND_OK | ExecStatusType::PGRES_TUPLES_OK => Status::Done,
            ExecStatusType::PGRES_FATAL_ERROR | ExecStatusType::PGRES_BAD_RESPONSE => Status::Failed,
            ExecStatusType::PGRES_PIPELINE_ABORTED => Status::Skipped,
            ExecStatusType::PGRES_PIPELINE_SYNC => Status::Synced,
            _ => Status::Unexpected,
        }
    }

    pub(super) fn rows(&self) -> usize {
        // SAFETY: the result is valid.
        usize::try_from(unsafe { PQntuples(self.0.as_ptr()) }).unwrap_or(0)
    }

    pub(super) fn columns(&self) -> usize {
        // SAFETY: the result is valid.
        usize::try_from(unsafe { PQnfields(self.0.as_ptr()) }).unwrap_or(0)
    }

    /// The bytes of a value; `None` for NULL. Both numbers are within bounds, or libpq says NULL.
    pub(super) fn value(&self, row: usize, column: usize) -> Option<&[u8]> {
        let (result, row, column) = (self.0.as_ptr(), length(row), length(column));
        // SAFETY: the result is valid; libpq checks both numbers here.
        if unsafe { PQgetisnull(result, row, column) } == 1 {
            return None;
        }
        // SAFETY: there is such a value, and it lives as long as the result.
        unsafe {
            let length = usize::try_from(PQgetlength(result, row, column)).unwrap_or(0);
            Some(std::slice::from_raw_parts(PQgetvalue(result, row, column).cast::<u8>(), length))
        }
    }

    pub(super) fn column_name(&self, column: usize) -> Option<&str> {
        // SAFETY: the result is valid; libpq checks the number and answers null.
        let name = unsafe { PQfname(self.0.as_ptr(), length(column)) };
        text(name)
    }

    pub(super) fn column_type(&self, column: usize) -> NonZeroU32 {
        // SAFETY: the result is valid; libpq checks the number and answers 0.
        let oid = unsafe { PQftype(self.0.as_ptr(), length(column)) };
        NonZeroU32::new(oid).unwrap_or(UNKNOWN_TYPE)
    }

    /// How many rows the statement changed or returned.
    pub(super) fn affected(&self) -> usize {
        // SAFETY: the result is valid, and so is the text as long as it.
        let count = unsafe { PQcmdTuples(self.0.as_ptr()) };
        text(count).and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// The command tag: `INSERT 0 1`, `COMMIT`.
    pub(super) fn tag(&self) -> &str {
        // SAFETY: as above.
        let tag = unsafe { PQcmdStatus(self.0.as_ptr()) };
        text(tag).unwrap_or_default()
    }

    /// A field of an error.
    pub(super) fn error_field(&self, field: ErrorField) -> Option<String> {
        // SAFETY: as above.
        let value = unsafe { PQresultErrorField(self.0.as_ptr(), field as c_int) };
        text(value).map(str::to_owned)
    }

    /// The whole text of an error.
    pub(super) fn error_message(&self) -> String {
        // SAFETY: as above.
        let message = unsafe { PQresultErrorMessage(self.0.as_ptr()) };
        text(message).unwrap_or_default().trim_end().to_owned()
    }
}

/// The type `unknown`.
const UNKNOWN_TYPE: NonZeroU32 = NonZeroU32::new(705).unwrap();

/// Fields of an error message (PostgreSQL, "Error and Notice Message Fields").
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum ErrorField {
    Code = b'C',
    Message = b'M',
    Detail = b'D',
    Hint = b'H',
    Table = b't',
    Column = b'c',
    Constraint = b'n',
}

/// A text of a result. The client encoding is UTF-8.
fn text<'a>(pointer: *const c_char) -> Option<&'a str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: libpq's texts end with NUL; every caller binds the lifetime to its result.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok()
}
