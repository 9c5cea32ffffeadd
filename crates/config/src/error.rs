//! The one error of this crate.

use thiserror::Error;

/// A refused configuration. `Display` is a single line: the setting, the problem, and the fix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{setting}: {problem}; {fix}")]
pub struct ConfigError {
    /// The setting and, in parentheses, its environment variable or the file the value came from.
    pub setting: String,
    /// The problem with the value, or with its absence.
    pub problem: String,
    /// The fix.
    pub fix: String,
}

/// The problem with a value, before it is known which setting it belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) problem: String,
    pub(crate) fix: String,
}

impl Fault {
    pub(crate) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { problem: problem.into(), fix: fix.into() }
    }
}
