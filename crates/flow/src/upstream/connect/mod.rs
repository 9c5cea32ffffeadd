//! Connecting an account: the user is sent to its provider, comes back, and a session begins. What is the provider's own
//! is behind [`Connected`](crate::upstream::traits::Connected).

pub mod callback;
pub(crate) mod failure;
pub(crate) mod kept_answer;
pub(crate) mod required;
pub mod sign_in;

mod new_session;

pub use self::failure::{AskAgain, ConnectFailure, SignInError, SignInTrouble};
pub use self::required::Required;
