//! What happens without a request: expired rows go, ended sessions are revoked upstream.

use causeway_domain::session::SessionHead;
use causeway_domain::{SessionKind, SessionState, UpstreamSessionId};
use causeway_jose::EcKey;
use causeway_store::sweep::SweepCount;
use causeway_store::{sessions, sweep};
use tracing::Instrument as _;

use crate::ctx::Ctx;
use crate::error::Internal;

/// Rows that one sweep step deletes of each table: few enough not to hold other writes up.
const SWEEP_BATCH: i64 = 200;
/// Sessions that one step revokes upstream.
const REVOKE_BATCH: i64 = 20;
/// Seconds until an upstream revocation that failed is tried again.
const REVOKE_RETRY_SECONDS: i64 = 300;

/// One round of everything: sweeps until nothing is left to sweep, then revokes what is due.
///
/// # Errors
/// When the database does not answer.
pub async fn run(ctx: &Ctx) -> Result<(), Internal> {
    while sweep(ctx).await?.more {}
    while revoke_due(ctx).await? == usize::try_from(REVOKE_BATCH).unwrap_or(usize::MAX) {}
    Ok(())
}

/// Deletes one batch of expired rows and ends sessions that were idle for too long.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.sweep", skip_all)]
pub async fn sweep(ctx: &Ctx) -> Result<SweepCount, Internal> {
    let now = ctx.now();
    ctx.store().write(move |c| sweep::sweep_expired(c, now, SWEEP_BATCH).map_err(Internal::from)).await
}

/// Revokes a batch of ended sessions at their servers; returns how many were due.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.revoke_due", skip_all)]
pub async fn revoke_due(ctx: &Ctx) -> Result<usize, Internal> {
    let now = ctx.now();
    let due = ctx
        .store()
        .read(move |c| sessions::due_revocations(c, now, REVOKE_BATCH).map_err(Internal::from))
        .await?;
    let count = due.len();
    for head in due {
        revoke_upstream(ctx, &head).await?;
    }
    Ok(count)
}

/// Revokes one ended session at its server right away. The session is marked as due in the
/// database, so a failure here only means that [`revoke_due`] does it later.
pub(crate) async fn revoke_now(ctx: &Ctx, session_id: &UpstreamSessionId) {
    let (ctx, session_id) = (ctx.clone(), session_id.clone());
    let task = async move {
        let (tenant, id) = (ctx.tenant().clone(), session_id);
        let head = ctx
            .store()
            .read(move |c| {
                sessions::find_session(c, &tenant, &id, SessionKind::Device).map_err(Internal::from)
            })
            .await?;
        match head.filter(|head| head.state == SessionState::Ended) {
            Some(head) => revoke_upstream(&ctx, &head).await,
            None => Ok(()),
        }
    };
    match tokio::spawn(task.in_current_span()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "upstream revocation is left for later"),
        Err(error) => tracing::error!(%error, "upstream revocation stopped"),
    }
}

/// Revokes a session's current tokens at its server, then wipes them; or puts it off.
async fn revoke_upstream(ctx: &Ctx, head: &SessionHead) -> Result<(), Internal> {
    let id = head.session_id.clone();
    match try_revoke(ctx, head).await? {
        Ok(()) => {
            tracing::info!(session = %id, "session revoked at its server");
            ctx.store().write(move |c| sessions::complete_revocation(c, &id).map_err(Internal::from)).await?;
        }
        Err(reason) => {
            tracing::warn!(session = %id, reason, "session not revoked at its server yet");
            let until = ctx.now().plus(REVOKE_RETRY_SECONDS);
            ctx.store()
                .write(move |c| sessions::postpone_revocation(c, &id, until).map_err(Internal::from))
                .await?;
        }
    }
    Ok(())
}

/// `Ok(Ok(()))`: there is nothing left to revoke.
async fn try_revoke(ctx: &Ctx, head: &SessionHead) -> Result<Result<(), String>, Internal> {
    let (ring, id, iteration) = (ctx.ring(), head.session_id.clone(), head.iteration);
    let tokens = ctx
        .store()
        .read(move |c| sessions::find_token_set(c, &ring, &id, iteration).map_err(Internal::from))
        .await?;
    let Some(tokens) = tokens else { return Ok(Ok(())) };
    let Some(me) = ctx.upstream().identity(&head.upstream) else {
        return Ok(Err("the client key of this session is not loaded".to_owned()));
    };
    let server = match ctx.atproto().server_by_issuer(&head.upstream.issuer).await {
        Ok(server) => server,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let dpop = EcKey::from_private_jwk(&tokens.dpop_key)?;
    let token = tokens.refresh_token.as_ref().unwrap_or(&tokens.access_token);
    Ok(ctx.atproto().revoke(&server, &me, &dpop, token).await.map_err(|error| error.to_string()))
}
