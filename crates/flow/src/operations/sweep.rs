//! Background maintenance: deletes expired rows and revokes ended sessions upstream.

use std::time::Duration;

use causeway_domain::UpstreamSessionId;
use causeway_domain::session::SessionHead;
use causeway_store::events;
use causeway_store::operations::audit;
use causeway_store::operations::sweep;
use causeway_store::operations::sweep::SweepCount;
use causeway_store::sessions;
use causeway_store::sessions::ClaimedRevocation;
use futures_util::future::join_all;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::logout::backchannel;
use crate::operations::events::EVENT_SECONDS;
use crate::operations::operator::Operator;
use crate::upstream::keeper::{NoAnswer, Upstream as _};

/// Rows that one sweep step deletes from each table: few enough not to hold up other writes.
const SWEEP_BATCH: i64 = 200;
/// Sessions that one step revokes upstream, concurrently.
const REVOKE_BATCH: i64 = 20;
/// Seconds until a failed upstream revocation is retried.
const REVOKE_RETRY_SECONDS: i64 = 300;
/// Seconds for which one process claims a revocation: longer than it takes to resolve and call the
/// authorization server.
const REVOKE_CLAIM_SECONDS: i64 = 120;
/// Tries after which a revocation is given up: two weeks, by when a public client's session has ended by
/// itself at its authorization server.
const REVOKE_TRIES: i64 = 14 * 86_400 / REVOKE_RETRY_SECONDS;
/// How long a request waits for the authorization server to take a revocation that is already committed.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sweeps until nothing is left to sweep, including what is left of deleted clients.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep_all(ctx: &Ctx) -> Result<(), Internal> {
    while sweep(ctx).await?.more {}
    purge(ctx).await
}

/// Deletes one batch of expired rows and ends sessions that were idle for too long.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.sweep", skip_all)]
pub async fn sweep(ctx: &Ctx) -> Result<SweepCount, Internal> {
    let (now, history) = (ctx.now(), ctx.history());
    let acts_until = ctx.audit_seconds().map(|seconds| now.plus(-seconds));
    let swept = ctx
        .store()
        .patient()
        .write(move |c| {
            let mut swept = sweep::sweep_expired(c, now, SWEEP_BATCH)?;
            if let Some(until) = acts_until {
                let events = audit::sweep_audit_events(c, until, SWEEP_BATCH)?;
                swept.deleted += events;
                swept.more |= i64::try_from(events).is_ok_and(|events| events >= SWEEP_BATCH);
            }
            let past = sessions::sweep_history(c, history, now, SWEEP_BATCH)?;
            swept.deleted += past;
            swept.more |= i64::try_from(past).is_ok_and(|past| past >= SWEEP_BATCH);
            let told = events::sweep_events(c, now.plus(-EVENT_SECONDS), SWEEP_BATCH)?;
            swept.deleted += told;
            swept.more |= i64::try_from(told).is_ok_and(|told| told >= SWEEP_BATCH);
            Ok::<_, Internal>(swept)
        })
        .await?;
    ctx.stats().note_sweep(swept, now);
    Ok(swept)
}

/// Steps of the deletion of a client that follow the request at once; the rest waits for the next [`purge`].
const PURGE_SOON: usize = 20;

/// Ends the sessions of deleted clients and deletes their rows, a batch at a time, until none are left.
///
/// # Errors
/// When the database does not answer.
pub async fn purge(ctx: &Ctx) -> Result<(), Internal> {
    purge_steps(ctx, usize::MAX).await
}

#[tracing::instrument(name = "flow.purge", skip_all)]
async fn purge_steps(ctx: &Ctx, most: usize) -> Result<(), Internal> {
    let (mut sessions, mut rows) = (0, 0);
    for _ in 0..most {
        let purged = Operator::over_http(ctx).purge().await?;
        if purged.is_done() {
            break;
        }
        sessions += purged.sessions;
        rows += purged.rows;
    }
    if sessions + rows > 0 {
        tracing::info!(sessions, rows, "what is left of deleted clients goes");
    }
    Ok(())
}

/// Starts [`purge`] and the revocations that follow from it, without waiting for them.
pub(crate) fn purge_soon(ctx: &Ctx) {
    let detached = ctx.clone();
    ctx.start(async move {
        if let Err(error) = purge_steps(&detached, PURGE_SOON).await {
            tracing::warn!(%error, "what is left of a deleted client goes later");
        }
        revoke_due_soon(&detached);
    });
}

/// Revokes ended sessions at their authorization servers, a batch at a time, until none is due. A failure
/// postpones only its own session. All processes share the work: each claims what is due; if it dies, its
/// claims become due for the others again.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.revoke_due", skip_all)]
pub async fn revoke_due(ctx: &Ctx) -> Result<(), Internal> {
    loop {
        let now = ctx.now();
        let due = ctx
            .store()
            .write(move |c| {
                let until = now.plus(REVOKE_CLAIM_SECONDS);
                sessions::claim_due_revocations(c, now, until, REVOKE_BATCH).map_err(Internal::from)
            })
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        for outcome in join_all(due.iter().map(|claimed| revoke_upstream(ctx, claimed))).await {
            outcome?;
        }
    }
}

/// Starts [`revoke_due`] without waiting for it; clients are notified meanwhile.
pub(crate) fn revoke_due_soon(ctx: &Ctx) {
    backchannel::deliver_soon(ctx);
    let detached = ctx.clone();
    ctx.start(async move {
        if let Err(error) = revoke_due(&detached).await {
            tracing::warn!(%error, "upstream revocations are left for later");
        }
    });
}

/// Revokes one ended session at its authorization server right away, and waits a moment for that; its client
/// is notified meanwhile. The session is marked as due in the database: if this fails, [`revoke_due`] does it
/// later.
pub(crate) async fn revoke_soon(ctx: &Ctx, session_id: &UpstreamSessionId) {
    backchannel::deliver_soon(ctx);
    let (detached, session_id) = (ctx.clone(), session_id.clone());
    let task = ctx.start(async move {
        if let Err(error) = revoke_ended(&detached, session_id).await {
            tracing::warn!(%error, "upstream revocation is left for later");
        }
    });
    if tokio::time::timeout(REVOKE_TIMEOUT, task).await.is_err() {
        tracing::info!("the person's server is slow to take the revocation: it goes on in the background");
    }
}

async fn revoke_ended(ctx: &Ctx, session_id: UpstreamSessionId) -> Result<(), Internal> {
    let now = ctx.now();
    let claimed = ctx
        .store()
        .write(move |c| {
            let until = now.plus(REVOKE_CLAIM_SECONDS);
            sessions::claim_revocation(c, &session_id, now, until).map_err(Internal::from)
        })
        .await?;
    match claimed {
        Some(claimed) => revoke_upstream(ctx, &claimed).await,
        None => Ok(()),
    }
}

/// Revokes a session's current tokens at its authorization server, then wipes them; or postpones that.
#[tracing::instrument(
    name = "flow.revoke_upstream",
    skip_all,
    fields(
        correlation_id = claimed.head.correlation_id.as_ref().map(tracing::field::display),
        session.kind = claimed.head.kind.as_str(),
    )
)]
async fn revoke_upstream(ctx: &Ctx, claimed: &ClaimedRevocation) -> Result<(), Internal> {
    let head = &claimed.head;
    let id = head.session_id.clone();
    let Err(reason) = try_revoke(ctx, head).await else {
        tracing::info!(session = %id, "session revoked at its server");
        return complete(ctx, head).await;
    };
    let (mine, until) = (claimed.clone(), ctx.now().plus(REVOKE_RETRY_SECONDS));
    let tries = ctx
        .store()
        .write(move |c| sessions::postpone_revocation(c, &mine, until).map_err(Internal::from))
        .await?;
    // Another process has claimed it by now.
    let Some(tries) = tries else { return Ok(()) };
    if tries < REVOKE_TRIES {
        tracing::warn!(session = %id, %reason, tries, "session not revoked at its server yet");
        return Ok(());
    }
    tracing::warn!(session = %id, %reason, tries, "session not revoked at its server: given up");
    complete(ctx, head).await
}

async fn complete(ctx: &Ctx, head: &SessionHead) -> Result<(), Internal> {
    let (id, iteration) = (head.session_id.clone(), head.iteration);
    ctx.store().write(move |c| sessions::complete_revocation(c, &id, iteration).map_err(Internal::from)).await
}

/// `Ok`: there is nothing left to revoke.
async fn try_revoke(ctx: &Ctx, head: &SessionHead) -> Result<(), NoAnswer> {
    let (ring, id, iteration) = (ctx.ring(), head.session_id.clone(), head.iteration);
    let tokens = ctx
        .store()
        .read(move |c| sessions::find_token_set(c, &ring, &id, iteration).map_err(Internal::from))
        .await
        .map_err(NoAnswer::because)?;
    let Some(tokens) = tokens else { return Ok(()) };
    ctx.upstream().revoke(head, &tokens).await
}
