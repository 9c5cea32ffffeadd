//! Events for clients about their sign-ins and sessions: as a [stream](listen) that they read, and by signed
//! [requests](deliver_due).

mod listen;
mod order;
mod webhook;

pub(crate) use self::listen::Hub;
pub use self::listen::{ListenError, Listener, PER_CLIENT, PER_PROCESS, listen};
pub use self::webhook::{deliver_due, new_secret, start_due};

/// Seconds for which an event is retained for clients that were away.
pub const EVENT_SECONDS: i64 = 7 * 86_400;
