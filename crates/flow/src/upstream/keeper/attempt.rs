//! One attempt to refresh a session, by the holder of its lease.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use causeway_domain::connection::Connection;
use causeway_domain::session::{
    ATPROTO, Cooldown, Credentials, Policy, REFUSED_SECONDS, Renewable, Renewal, SessionHead,
};
use causeway_store::connections::{heads, reconnect};
use causeway_store::events::{self, EventKind};
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_store::sessions::upkeep::{self, FailedRefresh};
use causeway_store::{AnyConnection, TenantScope};
use causeway_types::{SessionState, Timestamp, UpstreamSessionId};
use futures_util::future::{Either, select};
use tokio::time::{sleep, timeout};

use super::absorbed;
use super::head::{Evaluation, evaluate};
use super::lease::{HeldLease, LEASE_SECONDS};
use super::reason::Reason;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::answer::{write_answer, write_tenant_answer};
use crate::upstream::revocation;
use crate::upstream::session::{RETRY_SECONDS, SessionError, reauth_required};
use crate::upstream::traits::{BindingUpdate, CredentialsUpdate, Located, RenewalFailure, Renewed, Upstream};

/// How long the look-up before a refresh may take.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest time that a renewal may take: far beyond the timeouts of any client. An answer that was given up may
/// have brought the only credentials that are left.
pub const RENEWAL_TIMEOUT: Duration = Duration::from_mins(5);

/// Nobody else takes the lease over before it is renewed for the first time.
const _: () = assert!(LOOKUP_TIMEOUT.as_secs() + 30 <= LEASE_SECONDS.unsigned_abs());

/// How often the lease is renewed meanwhile.
const LEASE_RENEWAL: Duration = Duration::from_secs(1);

/// Seconds after which the refusal of a reusable refresh token is confirmed.
const CONFIRM_SECONDS: u64 = 60;

/// An attempt and its inputs.
pub(super) struct RefreshAttempt<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) upstream: &'a dyn Upstream,
    /// The head as it stands under the lease.
    pub(super) head: SessionHead,
    pub(super) lease: &'a HeldLease,
    pub(super) reason: Reason,
}

/// A failure that leaves the session as it is for now.
#[derive(Default)]
struct Setback {
    /// Seconds that the server asked to wait.
    retry_after: Option<u64>,
    /// News about the account, which is stored all the same.
    update: Option<BindingUpdate>,
    /// The definite answer, if there was one.
    refused_with: Option<String>,
    /// Whether the same answer ends the session when it is given again.
    to_confirm: bool,
}

/// The consequence of a failed refresh.
enum AfterFailure {
    /// A later try may succeed.
    Pause(Cooldown),
    /// The session is over.
    Over(Over),
    /// Another holder has the lease or has moved the head.
    Overtaken,
}

/// Why a session is over although no answer said so.
#[derive(Clone, Copy)]
enum Over {
    /// Definite answers have refused it for [`REFUSED_SECONDS`].
    RefusedForLong,
    /// An answer that had to be confirmed was given again.
    Confirmed,
}

/// The lease once an answer is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterStoring {
    /// Released in the same transaction.
    Release,
    /// Kept for what follows.
    Keep,
}

impl RefreshAttempt<'_> {
    pub(super) async fn run(self) -> Result<SessionHead, SessionError> {
        let Self { ctx, upstream, head, reason, .. } = &self;
        if *reason == Reason::Rejected {
            return self.require_reauth(head.iteration).await;
        }
        let (ring, wanted) = (ctx.ring(), head.clone());
        let credentials = ctx
            .store()
            .read(move |c| sessions::find_credentials(c, &ring, &wanted).map_err(Internal::from))
            .await?
            .ok_or(Internal::Inconsistent("the head's credentials are missing"))?;
        let policy = upstream.policy(head, &credentials);
        match policy.renewable(&credentials, ctx.now()) {
            Renewable::Yes => {}
            Renewable::NotYet if *reason != Reason::Refused => {
                self.postpone(policy).await?;
                return Ok(self.head);
            }
            Renewable::NotYet | Renewable::Never => return self.require_reauth(head.iteration).await,
        }
        let update = match timeout(LOOKUP_TIMEOUT, upstream.locate(head)).await {
            Ok(Located::Here { update }) => update,
            Ok(Located::Gone) => {
                tracing::warn!("the account moved to another server");
                return self.require_reauth(head.iteration).await;
            }
            Ok(Located::Unknown(error)) => {
                tracing::warn!(%error, "the account's authorization server could not be determined");
                let refused_with = error.definite.map(str::to_owned);
                return self.put_off(policy, Setback { refused_with, ..Setback::default() }).await;
            }
            Err(_) => {
                tracing::warn!("resolving the account took too long");
                return self.put_off(policy, Setback::default()).await;
            }
        };
        match self.renew(&credentials).await {
            Ok(Renewed { credentials: mut answer, flaw, update: news, onto }) => {
                // An answer without a refresh token keeps the one that was sent.
                answer.refresh_token = answer.refresh_token.or(credentials.refresh_token);
                let lease = if flaw.is_none() { AfterStoring::Release } else { AfterStoring::Keep };
                let kept = self.store(&answer, onto, news.or(update), lease).await;
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
            // A reusable token is not spent by its use, so a refusal is believed only when it is repeated.
            Err(RenewalFailure::Over { with }) if policy.renewal == Renewal::Reusable => {
                let retry_after = Some(CONFIRM_SECONDS);
                let refused_with = Some(with);
                self.put_off(policy, Setback { retry_after, update, refused_with, to_confirm: true }).await
            }
            Err(RenewalFailure::Over { with }) => {
                tracing::info!(answer = with, "the upstream has ended the session");
                self.require_reauth(head.iteration).await
            }
            Err(RenewalFailure::Refused { with }) => {
                let refused_with = Some(with);
                self.put_off(policy, Setback { update, refused_with, ..Setback::default() }).await
            }
            Err(RenewalFailure::Rejected) => {
                let event = self.audit_event("rejected");
                ctx.store().write(move |c| Ok::<_, Internal>(insert_audit_event(c, &event)?)).await?;
                Err(SessionError::RefreshRejected)
            }
            Err(RenewalFailure::Passing { retry_after }) => {
                self.put_off(policy, Setback { retry_after, update, ..Setback::default() }).await
            }
            Err(RenewalFailure::Internal(error)) => Err(error.into()),
        }
    }

    /// Asks the provider, and holds the lease as long as that takes: a refresh token that another process sends while an
    /// answer is on its way is spent twice.
    async fn renew(&self, credentials: &Credentials) -> Result<Renewed, RenewalFailure> {
        let renewing = timeout(self.ctx.renewal_timeout(), self.upstream.renew(&self.head, credentials));
        self.holding_lease(renewing).await.unwrap_or_else(|_| {
            tracing::warn!("the provider did not answer in time: it may have renewed the credentials");
            Err(RenewalFailure::Passing { retry_after: None })
        })
    }

    /// Commits the answer before anybody uses it.
    async fn store(
        &self,
        answer: &Credentials,
        onto: Option<CredentialsUpdate>,
        update: Option<BindingUpdate>,
        then: AfterStoring,
    ) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, lease, .. } = self;
        let now = ctx.now();
        let keep = (head.idle_end().is_none())
            .then(|| self.upstream.policy(head, answer).keep_alive_at(now, ctx.jitter()))
            .flatten();
        // Not advanced: an earlier try did commit after all, another holder moved the head, or the session
        // has ended. The head tells which.
        let writing = write_answer(ctx, || {
            let (ring, id, from) = (ctx.ring(), head.session_id.clone(), head.iteration);
            let (fresh, update, fence) = (answer.clone(), update.clone(), lease.fence);
            let (onto, head) = (onto.clone(), head.clone());
            move |c: &mut AnyConnection| {
                let fresh = match &onto {
                    Some(onto) => {
                        absorbed::onto_current(c, &ring, &head, onto)?.unwrap_or_else(|| fresh.clone())
                    }
                    None => fresh.clone(),
                };
                let advanced = sessions::advance_session(c, &ring, &id, from, &fresh, now)?;
                if let Some(update) = update.as_ref().filter(|_| advanced) {
                    update.store(c, &id)?;
                }
                if let Some(due) = keep.filter(|_| advanced) {
                    upkeep::schedule_refresh(c, &id, due)?;
                }
                if advanced && then == AfterStoring::Release {
                    sessions::release_lease_along(c, &id, fence)?;
                }
                Ok(advanced)
            }
        });
        let advanced = self.holding_lease(writing).await?;
        if advanced && then == AfterStoring::Release {
            lease.note_released();
        }
        if !advanced && head.provider() != ATPROTO {
            self.give_back_displaced(answer).await?;
        }
        match evaluate(ctx, head).await? {
            Evaluation::Moved(head) => Ok(head),
            Evaluation::Same(_) => Err(Internal::Inconsistent("the head did not move").into()),
        }
    }

    /// Waits for `work` and renews the lease meanwhile: a process that took it over would send a refresh token that is
    /// spent. While the lease cannot be written either, no process can take it over.
    async fn holding_lease<T>(&self, work: impl Future<Output = T>) -> T {
        match select(pin!(work), pin!(self.hold_lease())).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn hold_lease(&self) -> Infallible {
        let Self { ctx, head, lease, .. } = self;
        loop {
            sleep(LEASE_RENEWAL).await;
            let (id, fence, until) = (head.session_id.clone(), lease.fence, ctx.now().plus(LEASE_SECONDS));
            let renew = move |c: &mut _| sessions::renew_lease(c, &id, fence, until).map_err(Internal::from);
            if let Err(error) = ctx.store().write(renew).await {
                tracing::warn!(%error, "the lease of a refresh was not renewed");
            }
        }
    }

    /// Enqueues the revocation of an answer whose session ended meanwhile, in place of the tokens that it
    /// replaces.
    async fn give_back(&self, answer: &Credentials) -> Result<(), Internal> {
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

    /// Has an answer revoked that came after the user had connected the account again: it renews an authorization that the
    /// connection does not use any more.
    async fn give_back_displaced(&self, answer: &Credentials) -> Result<(), Internal> {
        let Self { ctx, head, .. } = self;
        let is_due = write_tenant_answer(ctx, &head.tenant_id, || {
            let (ring, head, answer, now) = (ctx.ring(), head.clone(), answer.clone(), ctx.now());
            let revoked_id = UpstreamSessionId::issued(ctx.rng(), ctx.unix_millis());
            move |scope: &mut TenantScope<'_>| {
                let Some(found) = heads::find_connection(scope, &head.session_id)? else { return Ok(false) };
                // Each authorization has a correlation identifier of its own.
                let is_displaced = found.head.correlation_id != head.correlation_id;
                if found.head.state == SessionState::Ended || !is_displaced {
                    return Ok(false);
                }
                let displaced = Connection { head: head.clone(), ..found };
                reconnect::enqueue_displaced(scope, &ring, &displaced, &revoked_id, &answer, now)?;
                Ok(true)
            }
        });
        if is_due.await? {
            revocation::revoke_due_soon(ctx);
        }
        Ok(())
    }

    /// Marks the session as `reauth_required`, unless another holder has moved the head past this iteration.
    async fn require_reauth(&self, iteration: i64) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, lease, .. } = self;
        let (id, fence, now) = (head.session_id.clone(), lease.fence, ctx.now());
        let event = self.audit_event("reauth_required");
        let ended = ctx.store().write(move |c| note_reauth(c, &id, iteration, fence, now, &event)).await?;
        if ended { Err(reauth_required(ctx, head)) } else { self.look_again().await }
    }

    fn audit_event(&self, outcome: &'static str) -> AuditEvent {
        audit::event(self.ctx, Actor::Server, "refresh", outcome).of_session(&self.head)
    }

    /// Keeps the credentials and pauses refreshes. The session ends when definite answers have refused it for too
    /// long, or when an answer that had to be confirmed was given again.
    async fn put_off(&self, policy: Policy, setback: Setback) -> Result<SessionHead, SessionError> {
        let Self { ctx, head, .. } = self;
        let jitter = ctx.jitter();
        let (id, iteration, fence, now) =
            (head.session_id.clone(), head.iteration, self.lease.fence, ctx.now());
        let (failed, over) = (self.audit_event("failed"), self.audit_event("reauth_required"));
        let consequence = ctx
            .store()
            .write(move |c| {
                let Setback { retry_after, update, refused_with, to_confirm } = &setback;
                if let Some(update) = update {
                    update.store(c, &id)?;
                }
                let pause = |before: Cooldown| policy.pause_after(before, now, *retry_after, jitter);
                let refused_with = refused_with.as_deref();
                let refresh = FailedRefresh { session_id: &id, iteration, fence, refused_with, at: now };
                let Some(failures) = upkeep::note_refresh_failure(c, refresh, pause)? else {
                    return Ok(AfterFailure::Overtaken);
                };
                let is_long = failures.refused_since.is_some_and(|at| now.since(at) >= REFUSED_SECONDS);
                let why = if *to_confirm && failures.is_repeated {
                    Some(Over::Confirmed)
                } else {
                    (refused_with.is_some() && is_long).then_some(Over::RefusedForLong)
                };
                if let Some(why) = why
                    && note_reauth(c, &id, iteration, fence, now, &over)?
                {
                    return Ok(AfterFailure::Over(why));
                }
                insert_audit_event(c, &failed.clone().with("failures", failures.cooldown.failures))?;
                Ok::<_, Internal>(AfterFailure::Pause(failures.cooldown))
            })
            .await?;
        match consequence {
            AfterFailure::Pause(cooldown) => {
                tracing::info!(failures = cooldown.failures, "the next refresh is delayed");
                Err(SessionError::Unavailable {
                    retry_after: cooldown.seconds_left(now).unwrap_or(RETRY_SECONDS),
                })
            }
            AfterFailure::Over(why) => {
                match why {
                    Over::RefusedForLong => {
                        tracing::warn!("refreshes were refused for a week: the user has to sign in again");
                    }
                    Over::Confirmed => {
                        tracing::warn!("a refresh was refused twice alike: the user has to sign in again");
                    }
                }
                Err(reauth_required(ctx, head))
            }
            AfterFailure::Overtaken => self.look_again().await,
        }
    }

    /// Has an unused session looked at again after its usual time, since it cannot be renewed yet.
    async fn postpone(&self, policy: Policy) -> Result<(), SessionError> {
        let Self { ctx, head, reason, .. } = self;
        let due = policy.keep_alive_at(ctx.now(), ctx.jitter());
        let (Some(due), Reason::Kept) = (due, *reason) else { return Ok(()) };
        let id = head.session_id.clone();
        Ok(ctx.store().write(move |c| upkeep::schedule_refresh(c, &id, due).map_err(Internal::from)).await?)
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
