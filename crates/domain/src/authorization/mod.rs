//! The records between a client's authorization request and the code or device code that it ends in, and the
//! decisions about them.

mod code;
pub mod device;
mod request;

pub use self::code::{AuthorizationCode, CODE_RETRY_SECONDS, CODE_SECONDS, CodeReuse, decide_code_reuse};
pub use self::request::{AUTH_REQUEST_SECONDS, AuthRequest, AuthRequestStage, PAR_SECONDS, ParRequest};
