//! Answers of token endpoints, kept from the moment they arrive until their credentials are those of a connection, or are
//! given back. What a crash leaves is given back later.

use causeway_domain::connection::{WorkItem, WorkKind};
use causeway_domain::session::Pending;
use causeway_store::connections::{pending, work_queue};
use causeway_store::{AnyConnection, StoreError};
use causeway_types::secret::ProviderState;
use causeway_types::{TenantId, TokenHash};
use futures_util::future::join_all;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::answer::write_answer;
use crate::upstream::traits::{NoAnswer, Redeemed};

/// Seconds after which an answer is given back that nobody has settled: far longer than it takes to judge it.
const GIVE_BACK_SECONDS: i64 = 900;
/// Seconds for which giving back is tried.
const KEPT_SECONDS: i64 = 14 * 86_400;
/// Seconds for which one process claims an answer, and until a failed try is repeated.
const CLAIM_SECONDS: i64 = 300;
/// Answers that one step gives back, concurrently.
const BATCH: i64 = 20;

/// An answer that is kept.
#[derive(Clone, Debug)]
pub(crate) struct KeptAnswer {
    /// The authorization.
    pub(crate) state: TokenHash<ProviderState>,
    work: WorkItem,
}

impl KeptAnswer {
    /// Erases the answer, in the transaction in which its credentials become those of a connection; `false` when it was
    /// settled before, or somebody is giving it back.
    pub(crate) fn use_up(&self, c: &mut AnyConnection) -> Result<bool, StoreError> {
        Ok(work_queue::complete_work(c, &self.work)? && pending::settle_answer(c, &self.state)?)
    }

    /// Erases the answer, once it is given back; `false` when it was settled before.
    fn settle(&self, c: &mut AnyConnection) -> Result<bool, StoreError> {
        let is_settled = pending::settle_answer(c, &self.state)?;
        // If another process has claimed the work, it finds nothing to give back.
        work_queue::complete_work(c, &self.work)?;
        Ok(is_settled)
    }
}

/// Keeps what a provider issued, before anything of it is judged or used.
///
/// # Errors
/// When the database does not take it for half an hour, or the authorization is gone.
pub(crate) async fn keep(
    ctx: &Ctx,
    tenant_id: &TenantId,
    state: &TokenHash<ProviderState>,
    redeemed: &Redeemed,
) -> Result<KeptAnswer, Internal> {
    let answer = redeemed.other()?.clone();
    let kept = write_answer(ctx, || {
        // A try may come long after the first one.
        let (ring, now, answer) = (ctx.ring(), ctx.now(), answer.clone());
        let work = WorkItem {
            tenant_id: tenant_id.clone(),
            kind: WorkKind::GiveBack,
            row_id: state.as_str().to_owned(),
            due_at: now.plus(GIVE_BACK_SECONDS),
        };
        let kept = KeptAnswer { state: state.clone(), work };
        move |c: &mut AnyConnection| {
            let is_kept = pending::keep_answer(c, &ring, &kept.state, &answer, now.plus(KEPT_SECONDS))?;
            work_queue::put_work(c, &kept.work)?;
            Ok(is_kept.then(|| kept.clone()))
        }
    });
    kept.await?.ok_or(Internal::Inconsistent("an authorization is gone"))
}

/// Gives back what is kept and will not be used, at once if the provider answers, else later.
pub(crate) async fn give_back(ctx: &Ctx, provider: &str, kept: KeptAnswer, redeemed: &Redeemed) {
    let given_back = async {
        let upstream = ctx.upstreams().named(provider).map_err(NoAnswer::because)?;
        upstream.give_back(&kept.work.tenant_id, redeemed).await
    };
    if let Err(error) = given_back.await {
        tracing::warn!(%error, "unused upstream tokens are given back later");
        return;
    }
    if let Err(error) = ctx.store().write(move |c| kept.settle(c).map_err(Internal::from)).await {
        tracing::warn!(%error, "unused upstream tokens were given back, and are erased later");
    }
}

/// Gives back the answers that are due: a crash has left them, or their provider did not answer before.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.give_back_due", skip_all)]
pub(crate) async fn give_back_due(ctx: &Ctx) -> Result<(), Internal> {
    loop {
        let now = ctx.now();
        let due = ctx
            .store()
            .write(move |c| {
                let until = now.plus(CLAIM_SECONDS);
                work_queue::claim_work(c, WorkKind::GiveBack, now, until, BATCH).map_err(Internal::from)
            })
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        for outcome in join_all(due.into_iter().map(|work| give_back_later(ctx, work))).await {
            outcome?;
        }
    }
}

async fn give_back_later(ctx: &Ctx, work: WorkItem) -> Result<(), Internal> {
    let state = TokenHash::from_stored(work.row_id.clone());
    let (ring, wanted) = (ctx.ring(), state.clone());
    let found = ctx
        .store()
        .read(move |c| pending::find_kept_answer(c, &ring, &wanted).map_err(Internal::from))
        .await?;
    let kept = KeptAnswer { state, work };
    let Some(found) = found else {
        return ctx.store().write(move |c| kept.settle(c).map(drop).map_err(Internal::from)).await;
    };
    give_back(ctx, &found.provider, kept, &Redeemed::Other(found.payload)).await;
    Ok(())
}

/// The data of a consumed authorization, as the provider's code has it.
pub(crate) fn pending_of(provider: &str, payload: &causeway_types::Secret) -> Pending {
    Pending::Other { provider: provider.to_owned(), data: payload.clone() }
}
