//! Protected resources: access tokens, DPoP proofs and the userinfo endpoint.

pub mod access;
pub mod client_access;
pub mod dpop;
pub(crate) mod proof_replay;
pub mod user_claims;
pub mod userinfo;
