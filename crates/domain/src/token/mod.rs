//! The tokens of a grant, and the decisions about them.

mod access;
mod refresh;

pub use self::access::{AccessSubject, AccessToken, User};
pub use self::refresh::{
    PresentedRefreshToken, REFRESH_RETRY_SECONDS, REFRESH_RETRY_SECONDS_UNPROVEN, RefreshDecision,
    RefreshRevocation, RefreshToken, decide_refresh,
};
