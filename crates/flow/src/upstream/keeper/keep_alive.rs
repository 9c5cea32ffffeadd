//! Keeps unused background sessions alive: each is refreshed long before its refresh token expires at the
//! authorization server, so that a job which runs once in a while finds it working.
//!
//! All processes share the work. Each claims due sessions in the database, a few at a time; if it dies, the
//! rest become due for others again. Every refresh goes through the [`keeper`](crate::upstream::keeper), whose lease
//! decides.

use causeway_domain::session::{SessionHead, keep_alive_again_at};
use causeway_store::sessions::upkeep;
use futures_util::future::join_all;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::keeper;
use crate::upstream::session::SessionError;

/// Sessions per claim: few, so that other processes get some, too. All are refreshed at once.
const BATCH: i64 = 8;
/// Seconds that a claim lasts: longer than a refresh takes.
const CLAIM_SECONDS: i64 = 900;

/// Refreshes every session that is due, and says how many there were. A failure puts its own session off and
/// no other.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.keep_alive", skip_all)]
pub async fn refresh_due_sessions(ctx: &Ctx) -> Result<usize, Internal> {
    let mut count = 0;
    loop {
        let now = ctx.now();
        let until = now.plus(CLAIM_SECONDS);
        let due = ctx
            .store()
            .write(move |c| upkeep::claim_due_refreshes(c, now, until, BATCH).map_err(Internal::from))
            .await?;
        if due.is_empty() {
            return Ok(count);
        }
        count += due.len();
        join_all(due.iter().map(|head| refresh_or_postpone(ctx, head))).await;
    }
}

/// Refreshes one session, or schedules another try.
async fn refresh_or_postpone(ctx: &Ctx, head: &SessionHead) {
    let error = match keeper::refresh_unused(ctx, head).await {
        // The next due time is committed with its tokens, and an ended session is never due again.
        Ok(_) | Err(SessionError::Ended | SessionError::ReauthRequired { .. }) => return,
        Err(error) => error,
    };
    tracing::info!(session = %head.session_id, %error, "the refresh of a background session is postponed");
    let pause = match error {
        SessionError::Unavailable { retry_after } => retry_after,
        _ => 0,
    };
    let (id, due) = (head.session_id.clone(), keep_alive_again_at(ctx.now(), pause, ctx.jitter()));
    let put_off =
        ctx.store().write(move |c| upkeep::schedule_refresh(c, &id, due).map_err(Internal::from)).await;
    if let Err(error) = put_off {
        tracing::warn!(%error, "a refresh is due again only when its claim expires");
    }
}
