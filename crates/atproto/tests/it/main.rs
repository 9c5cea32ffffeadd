//! The client against an upstream that follows a script: every fault that a server can have.

#![expect(clippy::unwrap_used, reason = "a test stops where its script does not hold")]

mod resolve;
mod tokens;
mod upstream;
