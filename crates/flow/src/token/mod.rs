//! The token endpoint and what it issues, introspection and revocation.
//!
//! Every grant takes the same path, [`issue`]: it is evaluated once for a preview, from which a signed access
//! token is made; then evaluated and consumed by a compare-and-swap, in one transaction with the rows of its
//! tokens; then answered. To add a grant:
//!
//! 1. write a file in [`grants`] with the parameters of its request, a verb, and a type that implements
//!    [`Grant`](issue::Grant): `evaluate` has its checks and says what it grants, `consume` spends what the
//!    client presented;
//! 2. give it an enum of refusals in [`refusal`], with their codes and texts, as a variant of
//!    [`TokenRefusal`](refusal::TokenRefusal);
//! 3. add its `grant_type` to [`GrantType`](causeway_types::GrantType), and call the verb at the token
//!    endpoint.

pub mod grants;
pub(crate) mod id_token;
pub mod id_token_hint;
pub mod introspect;
pub(crate) mod issue;
pub(crate) mod jwt_access;
pub(crate) mod new_tokens;
pub(crate) mod presented;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod resolved_grant;
pub mod revoke;
pub(crate) mod superseded;
pub mod token_type;
