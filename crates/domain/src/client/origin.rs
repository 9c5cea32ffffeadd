//! How clients become known to this server.

use causeway_types::Timestamp;

/// How we know a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOrigin {
    /// Somebody registered it: over HTTP or on the command line.
    Registered,
    /// By the document at its `client_id`.
    Document {
        /// When the document was last read and found valid.
        checked_at: Timestamp,
        /// Until when it need not be read again.
        fresh_until: Timestamp,
    },
    /// By the `client_id` itself: an app under development on the user's own machine.
    Loopback {
        /// When it was last seen.
        checked_at: Timestamp,
    },
}

impl ClientOrigin {
    /// The form of tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Document { .. } => "document",
            Self::Loopback { .. } => "loopback",
        }
    }

    /// When it was checked, and until when that is good.
    pub const fn times(self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Registered => None,
            Self::Document { checked_at, fresh_until } => Some((checked_at, fresh_until)),
            Self::Loopback { checked_at } => Some((checked_at, checked_at)),
        }
    }

    /// Reads the form of tables.
    pub fn parse(name: &str, times: Option<(Timestamp, Timestamp)>) -> Option<Self> {
        match (name, times) {
            ("registered", _) => Some(Self::Registered),
            ("document", Some((checked_at, fresh_until))) => Some(Self::Document { checked_at, fresh_until }),
            ("loopback", Some((checked_at, _))) => Some(Self::Loopback { checked_at }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_survive_being_stored() {
        let (checked_at, fresh_until) = (Timestamp(1), Timestamp(2));
        for origin in [
            ClientOrigin::Registered,
            ClientOrigin::Document { checked_at, fresh_until },
            ClientOrigin::Loopback { checked_at },
        ] {
            assert_eq!(ClientOrigin::parse(origin.as_str(), origin.times()), Some(origin));
        }
        let times = Some((checked_at, fresh_until));
        assert_eq!(ClientOrigin::parse("registered", times), Some(ClientOrigin::Registered));
        for (name, times) in [("document", None), ("loopback", None), ("", times), ("Document", times)] {
            assert_eq!(ClientOrigin::parse(name, times), None, "{name}");
        }
    }
}
