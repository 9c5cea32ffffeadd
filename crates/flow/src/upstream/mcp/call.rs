//! How MCP servers are called: at the one address that they have, with the access token as a bearer token.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_domain::session::OtherKind;
use causeway_outbound::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use causeway_providers::CredentialKind;

use super::McpProvider;
use super::discovered::RECENT_SECONDS;
use crate::error::Internal;
use crate::upstream::oauth2::binding::OauthBinding;
use crate::upstream::relay::error::{CallError, RelayError, Resend};
use crate::upstream::relay::request::{CheckedTarget, RelayRequest, RelayTarget};
use crate::upstream::traits::{
    Answer, Called, Injected, Permit, PermitRequest, RefusedAgain, Strip, Verdict,
};
use crate::upstream::usable::UsableSession;

#[async_trait]
impl Called for McpProvider {
    async fn permit(
        &self,
        call: &PermitRequest<'_>,
        request: &mut RelayRequest,
    ) -> Result<Permit, RelayError> {
        if request.target != RelayTarget::Mcp || !request.query.is_empty() {
            return Err(OtherKind.into());
        }
        let binding = OauthBinding::of(&call.live.head)?;
        let fields = binding.field_values();
        let url = self.url(&fields).map_err(|error| {
            tracing::error!(%error, provider = self.oauth.name, "the address of an MCP server cannot be filled");
            Internal::Inconsistent("the address of an MCP server cannot be filled")
        })?;
        request.target = RelayTarget::Checked(Arc::new(CheckedTarget {
            url,
            endpoints: Vec::new(),
            fields,
            account: None,
            credential: CredentialKind::User,
            client_id: binding.client_id,
            client_secret: None,
        }));
        Ok(Permit { strip: Strip::Nothing, may_be_page: true, refused_again: RefusedAgain::RequireReauth })
    }

    fn inject(
        &self,
        live: &UsableSession,
        request: &RelayRequest,
        _: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<Injected, CallError> {
        let token = live.credentials.access.secret().expose();
        // A server without authorization is called without any.
        if !token.is_empty() {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Internal::Inconsistent("the access token cannot be in a header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let url = request.checked()?.url.clone();
        Ok(Injected { url, challenge: None, may_redirect: false, shows_path: false })
    }

    fn examine(&self, _: &RelayRequest, answer: Answer<'_>) -> Verdict {
        if answer.status == 401 { Verdict::CredentialsRefused } else { Verdict::Pass }
    }

    /// A server that refuses credentials may have changed its authorization server. It is asked before anything is renewed; a
    /// discovery that fails changes nothing.
    async fn second_chance(&self, live: &UsableSession, error: &CallError) -> Option<Resend> {
        if !matches!(error, CallError::CredentialsRefused) {
            return None;
        }
        let binding = OauthBinding::of(&live.head).ok()?;
        if let Ok(url) = self.url(&binding.field_values())
            && let Err(error) = self.discover(&url, RECENT_SECONDS).await
        {
            tracing::info!(%error, provider = self.oauth.name, "the authorization server was not discovered again");
        }
        Some(Resend::Token)
    }
}
