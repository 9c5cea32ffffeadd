//! The reasons for refreshes, for logs and metrics.

/// Why a session is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A client asked for it.
    Asked,
    /// The access token is about to expire.
    Due,
    /// The access token has expired.
    Spent,
    /// The upstream refused the access token.
    Refused,
    /// The upstream refused the access token right after it was renewed: nothing is renewed, and the user has to connect
    /// again.
    Rejected,
    /// A background session is unused, and its credentials would otherwise age out.
    Kept,
}

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Due => "due",
            Self::Spent => "spent",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Kept => "kept",
        }
    }
}
