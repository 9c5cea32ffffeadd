//! People's own servers, as the [keeper](crate::keeper) sees them, and what becomes of the tokens that they
//! answer with.

use causeway_atproto::{AtprotoClient, AuthorizationServer, ResolveError, TokenAnswer, UpstreamIdentity};
use causeway_domain::session::{SessionHead, TokenSet};
use causeway_domain::{Clock, Secret, Timestamp};
use causeway_jose::EcKey;

use crate::error::Internal;
use crate::keeper::{Lookup, NoAnswer, RefreshFailure, Upstream};
use crate::upstream::UpstreamProfile;

/// Why we cannot speak for a session any more.
const NO_KEY: &str = "the client key of this session is not loaded";

/// People's own servers.
pub(crate) struct AtprotoUpstream<'a> {
    pub(crate) client: &'a AtprotoClient,
    pub(crate) profile: &'a UpstreamProfile,
    pub(crate) clock: &'a dyn Clock,
}

impl Upstream for AtprotoUpstream<'_> {
    type Server = AuthorizationServer;

    fn max_token_age(&self) -> Option<i64> {
        self.profile.max_token_age()
    }

    /// Follows the account's own document to its authorization server. What is cached is not enough to end a session.
    async fn find_server(&self, head: &SessionHead) -> Lookup<AuthorizationServer> {
        let current = async || {
            let identity = self.client.resolve_did(&head.did).await?;
            let server = self.client.server_of_pds(&identity.pds).await?;
            Ok::<_, ResolveError>((server, identity.pds.origin().ascii_serialization()))
        };
        let is_there = |(server, _): &(AuthorizationServer, _)| server.issuer == head.upstream.issuer;
        let mut found = current().await;
        if found.as_ref().is_ok_and(|found| !is_there(found)) {
            self.client.forget(&head.did);
            found = current().await;
        }
        match found {
            Ok(found) if is_there(&found) => Lookup::Same { server: found.0, host: found.1 },
            Ok(_) => Lookup::Gone,
            Err(error) if error.is_gone() => {
                tracing::warn!(%error, "the account is gone");
                Lookup::Gone
            }
            Err(error) => Lookup::Unknown(NoAnswer::because(error)),
        }
    }

    async fn bound_server(&self, head: &SessionHead) -> Result<AuthorizationServer, NoAnswer> {
        self.client.server_by_issuer(&head.upstream.issuer).await.map_err(NoAnswer::because)
    }

    async fn refresh(
        &self,
        server: &AuthorizationServer,
        head: &SessionHead,
        tokens: &TokenSet,
        refresh_token: &Secret,
    ) -> Result<TokenSet, RefreshFailure> {
        let me = self.profile.identity(&head.upstream).ok_or(Internal::Inconsistent(NO_KEY))?;
        let dpop = EcKey::from_private_jwk(&tokens.dpop_key).map_err(Internal::from)?;
        match self.client.refresh(server, &me, &dpop, refresh_token).await {
            Ok(answer) if answer.sub == head.did => {
                Ok(token_set(&answer, &tokens.dpop_key, &tokens.dpop_jkt, self.clock.now()))
            }
            Ok(answer) => {
                tracing::warn!("a refresh answered with another account");
                give_back(self.client, server, &me, &dpop, &answer).await;
                Err(RefreshFailure::Over)
            }
            Err(error) if error.is_invalid_grant() => Err(RefreshFailure::Over),
            Err(error) => {
                tracing::warn!(%error, "upstream refresh failed; everything is kept");
                Err(RefreshFailure::Passing { retry_after: error.retry_after() })
            }
        }
    }

    async fn revoke(&self, head: &SessionHead, tokens: &TokenSet) -> Result<(), NoAnswer> {
        let me = self.profile.identity(&head.upstream).ok_or_else(|| NoAnswer::because(NO_KEY))?;
        let server = self.bound_server(head).await?;
        let dpop = EcKey::from_private_jwk(&tokens.dpop_key).map_err(NoAnswer::because)?;
        let token = tokens.refresh_token.as_ref().unwrap_or(&tokens.access_token);
        self.client.revoke(&server, &me, &dpop, token).await.map_err(NoAnswer::because)
    }
}

/// The token set that an answer makes.
pub(crate) fn token_set(answer: &TokenAnswer, dpop_key: &Secret, dpop_jkt: &str, now: Timestamp) -> TokenSet {
    TokenSet {
        access_token: answer.access_token.clone(),
        refresh_token: answer.refresh_token.clone(),
        created_at: now,
        expires_at: answer.expires_in.map(|seconds| now.plus(seconds)),
        scope: answer.scope.clone(),
        dpop_key: dpop_key.clone(),
        dpop_jkt: dpop_jkt.to_owned(),
    }
}

/// Gives back tokens that nobody will use. Nothing of them is stored, so one try is all there is.
pub(crate) async fn give_back(
    client: &AtprotoClient,
    server: &AuthorizationServer,
    me: &UpstreamIdentity<'_>,
    dpop: &EcKey,
    answer: &TokenAnswer,
) {
    let token = answer.refresh_token.as_ref().unwrap_or(&answer.access_token);
    if let Err(error) = client.revoke(server, me, dpop, token).await {
        tracing::warn!(%error, "unused upstream tokens were not revoked");
    }
}
