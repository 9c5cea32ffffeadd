//! Background maintenance: deletes expired rows.

use causeway_store::TenantScope;
use causeway_store::connections::{self, registrations, tenants};
use causeway_store::events;
use causeway_store::operations::audit;
use causeway_store::operations::sweep;
use causeway_store::operations::sweep::{ENDED_SESSION_SECONDS, SweepCount};
use causeway_store::sessions;

use crate::client::purge::purge;
use crate::connection::erase;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::events::EVENT_SECONDS;

/// Rows that one sweep step deletes from each table: few enough not to delay other writes.
const SWEEP_BATCH: i64 = 200;
/// Tenants whose deleted rows one round of the sweep looks at.
const TENANTS_OF_ROUND: usize = 20;

/// Seconds for which a registration stays that new authorizations do not use any more, and nobody else.
const UNUSED_REGISTRATION_SECONDS: i64 = 86_400;

/// Sweeps until nothing is left to sweep, including what is left of deleted clients.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep_all(ctx: &Ctx) -> Result<(), Internal> {
    while sweep(ctx).await?.more {}
    purge(ctx).await?;
    erase::erase_due(ctx).await?;
    sweep_tenants(ctx).await
}

/// Deletes for good what was deleted long ago in the next tenants of the round, so that a round costs the same however
/// many tenants there are.
async fn sweep_tenants(ctx: &Ctx) -> Result<(), Internal> {
    for _ in 0..TENANTS_OF_ROUND {
        let after = ctx.swept_tenant();
        let next = ctx.store().read(move |c| tenants::find_tenant_after(c, &after).map_err(Internal::from));
        let Some(tenant_id) = next.await? else {
            // The next round begins with the first one again.
            ctx.set_swept_tenant(String::new());
            return Ok(());
        };
        let (now, until) = (ctx.now(), ctx.now().plus(-ENDED_SESSION_SECONDS));
        let store = ctx.store().maintenance().in_tenant(&tenant_id);
        let unused = move |scope: &mut TenantScope<'_>| {
            let until = now.plus(-UNUSED_REGISTRATION_SECONDS);
            registrations::sweep_unused_registrations(scope, until, now, SWEEP_BATCH).map_err(Internal::from)
        };
        store.write(unused).await?;
        loop {
            let swept = store.write(move |scope| {
                connections::sweep::sweep_deleted(scope, until, SWEEP_BATCH).map_err(Internal::from)
            });
            if swept.await? == 0 {
                break;
            }
        }
        ctx.set_swept_tenant(tenant_id.into_string());
    }
    Ok(())
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
        .maintenance()
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
