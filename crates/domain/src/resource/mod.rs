//! Resources: the scopes that operators declare for them, and the permissions that calls to a PDS need.

mod scopes;
pub mod xrpc;

pub use self::scopes::{DeclaredScope, DeclaredScopeError, ResourceScopes};
