//! New authorization requests, whoever begins them.

use causeway_domain::authorization::{AUTH_REQUEST_SECONDS, AuthRequest, AuthRequestStage};
use causeway_domain::client::{Client, ReplayKey};
use causeway_types::{
    AuthRequestId, BrowserSessionId, CodeChallenge, Did, Jkt, Prompts, Resources, ResponseMode, Scope,
    Timestamp,
};

/// A request that passed all checks, not yet bound to a browser.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValidRequest {
    pub(crate) redirect_uri: String,
    pub(crate) scope: Scope,
    pub(crate) resources: Resources,
    pub(crate) state: Option<String>,
    pub(crate) code_challenge: Option<CodeChallenge>,
    pub(crate) nonce: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) response_mode: ResponseMode,
    pub(crate) prompt: Prompts,
    pub(crate) max_age: Option<i64>,
    pub(crate) dpop_jkt: Option<Jkt>,
    pub(crate) ui_locales: Option<String>,
    pub(crate) required_subs: Vec<Did>,
    /// The request object that it came in.
    pub(crate) object: Option<ReplayKey>,
}

impl ValidRequest {
    /// Binds the request to the browser that it begins in.
    pub(crate) fn begin(
        self,
        id: AuthRequestId,
        client: &Client,
        browser: &BrowserSessionId,
        now: Timestamp,
    ) -> AuthRequest {
        AuthRequest {
            id,
            tenant_id: client.tenant_id.clone(),
            client_id: client.client_id.clone(),
            redirect_uri: self.redirect_uri,
            scope: self.scope,
            resources: self.resources,
            state: self.state,
            code_challenge: self.code_challenge,
            nonce: self.nonce,
            login_hint: self.login_hint,
            response_mode: self.response_mode,
            prompt: self.prompt,
            max_age: self.max_age,
            dpop_jkt: self.dpop_jkt,
            ui_locales: self.ui_locales,
            required_subs: self.required_subs,
            browser_id: browser.clone(),
            request_uri: None,
            device_code: None,
            stage: AuthRequestStage::SignIn,
            correlation_id: None,
            created_at: now,
            expires_at: now.plus(AUTH_REQUEST_SECONDS),
        }
    }
}
