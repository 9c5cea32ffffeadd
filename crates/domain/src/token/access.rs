//! Access tokens (RFC 6749 section 1.4).

use causeway_types::secret::Access;
use causeway_types::{ClientId, Did, Jkt, Resources, Scope, Timestamp, TokenHash, UpstreamSessionId};

/// The user behind an access token, and the session that it gives use of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's account.
    pub did: Did,
    /// The session that it gives use of.
    pub session_id: UpstreamSessionId,
    /// Which upstream token set it came from.
    pub session_iteration: Option<i64>,
}

/// The subject of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessSubject {
    /// A user who signed in and consented.
    User(User),
    /// The client itself: there is no user and no session (RFC 6749 section 4.4).
    Client,
}

/// An access token's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The token's hash.
    pub token: TokenHash<Access>,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// Its subject.
    pub subject: AccessSubject,
    /// The granted scope.
    pub scope: Scope,
    /// Where it is to be used: its audience.
    pub resources: Resources,
    /// The key whose possession must be proved to use it (RFC 9449 section 6); `None`: a bearer token.
    pub dpop_jkt: Option<Jkt>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was revoked.
    pub revoked: bool,
    /// When it was first presented to a resource; decides about late refresh retries.
    pub first_used_at: Option<Timestamp>,
}
