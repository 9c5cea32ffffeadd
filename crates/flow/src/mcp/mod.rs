//! The users' MCP servers, as MCP clients call them through this one: with a token of ours for one [endpoint], and with the
//! upstream's credentials, which they never hold.
//!
//! A [call] is passed on as it is. Where the user has to do something first, the client gets an answer in the words of its
//! revision of the protocol: [`instead`].

pub mod call;
pub mod caller;
pub mod endpoint;
pub mod first_time;
mod instead;
pub mod list;
mod message;
mod session_id;
pub(crate) mod tools;
