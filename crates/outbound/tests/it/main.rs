//! The client against a server that follows a script: every fault that a server can have.

#![expect(clippy::unwrap_used, reason = "a test stops where its script does not hold")]

mod guard;
mod steps;
