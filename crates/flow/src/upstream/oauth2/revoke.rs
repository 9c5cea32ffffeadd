//! Giving access back. Where a revocation ends everything that a user granted to us, nothing is sent while another
//! connection lives of the same grant, whoever's it is.

use causeway_domain::session::{Credentials, SessionHead};
use causeway_providers::Reach;
use causeway_providers::oauth::{Revoked, RevokedTokens};
use causeway_types::{TenantId, UpstreamSessionId};

use super::OauthProvider;
use super::binding::OauthBinding;
use super::kept::Bound;
use super::sealed::Kept;
use crate::error::Internal;
use crate::upstream::traits::{NoAnswer, Redeemed};

/// Credentials of managed accounts that are read at once.
const PAGES: i64 = 50;

impl OauthProvider {
    /// Gives back the credentials of a session that has ended, or that were replaced, with those of managed accounts that
    /// went with them.
    pub(super) async fn revoke_session(
        &self,
        head: &SessionHead,
        credentials: &Credentials,
    ) -> Result<(), NoAnswer> {
        let bound = self.bound(head).await.map_err(NoAnswer::because)?;
        let pages = self.revoke_pages(head, &bound).await;
        self.revoke_user(head, &bound, credentials).await?;
        pages
    }

    async fn revoke_user(
        &self,
        head: &SessionHead,
        bound: &Bound,
        credentials: &Credentials,
    ) -> Result<(), NoAnswer> {
        let others = self.is_granted_to_others(&bound.binding, head.subject(), Some(head));
        if others.await.map_err(NoAnswer::because)? {
            tracing::info!("the grant at the provider stays: another connection lives of it");
            return Ok(());
        }
        self.send_revocation(&head.tenant_id, bound, &revoked(credentials)).await
    }

    /// Gives back the credentials of managed accounts, each once. Where a revocation ends the whole grant, they end with it.
    async fn revoke_pages(&self, head: &SessionHead, bound: &Bound) -> Result<(), NoAnswer> {
        loop {
            let pages =
                self.registrations.list_deleted_pages(head, PAGES).await.map_err(NoAnswer::because)?;
            if pages.is_empty() {
                return Ok(());
            }
            for (id, credentials) in pages {
                if self.reach() == Reach::Token {
                    self.send_revocation(&head.tenant_id, bound, &revoked(&credentials)).await?;
                }
                self.registrations.erase_page(head, id).await.map_err(NoAnswer::because)?;
            }
        }
    }

    /// Gives back what a provider issued for an authorization that was not completed. Without an account nobody knows
    /// whose grant it is: then nothing is sent where that would end others.
    pub(super) async fn give_back_kept(
        &self,
        tenant_id: &TenantId,
        redeemed: &Redeemed,
    ) -> Result<(), NoAnswer> {
        let kept = Kept::read(redeemed).map_err(NoAnswer::because)?;
        let pages = kept.answer.pages.iter().filter(|_| self.reach() == Reach::Token);
        let issued: Vec<_> =
            kept.answer.tokens().into_iter().chain(pages.map(|page| page.tokens.tokens())).collect();
        if issued.is_empty() {
            return Ok(());
        }
        let (bound, kept) = self.bound_of(tenant_id, kept).await.map_err(NoAnswer::because)?;
        if self.reach() == Reach::Grant {
            let Some(subject) = self.subject(&bound, &kept).await? else {
                tracing::warn!(
                    provider = self.name,
                    "tokens of an unknown account are not revoked: that could end connections of others"
                );
                return Ok(());
            };
            let others = self.is_granted_to_others(&bound.binding, &subject, None);
            if others.await.map_err(NoAnswer::because)? {
                return Ok(());
            }
        }
        for tokens in &issued {
            let tokens = RevokedTokens {
                access_token: &tokens.access_token,
                refresh_token: tokens.refresh_token.as_ref(),
            };
            self.send_revocation(tenant_id, &bound, &tokens).await?;
        }
        Ok(())
    }

    fn reach(&self) -> Reach {
        self.oauth().map_or(Reach::Grant, |client| client.revocation.reach)
    }

    /// Whether another connection lives of the grant that a revocation would end. `own` is the session that was ended; one
    /// that has not ended lives of it itself.
    async fn is_granted_to_others(
        &self,
        binding: &OauthBinding,
        subject: &str,
        own: Option<&SessionHead>,
    ) -> Result<bool, Internal> {
        if self.reach() == Reach::Token {
            return Ok(false);
        }
        let live = self.registrations.list_connections_to_account(&self.name, subject).await?;
        let is_ended = |id: &UpstreamSessionId| own.is_some_and(|own| own.session_id == *id && !is_live(own));
        let is_of_grant = |other: &SessionHead| {
            OauthBinding::of(other).is_ok_and(|other| {
                other.client_id == binding.client_id && other.token_endpoint == binding.token_endpoint
            })
        };
        Ok(live.iter().any(|other| !is_ended(&other.session_id) && is_of_grant(other)))
    }

    async fn send_revocation(
        &self,
        tenant_id: &TenantId,
        bound: &Bound,
        tokens: &RevokedTokens<'_>,
    ) -> Result<(), NoAnswer> {
        let client = self.client_definition().map_err(NoAnswer::because)?;
        let fields = bound.binding.field_values();
        let context = bound.context(client, &fields);
        let discovered = bound.binding.revocation_endpoint.as_ref();
        match self.client.revoke(&context, discovered, tokens).await.map_err(NoAnswer::because)? {
            Revoked::Done | Revoked::NotPossible => Ok(()),
            Revoked::Refused { status } => {
                tracing::warn!(status, tenant = %tenant_id, provider = self.name, "a revocation was refused");
                Err(NoAnswer::because(format!("status {status}")))
            }
            Revoked::Passing { .. } => Err(NoAnswer::because("it asked to try later")),
        }
    }
}

fn revoked(credentials: &Credentials) -> RevokedTokens<'_> {
    RevokedTokens {
        access_token: credentials.access.secret(),
        refresh_token: credentials.refresh_token.as_ref(),
    }
}

fn is_live(head: &SessionHead) -> bool {
    head.state != causeway_types::SessionState::Ended
}
