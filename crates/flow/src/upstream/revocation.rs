//! Revocation of ended sessions at the authorization servers where they began.
//!
//! The end of a session marks it as due in the database, in the same transaction. It is revoked at once where
//! a request ends it, and otherwise, or when that fails, in the background.

use std::time::Duration;

use causeway_domain::session::SessionHead;
use causeway_store::sessions;
use causeway_store::sessions::ClaimedRevocation;
use causeway_types::UpstreamSessionId;
use futures_util::future::join_all;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::logout::backchannel;
use crate::upstream::connect::kept_answer;
use crate::upstream::traits::NoAnswer;

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
            return kept_answer::give_back_due(ctx).await;
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
            tracing::warn!(%error, "upstream revocations are postponed");
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
            tracing::warn!(%error, "an upstream revocation is postponed");
        }
    });
    if tokio::time::timeout(REVOKE_TIMEOUT, task).await.is_err() {
        tracing::info!(
            "the authorization server is slow to respond: the revocation continues in the background"
        );
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
        tracing::info!(session = %id, "session revoked upstream");
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
        tracing::warn!(session = %id, %reason, tries, "upstream revocation failed: it is retried");
        return Ok(());
    }
    tracing::warn!(session = %id, %reason, tries, "upstream revocation failed: abandoned");
    complete(ctx, head).await
}

async fn complete(ctx: &Ctx, head: &SessionHead) -> Result<(), Internal> {
    let (id, iteration) = (head.session_id.clone(), head.iteration);
    ctx.store().write(move |c| sessions::complete_revocation(c, &id, iteration).map_err(Internal::from)).await
}

/// `Ok`: there is nothing left to revoke.
async fn try_revoke(ctx: &Ctx, head: &SessionHead) -> Result<(), NoAnswer> {
    let (ring, wanted) = (ctx.ring(), head.clone());
    let credentials = ctx
        .store()
        .read(move |c| sessions::find_credentials(c, &ring, &wanted).map_err(Internal::from))
        .await
        .map_err(NoAnswer::because)?;
    let Some(credentials) = credentials else { return Ok(()) };
    ctx.upstreams().of(head).map_err(NoAnswer::because)?.revoke(head, &credentials).await
}
