//! The answer of an authorization server to a code, until the identity that it claims is proven.

use causeway_atproto::{AuthorizationServer, TokenAnswer};
use causeway_domain::session::UpstreamBinding;
use causeway_jose::EcKey;

/// The answer of an authorization server to a code, and what it is given back with.
#[derive(Debug)]
pub struct AtprotoAnswer {
    pub(super) server: AuthorizationServer,
    pub(super) upstream: UpstreamBinding,
    pub(super) dpop: EcKey,
    pub(super) answer: TokenAnswer,
}
