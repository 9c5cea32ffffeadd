#![doc = include_str!("../README.md")]

pub mod authorization;
mod backoff;
mod bounded_map;
pub mod client;
mod clock;
pub mod connection;
mod json_object;
pub mod measure;
mod network;
mod rate_limit;
pub mod resource;
pub mod session;
pub mod token;

pub use backoff::Backoff;
pub use bounded_map::BoundedMap;
pub use clock::{Clock, SystemClock};
pub use json_object::JsonObject;
pub use network::Network;
pub use rate_limit::{RateLimit, RateLimiter, TooMany};
