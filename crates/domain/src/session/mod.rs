//! Upstream sessions: those that we hold at a user's PDS on a client's behalf.

mod account;
mod upkeep;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::{
    AuthRequestId, BrowserSessionId, ClientId, CodeVerifier, CorrelationId, Did, Handle, OauthState, Scope,
    Secret, SessionKind, SessionState, TenantId, Timestamp, UpstreamClientId, UpstreamSessionId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::account::{ACCOUNT_PROOF_SECONDS, AccountProof, AccountSession};
pub use self::upkeep::{
    Cooldown, Due, HANDLE_SECONDS, REFUSED_SECONDS, VERIFIED_SECONDS, keep_alive_again_at, keep_alive_at,
};

/// How we authenticate at an upstream authorization server. Fixed for the life of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum UpstreamAuth {
    /// As a public client.
    None,
    /// With a signed assertion (RFC 7523) by the key `kid` of our JWKS.
    PrivateKeyJwt {
        /// The key's identifier: its JWK thumbprint.
        kid: String,
    },
}

/// Our identity at the upstream when a session began; refreshes use this, never today's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamBinding {
    /// The authorization server's issuer.
    pub issuer: String,
    /// The origin of the PDS that holds the account.
    pub pds: String,
    /// Our `client_id` there.
    pub client_id: UpstreamClientId,
    /// How we authenticate there.
    pub auth: UpstreamAuth,
    /// The redirect URI of the authorization.
    pub redirect_uri: String,
}

/// State stored from the redirect to the upstream authorization server until the user's return.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// The `state` that comes back: works once.
    pub oauth_state: OauthState,
    /// The client's request that this is for.
    pub auth_request_id: AuthRequestId,
    /// The browser that was sent.
    pub browser_id: BrowserSessionId,
    /// Our identity there. `pds` is empty while only the server is known, not the account.
    pub upstream: UpstreamBinding,
    /// The account that has to come back; `None` when only a server was named.
    pub expected_did: Option<Did>,
    /// The handle that was typed, verified then; `None` when a DID or a server was typed.
    pub typed_handle: Option<Handle>,
    /// The DPoP nonce that the server gave last; empty when it gave none.
    pub nonce: String,
    /// PKCE.
    pub pkce_verifier: CodeVerifier,
    /// The private JWK of the session's DPoP key, as JSON.
    pub dpop_private_key: Secret,
    /// The thumbprint of that key (RFC 7638).
    pub dpop_jkt: String,
    /// Whether it is the second attempt, made because the first one had not asked for a page that the PDS
    /// wanted to show.
    pub asked_again: bool,
    /// When the user was redirected.
    pub created_at: Timestamp,
    /// When the state ends.
    pub expires_at: Timestamp,
}

/// The head of a session: who, which kind, which state, and the iteration that is current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHead {
    /// The session.
    pub session_id: UpstreamSessionId,
    /// The tenant that it belongs to.
    pub tenant_id: TenantId,
    /// The client that it serves.
    pub client_id: ClientId,
    /// The user's account.
    pub did: Did,
    /// The user's handle, verified in both directions; `None` when it did not verify. It may belong to
    /// another account by now: show [`handle_at`](Self::handle_at) instead.
    pub handle: Option<Handle>,
    /// Its kind.
    pub kind: SessionKind,
    /// Where it stands.
    pub state: SessionState,
    /// The browser in which it began.
    pub browser_id: BrowserSessionId,
    /// The number of the token set that is in use, from 1 up.
    pub iteration: i64,
    /// Our identity at the upstream.
    pub upstream: UpstreamBinding,
    /// When it began.
    pub created_at: Timestamp,
    /// When a token of it was last used or refreshed.
    pub last_used_at: Timestamp,
    /// When the account's own document last led to this PDS and this issuer, and its handle was looked up.
    pub verified_at: Timestamp,
    /// The pause after refreshes that failed.
    pub cooldown: Cooldown,
    /// The sign-in that it came of, in log lines; `None` in rows older than the name.
    pub correlation_id: Option<CorrelationId>,
}

impl SessionHead {
    /// When it ends unless it is used before; `None`: it has no idle end.
    pub fn idle_end(&self) -> Option<Timestamp> {
        self.kind.idle_seconds().map(|seconds| self.last_used_at.plus(seconds))
    }

    /// The browser or app that a device session belongs to, by a name that only its client sees: the hash of
    /// client and browser, so that two clients cannot find out that they see the same browser.
    pub fn fingerprint(&self) -> Option<String> {
        let hash = || {
            let parts = ["causeway device fingerprint", self.client_id.as_str(), self.browser_id.as_str()];
            URL_SAFE_NO_PAD.encode(Sha256::digest(parts.join("\0")))
        };
        (self.kind == SessionKind::Device).then(hash)
    }

    /// The handle that may be shown at `now`: not one whose verification is too old, since handles change
    /// hands.
    pub fn handle_at(&self, now: Timestamp) -> Option<&Handle> {
        self.handle.as_ref().filter(|_| self.verified_lately(now))
    }

    /// Whether the handle is to be looked up again when it is shown at `now`.
    pub fn handle_is_due(&self, now: Timestamp) -> bool {
        now.since(self.verified_at) >= HANDLE_SECONDS
    }

    /// Whether the last verification of its PDS still holds at `now` without a new one: a failed lookup says
    /// nothing about the account, but is tolerated for a limited time only.
    pub fn verified_lately(&self, now: Timestamp) -> bool {
        now.since(self.verified_at) < VERIFIED_SECONDS
    }

    /// The state at `now`: an idle session has ended whether or not a sweep has noticed.
    pub fn state_at(&self, now: Timestamp) -> SessionState {
        match self.idle_end() {
            Some(end) if end <= now => SessionState::Ended,
            _ => self.state,
        }
    }

    /// Whether grants of this session still hold: it serves, or would after a new sign-in.
    pub fn is_alive_at(&self, now: Timestamp) -> bool {
        matches!(self.state_at(now), SessionState::Active | SessionState::ReauthRequired)
    }
}

/// Result of looking up an account's handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandleCheck {
    /// The account's handle, verified in both directions.
    Verified(Handle),
    /// The account has no handle that verifies.
    None,
    /// The lookup failed: the known handle stays.
    Unknown,
}

/// One token set of a session: an iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSet {
    /// The upstream access token.
    pub access_token: Secret,
    /// The upstream refresh token: works once.
    pub refresh_token: Option<Secret>,
    /// When the upstream issued them.
    pub created_at: Timestamp,
    /// When the access token ends; `None` when the upstream did not say.
    pub expires_at: Option<Timestamp>,
    /// The scope that the upstream granted.
    pub scope: Scope,
    /// The private JWK of the DPoP key that the tokens are bound to, as JSON.
    pub dpop_key: Secret,
    /// The thumbprint of that key (RFC 7638).
    pub dpop_jkt: String,
}
