//! Values of client metadata that have names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a client's DPoP proofs must carry a nonce of ours (RFC 9449 sections 8 and 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DpopNoncePolicy {
    /// No: the age and the single use of each proof are enough. Some clients never retry with a nonce.
    #[default]
    Off,
    /// Yes: a proof cannot be made in advance.
    Required,
}

/// Format of an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AccessTokenFormat {
    /// A random text that only we can read.
    #[default]
    Opaque,
    /// A signed JWT (RFC 9068) that its resource reads for itself.
    Jwt,
}

/// Kind of subject identifier (OpenID Connect Core section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SubjectType {
    /// The same for every client.
    Public,
}
