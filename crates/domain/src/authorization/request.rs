//! Authorization requests (RFC 6749 section 4.1.1), pushed (RFC 9126) or not.

use causeway_types::secret::DeviceCode;
use causeway_types::{
    AuthRequestId, BrowserSessionId, ClientId, CodeChallenge, CorrelationId, Did, Jkt, Prompts, RequestUri,
    Resources, ResponseMode, Scope, TenantId, Timestamp, TokenHash, UpstreamSessionId,
};

/// Seconds that an authorization request, and the upstream state it started, live at most.
pub const AUTH_REQUEST_SECONDS: i64 = 900;
/// Seconds that a pushed authorization request lives (RFC 9126 section 2.2).
pub const PAR_SECONDS: i64 = 300;

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
    pub fn session_owner(&self) -> BrowserSessionId {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_belongs_to_the_device_that_asked_for_it() {
        let request = |device_code| AuthRequest {
            id: AuthRequestId::new("r"),
            tenant_id: TenantId::default_tenant(),
            client_id: ClientId::new("c"),
            redirect_uri: String::new(),
            scope: Scope::atproto(),
            resources: Resources::default(),
            state: None,
            code_challenge: None,
            nonce: None,
            login_hint: None,
            response_mode: ResponseMode::Query,
            prompt: Prompts::default(),
            max_age: None,
            dpop_jkt: None,
            ui_locales: None,
            required_subs: Vec::new(),
            browser_id: BrowserSessionId::new("b"),
            request_uri: None,
            device_code,
            stage: AuthRequestStage::SignIn,
            correlation_id: None,
            created_at: Timestamp(0),
            expires_at: Timestamp(AUTH_REQUEST_SECONDS),
        };
        assert_eq!(request(None).session_owner(), BrowserSessionId::new("b"));
        let code: TokenHash<DeviceCode> = TokenHash::from_stored("hash");
        assert_eq!(request(Some(code.clone())).session_owner(), BrowserSessionId::of_device(&code));
    }
}
