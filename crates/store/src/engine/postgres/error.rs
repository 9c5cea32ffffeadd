//! Errors of a PostgreSQL server, by SQLSTATE: messages are in the server's language.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};

use super::libpq::{ErrorField, Reply};

/// An error of a server.
#[derive(Clone, Debug)]
pub(in crate::engine) struct ServerError {
    code: String,
    /// The message, and the code: diesel passes on no other field that could carry it.
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
}

impl ServerError {
    pub(super) fn new(reply: &Reply) -> Self {
        let code = reply.error_field(ErrorField::Code).unwrap_or_default();
        let text = reply.error_field(ErrorField::Message).unwrap_or_else(|| reply.error_message());
        let message = if code.is_empty() { text } else { with_code(&text, &code) };
        Self {
            code,
            message,
            detail: reply.error_field(ErrorField::Detail),
            hint: reply.error_field(ErrorField::Hint),
            table: reply.error_field(ErrorField::Table),
            column: reply.error_field(ErrorField::Column),
            constraint: reply.error_field(ErrorField::Constraint),
        }
    }

    /// Whether the transaction lost against another one and may run again: a serialization failure or a deadlock.
    /// (40003 would mean that nobody knows whether it is committed.)
    pub(super) fn is_contention(&self) -> bool {
        matches!(self.code.as_str(), "40001" | "40P01")
    }

    /// Whether a lock was not to be had within `lock_timeout`.
    pub(in crate::engine) fn is_lock_timeout(&self) -> bool {
        self.code == "55P03"
    }

    /// Whether the connection must not be used again: it leads to a standby (25006), or its prepared
    /// statements are not what they were (0A000 after a migration; 26000 and 42P05 behind a pooler that was
    /// not declared).
    pub(super) fn spoils_connection(&self) -> bool {
        matches!(self.code.as_str(), "25006" | "0A000" | "26000" | "42P05")
    }

    pub(super) fn clone_message(&self) -> String {
        self.message.clone()
    }

    pub(super) fn into_message(self) -> String {
        self.message
    }

    pub(super) fn into_diesel(self) -> DieselError {
        let kind = kind_of(&self.code);
        DieselError::DatabaseError(kind, Box::new(self))
    }
}

fn kind_of(code: &str) -> DatabaseErrorKind {
    match code {
        "23001" => DatabaseErrorKind::RestrictViolation,
        "23502" => DatabaseErrorKind::NotNullViolation,
        "23503" => DatabaseErrorKind::ForeignKeyViolation,
        "23505" => DatabaseErrorKind::UniqueViolation,
        "23514" => DatabaseErrorKind::CheckViolation,
        "23P01" => DatabaseErrorKind::ExclusionViolation,
        "25006" => DatabaseErrorKind::ReadOnlyTransaction,
        "40001" | "40P01" => DatabaseErrorKind::SerializationFailure,
        _ if code.starts_with("08") => DatabaseErrorKind::ClosedConnection,
        _ => DatabaseErrorKind::Unknown,
    }
}

/// The form in which a SQLSTATE stands behind a message.
fn with_code(text: &str, code: &str) -> String {
    format!("{text} (SQLSTATE {code})")
}

/// A message of [`ServerError`] in its parts.
pub(in crate::engine) fn split(message: &str) -> Option<(&str, &str)> {
    message.strip_suffix(')')?.rsplit_once(" (SQLSTATE ")
}

/// An error of the connection itself.
pub(super) fn closed(reason: &str) -> DieselError {
    DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(reason.to_owned()))
}

impl DatabaseErrorInformation for ServerError {
    fn message(&self) -> &str {
        &self.message
    }

    fn details(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    fn table_name(&self) -> Option<&str> {
        self.table.as_deref()
    }

    fn column_name(&self) -> Option<&str> {
        self.column.as_deref()
    }

    fn constraint_name(&self) -> Option<&str> {
        self.constraint.as_deref()
    }

    fn statement_position(&self) -> Option<i32> {
        None
    }
}
