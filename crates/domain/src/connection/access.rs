//! Clients' access to connections.

use causeway_types::{ClientId, Timestamp, UpstreamSessionId};

/// The party that let a client use a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantedBy {
    /// The client made the connection itself.
    Creation,
    /// The user consented.
    User,
    /// The operator shared it.
    Operator,
}

impl GrantedBy {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creation => "creation",
            Self::User => "user",
            Self::Operator => "operator",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Creation, Self::User, Self::Operator].into_iter().find(|by| by.as_str() == name)
    }
}

/// A client's access to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionAccess {
    /// The connection.
    pub connection_id: UpstreamSessionId,
    /// The client.
    pub client_id: ClientId,
    /// The party that granted it.
    pub granted_by: GrantedBy,
    /// Since when.
    pub created_at: Timestamp,
}
