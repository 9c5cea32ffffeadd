//! Decisions about calls of a provider's API: where they may go, with which credential, what an answer means, and which
//! parts of it are credentials. Nothing is sent here.

mod body;
mod error;
mod examine;
mod inject;
pub(crate) mod parameters;
mod strip;
mod target;

pub use body::{check_body, reads_body, with_members};
pub use error::TargetError;
pub use examine::{AnswerMeaning, CallAnswer, examine, needs_body};
pub use inject::{CallCredential, InjectedCredential, inject};
pub(crate) use inject::{inject_what_is_known, is_placed};
pub use strip::{NotStripped, strip, strip_header};
pub use target::{RelayPath, RelayTargets};
