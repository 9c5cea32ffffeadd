//! Storing answers of authorization servers.

use std::time::Duration;

use causeway_domain::Backoff;
use causeway_store::{AnyConnection, TenantScope};
use causeway_types::TenantId;
use tokio::time::{Instant, sleep};

use crate::ctx::Ctx;
use crate::error::Internal;

/// How long the write of an upstream answer is retried while the database rejects it: it may take a while
/// until somebody notices a full disk.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(30);
/// The pauses between these attempts.
const ANSWER_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Writes an answer of an authorization server, which gives it only once: while the database rejects it,
/// the write is retried, since giving up would lose the answer.
pub(crate) async fn write_answer<T, F>(ctx: &Ctx, mut make: impl FnMut() -> F) -> Result<T, Internal>
where
    T: Send + 'static,
    F: FnMut(&mut AnyConnection) -> Result<T, Internal> + Send + 'static,
{
    retried(|| ctx.store().write(make())).await
}

/// Same as [`write_answer`], for the rows of one tenant.
pub(crate) async fn write_tenant_answer<T, F>(
    ctx: &Ctx,
    tenant_id: &TenantId,
    mut make: impl FnMut() -> F,
) -> Result<T, Internal>
where
    T: Send + 'static,
    F: FnMut(&mut TenantScope<'_>) -> Result<T, Internal> + Send + 'static,
{
    let store = ctx.store().in_tenant(tenant_id);
    retried(|| store.write(make())).await
}

async fn retried<T, W>(mut write: impl FnMut() -> W) -> Result<T, Internal>
where
    W: Future<Output = Result<T, Internal>>,
{
    let started = Instant::now();
    let mut failures = 0;
    loop {
        match write().await {
            Err(error) if error.may_pass() && started.elapsed() < ANSWER_TIMEOUT => {
                tracing::error!(%error, "an upstream response could not be committed yet: retrying");
                failures += 1;
                sleep(ANSWER_BACKOFF.pause(failures)).await;
            }
            done => return done,
        }
    }
}
