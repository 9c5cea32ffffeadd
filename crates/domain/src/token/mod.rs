//! The records between a client's authorization request and its tokens, and the decisions about them, free
//! of I/O.

use crate::authorization::{Prompts, ResponseMode};
use crate::clock::Timestamp;
use crate::identity::Did;
use crate::ids::{
    AuthRequestId, BrowserSessionId, ClientId, CorrelationId, Jkt, RequestUri, TenantId, UpstreamSessionId,
};
use crate::pkce::CodeChallenge;
use crate::resource::Resources;
use crate::scope::Scope;
use crate::secret::{Access, Code, DeviceCode, Refresh, TokenHash};

/// Seconds that an authorization request, and the upstream state it started, live at most.
pub const AUTH_REQUEST_SECONDS: i64 = 900;
/// Seconds that an authorization code lives (RFC 6749 section 4.1.2 recommends 600 at most).
pub const CODE_SECONDS: i64 = 60;
/// Seconds that a pushed authorization request lives (RFC 9126 section 2.2).
pub const PAR_SECONDS: i64 = 300;
/// Seconds in which a second redemption of a code counts as a retry, not as theft.
pub const CODE_RETRY_SECONDS: i64 = 10;
/// Seconds in which a used refresh token still yields a new token pair for each retry.
pub const REFRESH_RETRY_SECONDS: i64 = 30;
/// The same for a client that proves nothing: public and without DPoP.
pub const REFRESH_RETRY_SECONDS_UNPROVEN: i64 = 10;

/// How far an authorization request has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthRequestStage {
    /// The user has not signed in yet.
    SignIn,
    /// Signed in; the user has to decide.
    Consent {
        /// The fresh upstream session, still pending.
        session_id: UpstreamSessionId,
    },
    /// Allowed, denied, or permanently failed.
    Decided {
        /// The session that the decision was about, if it came that far.
        session_id: Option<UpstreamSessionId>,
    },
}

/// A client's authorization request that passed all checks (RFC 6749 section 4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthRequest {
    /// Its identifier.
    pub id: AuthRequestId,
    /// The client's tenant.
    pub tenant_id: TenantId,
    /// The client.
    pub client_id: ClientId,
    /// Where the answer goes, as presented.
    pub redirect_uri: String,
    /// The requested scope.
    pub scope: Scope,
    /// Where the tokens are to be used (RFC 8707).
    pub resources: Resources,
    /// The client's own state, given back unchanged.
    pub state: Option<String>,
    /// PKCE; `None`: waived for a client that checks the `nonce` (OAuth 2.1 section 7.5.1).
    pub code_challenge: Option<CodeChallenge>,
    /// OpenID Connect `nonce`.
    pub nonce: Option<String>,
    /// The account that the client expects to sign in.
    pub login_hint: Option<String>,
    /// How the answer reaches the client.
    pub response_mode: ResponseMode,
    /// The prompts that the user has to see, or must not see.
    pub prompt: Prompts,
    /// Seconds that may have passed since the user signed in (OpenID Connect Core section 3.1.2.1).
    pub max_age: Option<i64>,
    /// The key that the code will be bound to (RFC 9449 section 10).
    pub dpop_jkt: Option<Jkt>,
    /// The user's preferred languages according to the client, best first.
    pub ui_locales: Option<String>,
    /// The accounts of which one has to sign in, if the client names any (OpenID Connect Core section 5.5.1);
    /// empty: any account.
    pub required_subs: Vec<Did>,
    /// The browser that it is bound to.
    pub browser_id: BrowserSessionId,
    /// The pushed request that it came from.
    pub request_uri: Option<RequestUri>,
    /// The device's request that it is for (RFC 8628): the outcome goes to the device, and no code is issued.
    pub device_code: Option<TokenHash<DeviceCode>>,
    /// How far it has come.
    pub stage: AuthRequestStage,
    /// The sign-in that it is part of, in log lines; `None` in rows older than the name.
    pub correlation_id: Option<CorrelationId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl AuthRequest {
    /// The owner of the resulting session: this browser, or the device that the request is for. A device's
    /// session does not belong to the browser in which the user approved it.
    pub fn fingerprint(&self) -> BrowserSessionId {
        match &self.device_code {
            Some(code) => BrowserSessionId::of_device(code),
            None => self.browser_id.clone(),
        }
    }
}

/// A pushed authorization request (RFC 9126).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParRequest {
    /// Its reference.
    pub request_uri: RequestUri,
    /// The client that pushed it.
    pub client_id: ClientId,
    /// The authorization request's parameters, already checked, as JSON.
    pub authorization_request: String,
    /// The authorization request that was created when a browser first presented it.
    pub auth_request_id: Option<AuthRequestId>,
    /// The sign-in that it is part of, in log lines; `None` in rows older than the name.
    pub correlation_id: Option<CorrelationId>,
    /// When it was pushed.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

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

    #[test]
    fn code_reuse() {
        assert_eq!(decide_code_reuse(T, T.plus(10), true), CodeReuse::Refuse);
        assert_eq!(decide_code_reuse(T, T.plus(11), true), CodeReuse::RevokeGrant);
        assert_eq!(decide_code_reuse(T, T, false), CodeReuse::RevokeGrant);
    }
}
