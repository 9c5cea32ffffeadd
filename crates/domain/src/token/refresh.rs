//! Refresh tokens (RFC 6749 section 1.5), and the decision about one that is presented.

use causeway_types::secret::{Access, Refresh};
use causeway_types::{ClientId, Did, Jkt, Resources, Scope, Timestamp, TokenHash, UpstreamSessionId};

/// Seconds in which a used refresh token still yields a new token pair for each retry.
pub const REFRESH_RETRY_SECONDS: i64 = 30;
/// The same for a client that proves nothing: public and without DPoP.
pub const REFRESH_RETRY_SECONDS_UNPROVEN: i64 = 10;

/// Why a refresh token was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefreshRevocation {
    /// A later retry of its parent replaced it before it was ever used.
    Superseded,
    /// The whole grant was revoked.
    Grant,
}

impl RefreshRevocation {
    /// The form of tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Grant => "grant",
        }
    }

    /// Reads the form of tables.
    pub fn parse(value: &str) -> Option<Self> {
        [Self::Superseded, Self::Grant].into_iter().find(|reason| reason.as_str() == value)
    }
}

/// A refresh token's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The token's hash.
    pub token: TokenHash<Refresh>,
    /// The hash of the access token issued with it.
    pub access_token: TokenHash<Access>,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// The user's account.
    pub did: Did,
    /// The session that it gives use of.
    pub session_id: UpstreamSessionId,
    /// Which upstream token set it came from.
    pub session_iteration: Option<i64>,
    /// The granted scope.
    pub scope: Scope,
    /// Where the access tokens issued for it may be used.
    pub resources: Resources,
    /// The key whose possession must be proved to use it (RFC 9449 section 5): for public clients only, since
    /// the others authenticate.
    pub dpop_jkt: Option<Jkt>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// The refresh token that it was rotated from.
    pub parent: Option<TokenHash<Refresh>>,
    /// When it was first rotated.
    pub used_at: Option<Timestamp>,
    /// Why it was revoked, if it was.
    pub revoked: Option<RefreshRevocation>,
}

/// The state of a presented refresh token, once the client's authentication or proof has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedRefreshToken {
    /// The time.
    pub now: Timestamp,
    /// When the token ends.
    pub expires_at: Option<Timestamp>,
    /// When it was first rotated.
    pub used_at: Option<Timestamp>,
    /// Why it was revoked, if it was.
    pub revoked: Option<RefreshRevocation>,
    /// Whether any token pair issued for it was ever used.
    pub successor_used: bool,
    /// Whether the request proves more than possession: client authentication or DPoP.
    pub proven: bool,
}

/// Decision about a presented refresh token (RFC 9700 section 4.14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshDecision {
    /// Its first use: it is consumed and a token pair is issued.
    Rotate,
    /// A retry in time: a further pair is issued; the earlier ones stay valid.
    Sibling,
    /// A late retry whose pairs were never used: a new pair, and the unused ones are revoked.
    Replace,
    /// Too old.
    Expired,
    /// Already revoked, as is its grant.
    Dead,
    /// Two holders: its successor is in use, or it was superseded by a retry of somebody else. The whole grant is
    /// revoked.
    RevokeGrant,
}

/// Decides how to answer a presented refresh token.
pub fn decide_refresh(token: PresentedRefreshToken) -> RefreshDecision {
    let retry_seconds = if token.proven { REFRESH_RETRY_SECONDS } else { REFRESH_RETRY_SECONDS_UNPROVEN };
    match (token.revoked, token.used_at) {
        (Some(RefreshRevocation::Grant), _) => RefreshDecision::Dead,
        (None, _) if token.expires_at.is_some_and(|end| end <= token.now) => RefreshDecision::Expired,
        (None, None) => RefreshDecision::Rotate,
        (None, Some(used_at)) if token.now.since(used_at) <= retry_seconds => RefreshDecision::Sibling,
        (None, Some(_)) if !token.successor_used => RefreshDecision::Replace,
        // A superseded token: its parent was presented again after it was issued, so either the response was
        // lost or somebody else holds it. A late retry whose successor was used: two parties hold the token.
        (Some(RefreshRevocation::Superseded), _) | (None, Some(_)) => RefreshDecision::RevokeGrant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_survive_being_stored() {
        for (reason, name) in
            [(RefreshRevocation::Superseded, "superseded"), (RefreshRevocation::Grant, "grant")]
        {
            assert_eq!((reason.as_str(), RefreshRevocation::parse(name)), (name, Some(reason)));
        }
        assert_eq!(RefreshRevocation::parse(""), None);
    }

    const T: Timestamp = Timestamp(1_000);
    const FRESH: PresentedRefreshToken = PresentedRefreshToken {
        now: T,
        expires_at: Some(Timestamp(9_000)),
        used_at: None,
        revoked: None,
        successor_used: false,
        proven: true,
    };

    #[test]
    fn refresh_decisions() {
        let used = PresentedRefreshToken { used_at: Some(T), ..FRESH };
        let at = |seconds, token: PresentedRefreshToken| {
            decide_refresh(PresentedRefreshToken { now: T.plus(seconds), ..token })
        };
        assert_eq!(at(0, FRESH), RefreshDecision::Rotate);
        assert_eq!(at(8_000, FRESH), RefreshDecision::Expired);
        assert_eq!(
            at(9_999_999, PresentedRefreshToken { expires_at: None, ..FRESH }),
            RefreshDecision::Rotate
        );
        assert_eq!(at(30, used), RefreshDecision::Sibling);
        assert_eq!(at(30, PresentedRefreshToken { successor_used: true, ..used }), RefreshDecision::Sibling);
        assert_eq!(at(31, used), RefreshDecision::Replace);
        assert_eq!(
            at(31, PresentedRefreshToken { successor_used: true, ..used }),
            RefreshDecision::RevokeGrant
        );
        assert_eq!(at(10, PresentedRefreshToken { proven: false, ..used }), RefreshDecision::Sibling);
        assert_eq!(at(11, PresentedRefreshToken { proven: false, ..used }), RefreshDecision::Replace);
        for (revoked, decision) in [
            (RefreshRevocation::Superseded, RefreshDecision::RevokeGrant),
            (RefreshRevocation::Grant, RefreshDecision::Dead),
        ] {
            for token in [FRESH, used, PresentedRefreshToken { successor_used: true, ..used }] {
                let dead = PresentedRefreshToken { revoked: Some(revoked), ..token };
                assert_eq!((at(0, dead), at(9_000, dead)), (decision, decision), "{dead:?}");
            }
        }
    }
}
