//! Bodies about upstream sessions.

use causeway_types::{Did, Handle, Scope, SessionKind, SessionState};
use schemars::JsonSchema;
use serde::Serialize;
use url::Url;

/// The upstream session behind an access token.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Session<'a> {
    /// The user's DID.
    pub(crate) sub: &'a Did,
    /// The user's handle, if it is verified in both directions.
    pub(crate) handle: Option<&'a Handle>,
    /// The user's PDS.
    #[schemars(with = "Url")]
    pub(crate) pds: &'a str,
    /// The session.
    pub(crate) session_id: &'a str,
    /// The iteration that this token came from.
    pub(crate) session_iteration: Option<i64>,
    /// The iteration in use.
    pub(crate) head_iteration: i64,
    /// Interactive (device) or for automation (background).
    pub(crate) session_kind: SessionKind,
    /// Whether the session can be used.
    pub(crate) session_state: SessionState,
    /// The browser or app of a device session, by a name for this client alone.
    pub(crate) fingerprint: Option<String>,
    /// The scope of the token.
    pub(crate) scope: &'a Scope,
    /// Unix time at which the access token expires.
    pub(crate) token_expires_at: i64,
    /// Unix time at which the session ends unless it is used before; null: never.
    pub(crate) session_expires_at: Option<i64>,
}

/// Where the user signs in again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Prompt")]
pub(crate) struct SignInPrompt {
    /// To open in the user's browser.
    #[schemars(with = "Url")]
    pub(crate) sign_in_url: String,
}

/// A session of a client.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FoundSession<'a> {
    /// The session.
    pub(crate) session_id: &'a str,
    /// Interactive (device) or for automation (background).
    pub(crate) session_kind: SessionKind,
    /// Whether the session can be used.
    pub(crate) session_state: SessionState,
    /// The browser or app of a device session, by a name for this client alone.
    pub(crate) fingerprint: Option<String>,
    /// The user's DID.
    pub(crate) sub: &'a Did,
    /// The user's handle, if it is verified in both directions.
    pub(crate) handle: Option<&'a Handle>,
    /// The user's PDS.
    #[schemars(with = "Url")]
    pub(crate) pds: &'a str,
    /// The granted scope.
    pub(crate) scope: &'a Scope,
    /// The iteration in use.
    pub(crate) head_iteration: i64,
    /// Unix time of the last use.
    pub(crate) last_used_at: i64,
    /// Unix time at which the session ends unless it is used before; null: never.
    pub(crate) session_expires_at: Option<i64>,
}

/// The token of a session at the user's PDS.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExportedSession<'a> {
    /// The session.
    pub(crate) session_id: &'a str,
    /// Interactive (device) or for automation (background).
    pub(crate) session_kind: SessionKind,
    /// The user's DID.
    pub(crate) sub: &'a Did,
    /// The user's handle, if it is verified in both directions.
    pub(crate) handle: Option<&'a Handle>,
    /// The user's PDS.
    #[schemars(with = "Url")]
    pub(crate) pds: &'a str,
    /// The iteration of this token.
    pub(crate) head_iteration: i64,
    /// The access token, issued by the user's PDS.
    pub(crate) access_token: &'a str,
    /// DPoP: each call needs a proof.
    pub(crate) token_type: &'static str,
    /// The thumbprint of the key that it is bound to.
    pub(crate) dpop_jkt: &'a str,
    /// The scope that the PDS granted.
    #[schemars(with = "Scope")]
    pub(crate) scope: &'a str,
    /// Unix time at which the token expires.
    pub(crate) expires_at: Option<i64>,
    /// Seconds until then.
    pub(crate) expires_in: Option<i64>,
}

/// A DPoP proof by the key of a session.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SessionProof<'a> {
    /// The value of the DPoP header.
    pub(crate) dpop_proof: &'a str,
    /// The iteration whose access token the proof goes with.
    pub(crate) head_iteration: i64,
}
