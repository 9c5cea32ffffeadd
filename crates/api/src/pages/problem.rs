//! What an error page can be about.

/// What happened, as far as a person has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The app's request is at fault.
    App,
    /// The app asks whether somebody is signed in, and nobody ever was in this browser.
    NotSignedInHere,
    /// The answer came to a browser that we have not met.
    OtherBrowser,
    /// The sign-in is over, expired, or another browser's.
    SignInOver,
    /// The request was decided, has expired, or is another browser's.
    ConsentOver,
    /// The person has not signed in yet.
    NotSignedIn,
    /// A form came back without a decision.
    Undecided,
    /// A form that did not come from a page of ours in this browser.
    ForeignForm,
    /// Ours.
    Internal,
    /// Ours, for the moment.
    Busy,
    /// Too many tries in too short a time.
    TooMany,
    /// There is no such page.
    NotFound,
}
