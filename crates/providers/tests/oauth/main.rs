//! The OAuth 2.0 client over HTTP, with the definitions of real providers against a server that answers as they do.

#![expect(clippy::unwrap_used, reason = "a test stops where its script does not hold")]

mod accounts;
mod discovery;
mod facts;
mod faults;
mod provider;
