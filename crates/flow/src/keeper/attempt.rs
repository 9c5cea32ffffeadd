//! One try to refresh a session, by whoever holds its lease.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use causeway_domain::session::{SessionHead, TokenSet};
use causeway_domain::upkeep::{Cooldown, keep_alive_at};
use causeway_domain::{SessionKind, Timestamp};
use causeway_store::audit::{Actor, insert_audit_event};
use causeway_store::events::{self, EventKind};
use causeway_store::{AnyConnection, sessions, upkeep};
use futures_util::future::{Either, select};
use tokio::time::{sleep, timeout};

use super::upstream::{Lookup, NoAnswer, RefreshFailure, Upstream};
use super::{LEASE_SECONDS, Look, RETRY_SECONDS, look};
use crate::audit;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::maintenance;
use crate::session::{SessionError, reauth_required};

/// How long the look-ups before a refresh may take together.
pub(super) const LOOKUP_PATIENCE: Duration = Duration::from_secs(20);

/// How often the lease is renewed meanwhile.
const LEASE_RENEWAL: Duration = Duration::from_secs(1);

/// What a try needs.
pub(super) struct Attempt<'a, U> {
    pub(super) ctx: &'a Ctx,
    pub(super) upstream: U,
    /// The head as it stands under the lease.
    pub(super) head: SessionHead,
    /// The lease.
    pub(super) fence: i64,
}

/// The way from the account to its server.
struct Way<S> {
    server: S,
    /// When it was walked just now: the host that it passes.
    verified: Option<Verified>,
}

/// A host that the account itself names, and that belongs to the session's server.
#[derive(Clone)]
struct Verified {
    host: String,
    at: Timestamp,
}

impl<U: Upstream> Attempt<'_, U> {
    pub(super) async fn run(self) -> Result<SessionHead, SessionError> {
        let Self { ctx, upstream, head, .. } = &self;
        let (ring, id, iteration) = (ctx.ring(), head.session_id.clone(), head.iteration);
        let tokens = ctx
            .store()
            .read(move |c| sessions::find_token_set(c, &ring, &id, iteration).map_err(Internal::from))
            .await?
            .ok_or(Internal::Inconsistent("the head's token set is gone"))?;
        let Some(refresh_token) = &tokens.refresh_token else { return self.require_reauth().await };
        let way = match timeout(LOOKUP_PATIENCE, self.find_way()).await {
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
        match upstream.refresh(&way.server, head, &tokens, refresh_token).await {
            Ok(mut answer) => {
                // Without one of its own, the one that was sent goes on.
                answer.refresh_token.get_or_insert_with(|| refresh_token.clone());
                let kept = self.keep(&answer, way.verified).await;
                if let Err(SessionError::Ended) = &kept {
                    self.give_back(&answer).await?;
                }
                kept
            }
            Err(RefreshFailure::Over) => self.require_reauth().await,
            Err(RefreshFailure::Passing { retry_after }) => self.put_off(retry_after, way.verified).await,
            Err(RefreshFailure::Internal(error)) => Err(error.into()),
        }
    }

    /// The way to the server that the session began at, `None` when the account is not there any more. A
    /// look-up that fails says nothing about the account: the binding goes on that was verified in the last
    /// 24 hours.
    async fn find_way(&self) -> Result<Option<Way<U::Server>>, NoAnswer> {
        let Self { ctx, upstream, head, .. } = self;
        match upstream.find_server(head).await {
            Lookup::Same { server, host } => {
                Ok(Some(Way { server, verified: Some(Verified { host, at: ctx.now() }) }))
            }
            Lookup::Gone => Ok(None),
            Lookup::Unknown(error) if head.verified_lately(ctx.now()) => {
                tracing::warn!(%error, "the account does not resolve at the moment");
                Ok(Some(Way { server: upstream.bound_server(head).await?, verified: None }))
            }
            Lookup::Unknown(error) => Err(error),
        }
    }

    /// Commits the answer before anybody uses it.
    async fn keep(&self, answer: &TokenSet, verified: Option<Verified>) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, .. } = self;
        let now = ctx.now();
        let keep = (head.kind == SessionKind::Background)
            .then(|| keep_alive_at(&head.upstream.auth, now, ctx.dice()));
        // Not advanced: an earlier try did commit after all, somebody else moved the head, or the session
        // has ended. The head tells which.
        let writing = ctx.write_answer(|| {
            let (ring, id, from) = (ctx.ring(), head.session_id.clone(), head.iteration);
            let (fresh, verified) = (answer.clone(), verified.clone());
            move |c: &mut AnyConnection| {
                let advanced = sessions::advance_session(c, &ring, &id, from, &fresh, now)?;
                if let Some(Verified { host, at }) = verified.as_ref().filter(|_| advanced) {
                    upkeep::note_verified(c, &id, host, *at)?;
                }
                if let Some(due) = keep.filter(|_| advanced) {
                    upkeep::schedule_refresh(c, &id, due)?;
                }
                Ok(())
            }
        });
        match select(pin!(writing), pin!(self.hold_lease())).await {
            Either::Left((written, _)) => written?,
            Either::Right((never, _)) => match never {},
        }
        match look(ctx, head).await? {
            Look::Moved(head) => Ok(head),
            Look::Same(_) => Err(Internal::Inconsistent("the head did not move").into()),
        }
    }

    /// Renews the lease for as long as the database does not take the answer: whoever took it over would send the
    /// refresh token that is spent. Where the lease is not written either, nobody can take it over.
    async fn hold_lease(&self) -> Infallible {
        let Self { ctx, head, fence, .. } = self;
        loop {
            sleep(LEASE_RENEWAL).await;
            let (id, fence, until) = (head.session_id.clone(), *fence, ctx.now().plus(LEASE_SECONDS));
            let renew = move |c: &mut _| sessions::renew_lease(c, &id, fence, until).map_err(Internal::from);
            if let Err(error) = ctx.store().write(renew).await {
                tracing::warn!(%error, "the lease of a refresh was not renewed");
            }
        }
    }

    /// The session ended while the answer was under way: its tokens are revoked in place of those that they follow.
    async fn give_back(&self, answer: &TokenSet) -> Result<(), Internal> {
        let Self { ctx, head, .. } = self;
        let now = ctx.now();
        ctx.write_answer(|| {
            let (ring, id, from) = (ctx.ring(), head.session_id.clone(), head.iteration);
            let answer = answer.clone();
            move |c: &mut AnyConnection| Ok(sessions::owe_revocation(c, &ring, &id, from, &answer, now)?)
        })
        .await?;
        maintenance::revoke_due_soon(ctx);
        Ok(())
    }

    /// The person has to sign in again, unless somebody else has moved the head.
    async fn require_reauth(&self) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, fence, .. } = self;
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
        let Self { ctx, head, fence, .. } = self;
        let dice = ctx.dice();
        let (id, iteration, fence, now) = (head.session_id.clone(), head.iteration, *fence, ctx.now());
        let act = audit::act(ctx, Actor::Server, "refresh", "failed").of_session(head);
        let cooldown = ctx
            .store()
            .write(move |c| {
                if let Some(Verified { host, at }) = &verified {
                    upkeep::note_verified(c, &id, host, *at)?;
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
