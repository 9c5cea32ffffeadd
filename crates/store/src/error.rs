//! What can go wrong with the database.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::migrate::SchemaState;
use crate::seal::SealError;

/// Why a query, a transaction or a row failed. No variant carries a value of a row.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is there but somebody else holds it; worth another try.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// The database cannot be reached, or cannot write (disk full, I/O error); worth another try later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The transaction was lost before it was committed, through no fault of the closure; worth another try.
    #[error("the transaction was lost: {0}")]
    TransactionLost(String),
    /// Another transaction changed what this one built on; worth another try.
    #[error("another transaction was first: {0}")]
    Conflict(&'static str),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// A row holds what this program never writes.
    #[error("corrupt row: {table}.{column}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A sealed value did not open, or could not be sealed.
    #[error("{table}: {error}")]
    Seal {
        /// The table.
        table: &'static str,
        /// What is wrong.
        error: SealError,
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

    /// Whether the same call fails whatever becomes of the database: what is wrong is the data, the key, or that
    /// this store is closed. Everything else may be the state that the database is in just now: it says that
    /// it has no room, or may not be written, in more words than anybody knows.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Constraint(_) | Self::Corrupt { .. } | Self::Seal { .. } | Self::Closed)
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
                    Kind::ClosedConnection | Kind::UnableToSendCommand => Self::Unavailable(message),
                    Kind::SerializationFailure => Self::Busy(message),
                    _ => classify(message),
                }
            }
            DieselError::BrokenTransactionManager => Self::TransactionLost("broken connection".to_owned()),
            other => Self::Query(other.to_string()),
        }
    }
}

/// Sorts the messages for which diesel has no kind.
fn classify(message: String) -> StoreError {
    const BUSY: [&str; 6] = [
        "is locked",
        "deadlock detected",
        "lock timeout",
        "statement timeout",
        "could not obtain lock",
        "canceling statement",
    ];
    const DOWN: [&str; 20] = [
        "disk I/O error",
        "Input/output error",
        "is full",
        "No space left on device",
        "could not extend file",
        "could not write",
        "Disk quota exceeded",
        "read-only transaction",
        "is in recovery",
        "during recovery",
        "query_wait_timeout",
        "connection slots",
        "unable to open database file",
        "attempt to write a readonly database",
        "out of memory",
        "out of shared memory",
        "too many clients",
        "is starting up",
        "is shutting down",
        "terminating connection",
    ];
    // A trigger of the schema, where SQLite has no code for it.
    if message == "client is deleted" {
        return StoreError::Constraint(message);
    }
    if message.contains("prepared statement \"") {
        return StoreError::Query(format!(
            "{message}: is there a pooler in transaction mode before PostgreSQL? Then set database-pooler to transaction"
        ));
    }
    if BUSY.iter().any(|sign| message.contains(sign)) {
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
    /// The writer's thread could not be started.
    #[error("cannot start the writer thread: {0}")]
    Thread(String),
}
