//! How connections at MCP servers are kept: as those of their authorization server, as long as it is the same one.

use async_trait::async_trait;
use causeway_domain::session::{Credentials, Policy, SessionHead};

use super::McpProvider;
use crate::upstream::oauth2::binding::OauthBinding;
use crate::upstream::traits::{Kept, Located, NoAnswer, RenewalFailure, Renewed};

#[async_trait]
impl Kept for McpProvider {
    fn policy(&self, head: &SessionHead, credentials: &Credentials) -> Policy {
        self.oauth.policy(head, credentials)
    }

    /// By what discovery has named last. Nothing is asked for a refresh: the stored endpoints serve.
    async fn locate(&self, head: &SessionHead) -> Located {
        if OauthBinding::of(head).is_ok_and(|binding| self.has_moved(&binding)) {
            tracing::warn!(
                provider = self.oauth.name,
                "the server names another authorization server: its credentials are sent to neither of the two"
            );
            return Located::Gone;
        }
        Located::Here { update: None }
    }

    async fn renew(&self, head: &SessionHead, credentials: &Credentials) -> Result<Renewed, RenewalFailure> {
        self.oauth.renew(head, credentials).await
    }

    async fn revoke(&self, head: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer> {
        let binding = OauthBinding::of(head).map_err(NoAnswer::because)?;
        if binding.issuer.is_none() || self.has_moved(&binding) {
            // There is nothing to give back, or nobody to give it to.
            return Ok(());
        }
        self.oauth.revoke(head, credentials).await
    }

    fn sign_in_url(&self, issuer: &str, head: &SessionHead) -> String {
        self.oauth.sign_in_url(issuer, head)
    }
}

impl McpProvider {
    /// Whether the last discovery named another authorization server than that of a connection.
    fn has_moved(&self, binding: &OauthBinding) -> bool {
        let Ok(url) = self.url(&binding.field_values()) else { return false };
        self.discovered.names_another(&url, binding.issuer.as_deref())
    }
}
