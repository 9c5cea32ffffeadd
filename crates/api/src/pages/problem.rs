//! The problems that an error page reports.

/// The problem, as far as the user has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The app's request is at fault.
    App,
    /// The app asks whether a user is signed in, and none ever was in this browser.
    NotSignedInHere,
    /// The answer arrived in an unknown browser.
    OtherBrowser,
    /// The sign-in has ended, has expired, or is another browser's.
    SignInOver,
    /// The request was decided, has expired, or is another browser's.
    ConsentOver,
    /// The user has not signed in yet.
    NotSignedIn,
    /// The link to connect an account was used, or has expired.
    ConnectOver,
    /// No account was connected.
    NotConnected(NotConnected),
    /// A form came back without a decision.
    Undecided,
    /// A form that did not come from a page of ours in this browser.
    ForeignForm,
    /// An internal error.
    Internal,
    /// A temporary internal error.
    Busy,
    /// Too many tries in too short a time.
    TooMany,
    /// There is no such page.
    NotFound,
}

/// Why no account was connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotConnected {
    /// The user said no.
    Denied,
    /// The user did not grant everything that is needed.
    ScopeMissing,
    /// Another account is connected already.
    OtherAccount,
    /// The provider issued no refresh token.
    NoRefreshToken,
    /// The provider does not answer.
    Unavailable,
    /// Our registration at the provider is at fault.
    Misconfigured,
    /// The provider refused, or its answer cannot be used.
    Refused,
}
