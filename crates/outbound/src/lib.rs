//! The way out of the process: one hardened HTTP client for every request to a server that others may choose.
//!
//! [`HttpClient`] connects to addresses on the public internet only, which it checks after name lookup. It sends
//! https, follows no redirects unless asked to, gives every wait a deadline, and reads bodies up to a cap, within
//! the [memory budgets](budget) of the process. What it sent is counted ([`OutboundStats`]) and traced, without
//! queries.
//!
//! [`HttpClient::get_json`] and its like fetch and post whole documents; [`HttpClient::send`] and
//! [`HttpClient::send_streaming`] are for protocols that need the headers, too.

mod address;
mod answer;
mod body;
pub mod budget;
mod cache;
pub mod challenge;
mod client;
mod config;
mod dns;
mod error;
mod fetch;
mod guard;
mod media_type;
mod runtime;
mod sent;
mod stats;
mod streaming;
#[cfg(feature = "testing")]
pub mod testing;
mod times;

pub use answer::status_error;
pub use body::{read_into, read_short};
pub use cache::TtlCache;
pub use client::{Call, HttpClient};
pub use config::HttpConfig;
pub use dns::{Dns, DnsError};
pub use error::HttpError;
pub use fetch::Document;
pub use media_type::is_json;
pub use reqwest::{Method, Response, header};
pub use sent::Shows;
pub use stats::OutboundStats;
pub use streaming::{StreamingBody, StreamingCall, UploadError, next_chunk};
pub use times::retry_after;
