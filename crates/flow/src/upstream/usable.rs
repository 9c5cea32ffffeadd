//! A session that can be used.

use causeway_domain::session::{Credentials, SessionHead};

/// A session with credentials that are valid as far as we know.
#[derive(Clone, Debug)]
pub struct UsableSession {
    /// The head that the credentials belong to.
    pub head: SessionHead,
    /// The credentials.
    pub credentials: Credentials,
}
