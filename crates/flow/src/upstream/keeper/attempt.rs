//! One attempt to refresh a session, by the holder of its lease.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use causeway_domain::session::{Cooldown, REFUSED_SECONDS, SessionHead, TokenSet, keep_alive_at};
use causeway_store::AnyConnection;
use causeway_store::events::{self, EventKind};
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_store::sessions::upkeep;
use causeway_store::sessions::upkeep::{FailedRefresh, VerifiedAccount};
use causeway_types::{SessionKind, Timestamp, UpstreamSessionId};
use futures_util::future::{Either, select};
use tokio::time::{sleep, timeout};

use super::head::{Evaluation, evaluate};
use super::lease::LEASE_SECONDS;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::answer::write_answer;
use crate::upstream::revocation;
use crate::upstream::session::{RETRY_SECONDS, SessionError, reauth_required};
use crate::upstream::traits::{Lookup, NoAnswer, RefreshFailure, Refreshed, Upstream};

/// How long the look-ups before a refresh may take together.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);

/// How often the lease is renewed meanwhile.
const LEASE_RENEWAL: Duration = Duration::from_secs(1);

/// An attempt and its inputs.
pub(super) struct RefreshAttempt<'a, U> {
    pub(super) ctx: &'a Ctx,
    pub(super) upstream: U,
    /// The head as it stands under the lease.
    pub(super) head: SessionHead,
    /// The lease.
    pub(super) fence: i64,
}

/// The resolved server of an account.
struct VerifiedRoute<S> {
    server: S,
    /// The verified account, if it was resolved just now.
    verified: Option<VerifiedAccount>,
}

/// The consequence of a failed refresh.
enum Verdict {
    /// A later try may succeed.
    Pause(Cooldown),
    /// The session has failed with definite answers for too long.
    Over,
    /// Another holder has the lease or has moved the head.
    Overtaken,
}

impl<U: Upstream> RefreshAttempt<'_, U> {
    pub(super) async fn run(self) -> Result<SessionHead, SessionError> {
        let Self { ctx, upstream, head, .. } = &self;
        let (ring, id, iteration) = (ctx.ring(), head.session_id.clone(), head.iteration);
        let tokens = ctx
            .store()
            .read(move |c| sessions::find_token_set(c, &ring, &id, iteration).map_err(Internal::from))
            .await?
            .ok_or(Internal::Inconsistent("the head's token set is missing"))?;
        let Some(refresh_token) = &tokens.refresh_token else {
            return self.require_reauth(head.iteration).await;
        };
        let route = match timeout(LOOKUP_TIMEOUT, self.find_route()).await {
            Ok(Ok(Some(route))) => route,
            Ok(Ok(None)) => {
                tracing::warn!("the account moved to another PDS");
                return self.require_reauth(head.iteration).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the account's authorization server could not be determined");
                return self.put_off(None, None, error.definite).await;
            }
            Err(_) => {
                tracing::warn!("resolving the account took too long");
                return self.put_off(None, None, None).await;
            }
        };
        match upstream.refresh(&route.server, head, &tokens, refresh_token).await {
            Ok(Refreshed { tokens: mut answer, flaw }) => {
                // An answer without a refresh token keeps the one that was sent.
                answer.refresh_token.get_or_insert_with(|| refresh_token.clone());
                let kept = self.store(&answer, route.verified).await;
                match (&kept, flaw) {
                    (Err(SessionError::Ended), _) => self.give_back(&answer).await?,
                    (Ok(_), Some(flaw)) => {
                        tracing::error!(
                            flaw,
                            "the tokens of a refresh cannot be used: they are stored, and the user has to sign in again"
                        );
                        return self.require_reauth(head.iteration.saturating_add(1)).await;
                    }
                    _ => {}
                }
                kept
            }
            Err(RefreshFailure::Over) => self.require_reauth(head.iteration).await,
            Err(RefreshFailure::Refused { with }) => self.put_off(None, route.verified, Some(&with)).await,
            Err(RefreshFailure::Passing { retry_after }) => {
                self.put_off(retry_after, route.verified, None).await
            }
            Err(RefreshFailure::Internal(error)) => Err(error.into()),
        }
    }

    /// Resolves the server that the session began at; `None` when the account is not there any more. A failed
    /// look-up says nothing about the account: a binding that was verified in the last 24 hours stays in use.
    async fn find_route(&self) -> Result<Option<VerifiedRoute<U::Server>>, NoAnswer> {
        let Self { ctx, upstream, head, .. } = self;
        match upstream.find_server(head).await {
            Lookup::Same { server, host, handle } => {
                let verified = VerifiedAccount { pds: host, handle, at: ctx.now() };
                Ok(Some(VerifiedRoute { server, verified: Some(verified) }))
            }
            Lookup::Gone => Ok(None),
            Lookup::Unknown(error) if head.verified_lately(ctx.now()) => {
                tracing::warn!(%error, "the account cannot be resolved at the moment");
                Ok(Some(VerifiedRoute { server: upstream.bound_server(head).await?, verified: None }))
            }
            Lookup::Unknown(error) => Err(error),
        }
    }

    /// Commits the answer before anybody uses it.
    async fn store(
        &self,
        answer: &TokenSet,
        verified: Option<VerifiedAccount>,
    ) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, .. } = self;
        let now = ctx.now();
        let keep = (head.kind == SessionKind::Background)
            .then(|| keep_alive_at(&head.upstream.auth, now, ctx.jitter()));
        // Not advanced: an earlier try did commit after all, another holder moved the head, or the session
        // has ended. The head tells which.
        let writing = write_answer(ctx, || {
            let (ring, id, from) = (ctx.ring(), head.session_id.clone(), head.iteration);
            let (fresh, verified) = (answer.clone(), verified.clone());
            move |c: &mut AnyConnection| {
                let advanced = sessions::advance_session(c, &ring, &id, from, &fresh, now)?;
                if let Some(verified) = verified.as_ref().filter(|_| advanced) {
                    upkeep::note_verified(c, &id, verified)?;
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
        match evaluate(ctx, head).await? {
            Evaluation::Moved(head) => Ok(head),
            Evaluation::Same(_) => Err(Internal::Inconsistent("the head did not move").into()),
        }
    }

    /// Renews the lease while the database rejects the answer: a process that took it over would send the
    /// spent refresh token. While the lease cannot be written either, no process can take it over.
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

    /// Enqueues the revocation of an answer whose session ended meanwhile, in place of the tokens that it
    /// replaces.
    async fn give_back(&self, answer: &TokenSet) -> Result<(), Internal> {
        let Self { ctx, head, .. } = self;
        let now = ctx.now();
        write_answer(ctx, || {
            let (ring, id, from) = (ctx.ring(), head.session_id.clone(), head.iteration);
            let answer = answer.clone();
            move |c: &mut AnyConnection| Ok(sessions::enqueue_revocation(c, &ring, &id, from, &answer, now)?)
        })
        .await?;
        revocation::revoke_due_soon(ctx);
        Ok(())
    }

    /// Marks the session as `reauth_required`, unless another holder has moved the head past this iteration.
    async fn require_reauth(&self, iteration: i64) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, fence, .. } = self;
        let (id, fence, now) = (head.session_id.clone(), *fence, ctx.now());
        let event = self.audit_event("reauth_required");
        let ended = ctx.store().write(move |c| note_reauth(c, &id, iteration, fence, now, &event)).await?;
        if ended { Err(reauth_required(ctx, head)) } else { self.look_again().await }
    }

    fn audit_event(&self, outcome: &'static str) -> AuditEvent {
        audit::event(self.ctx, Actor::Server, "refresh", outcome).of_session(&self.head)
    }

    /// Keeps the tokens and pauses refreshes, unless the session was `refused_with` definite answers for so
    /// long that the user has to sign in again.
    async fn put_off(
        &self,
        retry_after: Option<u64>,
        verified: Option<VerifiedAccount>,
        refused_with: Option<&str>,
    ) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, fence, .. } = self;
        let jitter = ctx.jitter();
        let (id, iteration, fence, now) = (head.session_id.clone(), head.iteration, *fence, ctx.now());
        let (failed, over) = (self.audit_event("failed"), self.audit_event("reauth_required"));
        let refused_with = refused_with.map(str::to_owned);
        let verdict = ctx
            .store()
            .write(move |c| {
                if let Some(verified) = &verified {
                    upkeep::note_verified(c, &id, verified)?;
                }
                let pause = |before: Cooldown| before.after_failure(now, retry_after, jitter);
                let refused_with = refused_with.as_deref();
                let refresh = FailedRefresh { session_id: &id, iteration, fence, refused_with, at: now };
                let Some(failures) = upkeep::note_refresh_failure(c, refresh, pause)? else {
                    return Ok(Verdict::Overtaken);
                };
                let is_long = failures.refused_since.is_some_and(|at| now.since(at) >= REFUSED_SECONDS);
                if refused_with.is_some() && is_long && note_reauth(c, &id, iteration, fence, now, &over)? {
                    return Ok(Verdict::Over);
                }
                insert_audit_event(c, &failed.clone().with("failures", failures.cooldown.failures))?;
                Ok::<_, Internal>(Verdict::Pause(failures.cooldown))
            })
            .await?;
        match verdict {
            Verdict::Pause(cooldown) => {
                tracing::info!(failures = cooldown.failures, "the next refresh is delayed");
                Err(SessionError::Unavailable {
                    retry_after: cooldown.seconds_left(now).unwrap_or(RETRY_SECONDS),
                })
            }
            Verdict::Over => {
                tracing::warn!("refreshes were refused for a week: the user has to sign in again");
                Err(reauth_required(ctx, head))
            }
            Verdict::Overtaken => self.look_again().await,
        }
    }

    /// Reads the head again after another holder has taken the lease or moved the head.
    async fn look_again(&self) -> Result<SessionHead, SessionError> {
        match evaluate(self.ctx, &self.head).await? {
            Evaluation::Moved(head) => Ok(head),
            Evaluation::Same(_) => Err(SessionError::Busy { retry_after: RETRY_SECONDS }),
        }
    }
}

/// Marks a session as `reauth_required` and records that; `false`: another holder was first.
fn note_reauth(
    c: &mut AnyConnection,
    id: &UpstreamSessionId,
    iteration: i64,
    fence: i64,
    now: Timestamp,
    event: &AuditEvent,
) -> Result<bool, Internal> {
    let ended = sessions::require_reauth(c, id, iteration, fence)?;
    if ended {
        events::note_session(c, id, EventKind::ReauthRequired, now)?;
        insert_audit_event(c, event)?;
    }
    Ok(ended)
}
