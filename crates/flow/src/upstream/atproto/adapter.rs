//! The [keeper](crate::upstream::keeper)'s upstream over atproto: authorization servers and PDSes, and the token sets
//! that their answers become.

use causeway_atproto::{
    AtprotoClient, AuthorizationServer, Identity, Refusal, ResolveError, TokenAnswer, UpstreamIdentity,
    UpstreamTokenError,
};
use causeway_domain::Clock;
use causeway_domain::session::{HandleCheck, SessionHead, TokenSet};
use causeway_jose::EcKey;
use causeway_types::{Scope, Secret, Timestamp};

use crate::error::Internal;
use crate::operations::complaints::Complaints;
use crate::upstream::atproto::profile::UpstreamProfile;
use crate::upstream::traits::{Lookup, NoAnswer, RefreshFailure, Refreshed, Upstream};

/// The error for a session whose client key is not loaded any more.
const NO_KEY: &str = "the client key of this session is not loaded";

/// The authorization servers and PDSes of the atproto network.
pub(crate) struct AtprotoUpstream<'a> {
    pub(crate) client: &'a AtprotoClient,
    pub(crate) profile: &'a UpstreamProfile,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) complaints: &'a Complaints,
}

impl Upstream for AtprotoUpstream<'_> {
    type Server = AuthorizationServer;

    fn max_token_age(&self) -> Option<i64> {
        self.profile.max_token_age()
    }

    /// Resolves the account's DID document to its authorization server. Cached data alone never ends a
    /// session.
    async fn find_server(&self, head: &SessionHead) -> Lookup<AuthorizationServer> {
        let current = async || {
            let identity = self.client.resolve_did(&head.did).await?;
            let server = self.client.server_of_pds(&identity.pds).await?;
            let host = identity.pds.origin().ascii_serialization();
            Ok::<_, ResolveError>((server, host, handle_check(identity)))
        };
        let is_there = |(server, ..): &(AuthorizationServer, _, _)| server.issuer == head.upstream.issuer;
        let mut found = current().await;
        if found.as_ref().is_ok_and(|found| !is_there(found)) {
            self.client.forget(&head.did);
            found = current().await;
        }
        match found {
            Ok(found) if is_there(&found) => {
                let (server, host, handle) = found;
                Lookup::Same { server, host, handle }
            }
            Ok(_) => Lookup::Gone,
            Err(error) if error.is_gone() => {
                tracing::warn!(%error, "the account no longer exists");
                Lookup::Gone
            }
            Err(error @ ResolveError::DidNotFound) => {
                Lookup::Unknown(NoAnswer::definitely("did_not_found", error))
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
    ) -> Result<Refreshed, RefreshFailure> {
        let me = self.profile.identity(&head.upstream).ok_or(Internal::Inconsistent(NO_KEY))?;
        let dpop = EcKey::from_private_jwk(&tokens.dpop_key).map_err(Internal::from)?;
        let mut answer = self.client.refresh(server, &me, &dpop, refresh_token).await;
        if let Err(error) = &answer
            && error.refusal() == Some(Refusal::Request)
        {
            // Cached metadata may name a server that is no longer the right one: ask once more by fresh
            // metadata.
            tracing::warn!(%error, "upstream refresh refused: retrying with fresh metadata");
            let fresh = self.client.server_by_issuer_fresh(&head.upstream.issuer).await;
            let Ok(fresh) = fresh else { return Err(RefreshFailure::Passing { retry_after: None }) };
            answer = self.client.refresh(&fresh, &me, &dpop, refresh_token).await;
        }
        match answer {
            Ok(answer) if answer.sub.as_ref().is_some_and(|sub| *sub != head.did) => {
                tracing::warn!("a refresh returned tokens of another account");
                give_back(self.client, server, &me, &dpop, &answer).await;
                Err(RefreshFailure::Over)
            }
            Ok(answer) => {
                // An answer without a scope keeps the one before (RFC 6749 section 6).
                let scope = answer.scope.clone().unwrap_or_else(|| tokens.scope.clone());
                let flaw = answer.flaw;
                let now = self.clock.now();
                let tokens = token_set(&answer, scope, &tokens.dpop_key, &tokens.dpop_jkt, now);
                Ok(Refreshed { tokens, flaw })
            }
            Err(error) => Err(self.failure(head, &error)),
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

impl AtprotoUpstream<'_> {
    /// Classifies a failed refresh by its consequence for the session.
    fn failure(&self, head: &SessionHead, error: &UpstreamTokenError) -> RefreshFailure {
        let issuer = &head.upstream.issuer;
        match error.refusal() {
            Some(Refusal::Grant | Refusal::Request) => return RefreshFailure::Over,
            Some(Refusal::Ours) if self.complaints.is_new(issuer, self.clock.now()) => {
                let description = error.description();
                tracing::error!(
                    %error,
                    description,
                    issuer,
                    "this authorization server does not accept our client, its key or our clock, and refreshes no session; \
                     run `causeway doctor`"
                );
            }
            _ => tracing::warn!(%error, "upstream refresh failed; the session and its tokens are kept"),
        }
        match error {
            UpstreamTokenError::OAuth { error: with, .. } if !error.is_transient() => {
                RefreshFailure::Refused { with: with.clone() }
            }
            UpstreamTokenError::Malformed(_) => {
                RefreshFailure::Refused { with: "malformed_answer".to_owned() }
            }
            _ => RefreshFailure::Passing { retry_after: error.retry_after() },
        }
    }
}

/// The result of verifying an account's handle.
pub(crate) fn handle_check(identity: Identity) -> HandleCheck {
    match identity.handle {
        Some(handle) => HandleCheck::Verified(handle),
        None if identity.handle_unknown => HandleCheck::Unknown,
        None => HandleCheck::None,
    }
}

/// Builds the token set of a token response.
pub(crate) fn token_set(
    answer: &TokenAnswer,
    scope: Scope,
    dpop_key: &Secret,
    dpop_jkt: &str,
    now: Timestamp,
) -> TokenSet {
    TokenSet {
        access_token: answer.access_token.clone(),
        refresh_token: answer.refresh_token.clone(),
        created_at: now,
        expires_at: answer.expires_in.map(|seconds| now.plus(seconds)),
        scope,
        dpop_key: dpop_key.clone(),
        dpop_jkt: dpop_jkt.to_owned(),
    }
}

/// Revokes upstream tokens that will not be used. They are not stored, so this is tried only once.
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
