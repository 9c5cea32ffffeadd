//! Notices on top of a page about the user's last action.

/// The outcome of the last action on the account page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountNotice {
    /// One session was ended.
    Ended,
    /// All of an account were.
    EndedAll,
    /// There was nothing left to end.
    Gone,
    /// The proof of the account has expired.
    NotProven,
    /// The sign-in that proves an account was not completed.
    NotSignedIn,
    /// The page again shows only sessions that began in this browser.
    Left,
}

impl AccountNotice {
    const ALL: [Self; 6] =
        [Self::Ended, Self::EndedAll, Self::Gone, Self::NotProven, Self::NotSignedIn, Self::Left];

    /// The form in the page's address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::EndedAll => "ended-all",
            Self::Gone => "gone",
            Self::NotProven => "not-proven",
            Self::NotSignedIn => "not-signed-in",
            Self::Left => "left",
        }
    }

    /// Reads the form in the page's address.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.as_str() == value)
    }

    /// Whether it reports a problem.
    pub(super) const fn is_trouble(self) -> bool {
        matches!(self, Self::Gone | Self::NotProven | Self::NotSignedIn)
    }
}

/// A problem with a user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceTrouble {
    /// It is unknown, expired, used, or confirmed in another browser.
    Unknown,
    /// Too many wrong codes were entered.
    TooMany,
}
