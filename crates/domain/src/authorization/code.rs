//! Authorization codes (RFC 6749 section 4.1.2).

use causeway_types::secret::Code;
use causeway_types::{
    ClientId, CodeChallenge, Did, Jkt, Resources, Scope, Timestamp, TokenHash, UpstreamSessionId,
};

/// Seconds that an authorization code lives (RFC 6749 section 4.1.2 recommends 600 at most).
pub const CODE_SECONDS: i64 = 60;
/// Seconds in which a second redemption of a code counts as a retry, not as theft.
pub const CODE_RETRY_SECONDS: i64 = 10;

/// An authorization code's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// The code's hash.
    pub code: TokenHash<Code>,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// The user's account.
    pub did: Did,
    /// The session that it grants use of.
    pub session_id: UpstreamSessionId,
    /// The session's iteration when the code was issued.
    pub session_iteration: i64,
    /// The redirect URI of the request: the token request repeats it.
    pub redirect_uri: String,
    /// The granted scope.
    pub scope: Scope,
    /// Where the tokens are to be used.
    pub resources: Resources,
    /// PKCE; `None`: waived for a client that checks the `nonce` (OAuth 2.1 section 7.5.1).
    pub code_challenge: Option<CodeChallenge>,
    /// OpenID Connect `nonce`.
    pub nonce: Option<String>,
    /// The key whose possession must be proved to redeem it (RFC 9449 section 10).
    pub dpop_jkt: Option<Jkt>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was redeemed.
    pub used_at: Option<Timestamp>,
}

/// Response to a used authorization code that is presented again *with* valid client authentication and
/// a valid verifier (RFC 6749 section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeReuse {
    /// A retry shortly after the first redemption: refused, with no further effect.
    Refuse,
    /// Anything else: refused, and everything that the code granted is revoked.
    RevokeGrant,
}

/// Decides on a code that was redeemed at `used_at`.
pub const fn decide_code_reuse(used_at: Timestamp, now: Timestamp, proven: bool) -> CodeReuse {
    if proven && now.since(used_at) <= CODE_RETRY_SECONDS {
        CodeReuse::Refuse
    } else {
        CodeReuse::RevokeGrant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_000);

    #[test]
    fn code_reuse() {
        assert_eq!(decide_code_reuse(T, T.plus(10), true), CodeReuse::Refuse);
        assert_eq!(decide_code_reuse(T, T.plus(11), true), CodeReuse::RevokeGrant);
        assert_eq!(decide_code_reuse(T, T, false), CodeReuse::RevokeGrant);
    }
}
