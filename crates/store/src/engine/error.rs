//! Database errors.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::encryption::error::EncryptionError;
use crate::engine::postgres::error as sqlstate;
use crate::engine::schema_state::SchemaState;

/// Why a query, a transaction or a row failed. No variant carries a value from a row.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database responds but is locked by another user of it; retryable.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// The database cannot be reached, or cannot write (disk full, I/O error); retryable later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The transaction was lost before it was committed, through no fault of the closure; retryable.
    #[error("the transaction was lost: {0}")]
    TransactionLost(String),
    /// Another transaction changed what this one was based on; retryable.
    #[error("another transaction came first: {0}")]
    Conflict(&'static str),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// A row holds a value that this program never writes.
    #[error("corrupt row: {table}.{column}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A encrypted value could not be opened, or a value could not be encrypted.
    #[error("{table}: {error}")]
    Encrypt {
        /// The table.
        table: &'static str,
        /// The cause.
        error: EncryptionError,
    },
    /// A constraint of the schema refused the row: it exists already, or what it points to does not.
    #[error("constraint violated: {0}")]
    Constraint(String),
    /// The query failed.
    #[error("query failed: {0}")]
    Query(String),
    /// The database's migrations are not exactly those that this program knows.
    #[error("{0}")]
    Schema(SchemaState),
    /// The closure panicked; its transaction was rolled back.
    #[error("a transaction panicked")]
    Panicked,
}

impl StoreError {
    /// Whether the same call may succeed in a moment.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unavailable(_) | Self::TransactionLost(_) | Self::Conflict(_))
    }

    /// Whether the same call fails whatever becomes of the database: the fault is in the data or the key, or
    /// this store is closed. Every other error may be due to the database's present state: it reports a full
    /// disk or a read-only mode in too many different messages to list.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Constraint(_) | Self::Corrupt { .. } | Self::Encrypt { .. } | Self::Closed)
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable(reason.into())
    }

    pub(crate) const fn corrupt(table: &'static str, column: &'static str) -> Self {
        Self::Corrupt { table, column }
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        use DatabaseErrorKind as Kind;
        match error {
            DieselError::DatabaseError(kind, info) => {
                let message = info.message().to_owned();
                match kind {
                    Kind::UniqueViolation
                    | Kind::ForeignKeyViolation
                    | Kind::NotNullViolation
                    | Kind::CheckViolation
                    | Kind::RestrictViolation
                    | Kind::ExclusionViolation => Self::Constraint(message),
                    Kind::ClosedConnection | Kind::UnableToSendCommand | Kind::ReadOnlyTransaction => {
                        Self::Unavailable(message)
                    }
                    Kind::SerializationFailure => Self::Busy(message),
                    _ => classify(message),
                }
            }
            DieselError::RollbackTransaction => {
                Self::TransactionLost("a statement had failed, so that it was rolled back".to_owned())
            }
            DieselError::BrokenTransactionManager => Self::TransactionLost("broken connection".to_owned()),
            other => Self::Query(other.to_string()),
        }
    }
}

/// Classifies the errors for which diesel has no kind.
fn classify(message: String) -> StoreError {
    match sqlstate::split(&message) {
        Some((text, code)) => classify_by_code(code, text, &message),
        None => classify_by_text(message),
    }
}

/// PostgreSQL's: by SQLSTATE (its "Error Codes"), whatever language the messages are in.
fn classify_by_code(code: &str, text: &str, message: &str) -> StoreError {
    match (code.get(..2).unwrap_or_default(), code) {
        // Lock timeout; statement timeout or cancelled.
        (_, "55P03" | "57014") => StoreError::Busy(message.to_owned()),
        // Connection, rollback, resources (disk, memory, connections), operator, system; a standby; idle or running
        // for too long.
        ("08" | "40" | "53" | "57" | "58", _) | (_, "25006" | "25P03" | "25P04") => {
            StoreError::Unavailable(message.to_owned())
        }
        (_, "26000" | "42P05") => StoreError::Query(format!(
            "{message}: if a pooler in transaction mode is in front of PostgreSQL, set database-pooler to transaction"
        )),
        (_, "P0001") if text == DELETED_CLIENT => StoreError::Constraint(message.to_owned()),
        _ => StoreError::Query(message.to_owned()),
    }
}

/// The message of a trigger of the schema.
const DELETED_CLIENT: &str = "client is deleted";

/// SQLite's, whose codes diesel keeps to itself.
fn classify_by_text(message: String) -> StoreError {
    const DOWN: [&str; 8] = [
        "disk I/O error",
        "Input/output error",
        "is full",
        "No space left on device",
        "Disk quota exceeded",
        "unable to open database file",
        "attempt to write a readonly database",
        "out of memory",
    ];
    if message == DELETED_CLIENT {
        StoreError::Constraint(message)
    } else if message.contains("is locked") {
        StoreError::Busy(message)
    } else if DOWN.iter().any(|sign| message.contains(sign)) {
        StoreError::Unavailable(message)
    } else {
        StoreError::Query(message)
    }
}

/// Why a store could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started.
    #[error("cannot start a thread of the store: {0}")]
    Thread(String),
}
