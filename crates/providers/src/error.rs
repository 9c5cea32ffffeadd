//! Problems of definitions.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// A definition that is refused, with everything that is wrong with it. `Display` has one line for each problem:
/// the file, the line in it, the key, the problem, and the fix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct InvalidDefinition {
    /// The file, or the name of a built-in definition.
    pub file: String,
    /// The problems, in the order of the file. There is at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for InvalidDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match problem.line {
                Some(line) => write!(f, "{}:{line}: {problem}", self.file)?,
                None => write!(f, "{}: {problem}", self.file)?,
            }
        }
        Ok(())
    }
}

/// A problem with one key of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line of the file, counted from 1.
    pub line: Option<usize>,
    /// The dotted path of the key; empty if the file as a whole is meant.
    pub key: String,
    /// Description of the problem.
    pub problem: String,
    /// Advice for fixing it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.fix)
    }
}

/// The problem with a value, before it is known which key it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) problem: String,
    pub(crate) fix: String,
}

/// Separator of problem and fix while a fault travels as the message of a deserializer's error.
const SEPARATOR: char = '\u{1f}';

impl Fault {
    pub(crate) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { problem: problem.into(), fix: fix.into() }
    }

    /// The fault in a message that [`Fault`]'s `Display` wrote.
    pub(crate) fn from_message(message: &str) -> Option<Self> {
        message.split_once(SEPARATOR).map(|(problem, fix)| Self::new(problem, fix))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{}", self.problem, self.fix)
    }
}
