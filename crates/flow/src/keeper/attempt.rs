//! One try to refresh a session, by whoever holds its lease.

use std::time::Duration;

use causeway_atproto::{AuthorizationServer, ResolveError, TokenAnswer};
use causeway_domain::session::{SessionHead, TokenSet};
use causeway_domain::upkeep::{Cooldown, keep_alive_at};
use causeway_domain::{SessionKind, Timestamp};
use causeway_jose::EcKey;
use causeway_store::audit::{Actor, insert_audit_event};
use causeway_store::events::{self, EventKind};
use causeway_store::{AnyConnection, sessions, upkeep};
use tokio::time::timeout;

use super::{Look, RETRY_SECONDS, look};
use crate::audit;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::session::{SessionError, reauth_required};
use crate::upstream::{give_back, token_set};

/// How long the look-ups before a refresh may take together.
pub(super) const LOOKUP_PATIENCE: Duration = Duration::from_secs(20);

/// What a try needs.
pub(super) struct Attempt<'a> {
    pub(super) ctx: &'a Ctx,
    /// The head as it stands under the lease.
    pub(super) head: SessionHead,
    /// The lease.
    pub(super) fence: i64,
}

/// The way from the account to the authorization server.
struct Way {
    server: AuthorizationServer,
    /// When it was walked just now: the PDS that it passes.
    verified: Option<Verified>,
}

/// A PDS that the account's own document names, and whose authorization server is the session's.
#[derive(Clone)]
struct Verified {
    pds: String,
    at: Timestamp,
}

impl Attempt<'_> {
    pub(super) async fn run(self) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, .. } = &self;
        let (ring, id, iteration) = (ctx.ring(), head.session_id.clone(), head.iteration);
        let tokens = ctx
            .store()
            .read(move |c| sessions::find_token_set(c, &ring, &id, iteration).map_err(Internal::from))
            .await?
            .ok_or(Internal::Inconsistent("the head's token set is gone"))?;
        let Some(refresh_token) = &tokens.refresh_token else { return self.require_reauth().await };
        let way = match timeout(LOOKUP_PATIENCE, self.find_server()).await {
            Ok(Ok(Some(way))) => way,
            Ok(Ok(None)) => {
                tracing::warn!("the account moved to another server");
                return self.require_reauth().await;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the way to the account's server is not known");
                return self.put_off(None, None).await;
            }
            Err(_) => {
                tracing::warn!("looking the account up took too long");
                return self.put_off(None, None).await;
            }
        };
        let me = ctx
            .upstream()
            .identity(&head.upstream)
            .ok_or(Internal::Inconsistent("the client key of this session is not loaded"))?;
        let dpop = EcKey::from_private_jwk(&tokens.dpop_key).map_err(Internal::from)?;
        match ctx.atproto().refresh(&way.server, &me, &dpop, refresh_token).await {
            Ok(answer) if answer.sub == head.did => {
                let kept = self.keep(&tokens, &answer, way.verified).await;
                if let Err(SessionError::Ended) = &kept {
                    // Ended while the answer was under way: nobody holds the new tokens.
                    give_back(ctx, &way.server, &me, &dpop, &answer).await;
                }
                kept
            }
            Ok(_) => {
                tracing::error!("a refresh answered with another account");
                self.require_reauth().await
            }
            Err(error) if error.is_invalid_grant() => self.require_reauth().await,
            Err(error) => {
                tracing::warn!(%error, "upstream refresh failed; everything is kept");
                self.put_off(error.retry_after(), way.verified).await
            }
        }
    }

    /// The authorization server that the session began at, `None` when the account's own document now
    /// leads to another one. A look-up that fails says nothing about the account: the binding goes on
    /// that was verified in the last 24 hours.
    async fn find_server(&self) -> Result<Option<Way>, ResolveError> {
        let Self { ctx, head, .. } = self;
        let current = async {
            let identity = ctx.atproto().resolve_did(&head.did).await?;
            let server = ctx.atproto().server_of_pds(&identity.pds).await?;
            Ok::<_, ResolveError>((server, identity.pds.origin().ascii_serialization()))
        };
        match current.await {
            Ok((server, _)) if server.issuer != head.upstream.issuer => Ok(None),
            Ok((server, pds)) => Ok(Some(Way { server, verified: Some(Verified { pds, at: ctx.now() }) })),
            Err(error) if error.is_upstream_fault() && head.verified_lately(ctx.now()) => {
                tracing::warn!(%error, "the account does not resolve at the moment");
                let server = ctx.atproto().server_by_issuer(&head.upstream.issuer).await?;
                Ok(Some(Way { server, verified: None }))
            }
            Err(error) if error.is_upstream_fault() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the account does not resolve any more");
                Ok(None)
            }
        }
    }

    /// Commits the answer before anybody uses it.
    async fn keep(
        &self,
        old: &TokenSet,
        answer: &TokenAnswer,
        verified: Option<Verified>,
    ) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, .. } = self;
        let now = ctx.now();
        let mut fresh = token_set(answer, &old.dpop_key, &old.dpop_jkt, now);
        if fresh.refresh_token.is_none() {
            fresh.refresh_token.clone_from(&old.refresh_token);
        }
        let keep = (head.kind == SessionKind::Background)
            .then(|| keep_alive_at(&head.upstream.auth, now, ctx.dice()));
        // Not advanced: an earlier try did commit after all, somebody else moved the head, or the session
        // has ended. The head tells which.
        ctx.write_answer(|| {
            let (ring, id, from) = (ctx.ring(), head.session_id.clone(), head.iteration);
            let (fresh, verified) = (fresh.clone(), verified.clone());
            move |c: &mut AnyConnection| {
                let advanced = sessions::advance_session(c, &ring, &id, from, &fresh, now)?;
                if let Some(Verified { pds, at }) = verified.as_ref().filter(|_| advanced) {
                    upkeep::note_verified(c, &id, pds, *at)?;
                }
                if let Some(due) = keep.filter(|_| advanced) {
                    upkeep::schedule_refresh(c, &id, due)?;
                }
                Ok(())
            }
        })
        .await?;
        match look(ctx, head).await? {
            Look::Moved(head) => Ok(head),
            Look::Same(_) => Err(Internal::Inconsistent("the head did not move").into()),
        }
    }

    /// The person has to sign in again, unless somebody else has moved the head.
    async fn require_reauth(&self) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, fence } = self;
        let (id, iteration, fence, now) = (head.session_id.clone(), head.iteration, *fence, ctx.now());
        let act = audit::act(ctx, Actor::Server, "refresh", "reauth_required").of_session(head);
        let ended = ctx
            .store()
            .write(move |c| {
                let ended = sessions::require_reauth(c, &id, iteration, fence)?;
                if ended {
                    events::note_session(c, &id, EventKind::ReauthRequired, now)?;
                    insert_audit_event(c, &act)?;
                }
                Ok::<_, Internal>(ended)
            })
            .await?;
        if ended { Err(reauth_required(ctx, head)) } else { self.look_again().await }
    }

    /// Everything is kept, and nobody asks again before a pause is over.
    async fn put_off(
        &self,
        retry_after: Option<u64>,
        verified: Option<Verified>,
    ) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, fence } = self;
        let dice = ctx.dice();
        let (id, iteration, fence, now) = (head.session_id.clone(), head.iteration, *fence, ctx.now());
        let act = audit::act(ctx, Actor::Server, "refresh", "failed").of_session(head);
        let cooldown = ctx
            .store()
            .write(move |c| {
                if let Some(Verified { pds, at }) = &verified {
                    upkeep::note_verified(c, &id, pds, *at)?;
                }
                let pause = |before: Cooldown| before.after_failure(now, retry_after, dice);
                let cooldown = upkeep::note_refresh_failure(c, &id, iteration, fence, pause)?;
                if let Some(cooldown) = &cooldown {
                    insert_audit_event(c, &act.clone().with("failures", cooldown.failures))?;
                }
                Ok::<_, Internal>(cooldown)
            })
            .await?;
        match cooldown {
            Some(cooldown) => {
                tracing::info!(failures = cooldown.failures, "the next refresh has to wait");
                Err(SessionError::Unavailable {
                    retry_after: cooldown.seconds_left(now).unwrap_or(RETRY_SECONDS),
                })
            }
            None => self.look_again().await,
        }
    }

    /// Somebody else has the lease or has moved the head.
    async fn look_again(&self) -> Result<SessionHead, SessionError> {
        match look(self.ctx, &self.head).await? {
            Look::Moved(head) => Ok(head),
            Look::Same(_) => Err(SessionError::Busy { retry_after: RETRY_SECONDS }),
        }
    }
}
