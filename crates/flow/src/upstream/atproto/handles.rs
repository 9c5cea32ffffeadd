//! Handles for display. A handle can pass to another account, so a verified one is looked up again: at each
//! refresh, and when it is shown and an hour old. That happens in the background; a caller waits a moment for
//! it only when there is nothing else to show.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_domain::session::{HandleCheck, SessionHead};
use causeway_store::sessions::upkeep::{self, VerifiedAccount};
use causeway_types::{Handle, Timestamp, UpstreamSessionId};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::timeout;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::atproto::adapter::{Found, find_account};
use crate::upstream::traits::NoAnswer;

/// How long a caller waits that has no handle to show.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds until a failed look-up is tried again.
const RETRY_SECONDS: i64 = 60;
/// Look-ups that are under way or have failed lately; beyond them none is begun.
const CAPACITY: usize = 1024;

/// A look-up that those who wait for it share.
type Check = Shared<BoxFuture<'static, Option<HandleCheck>>>;

/// The look-ups of this process.
#[derive(Debug, Default)]
pub(crate) struct HandleChecks(Mutex<HashMap<UpstreamSessionId, State>>);

#[derive(Debug)]
enum State {
    UnderWay(Check),
    FailedAt(Timestamp),
}

impl HandleChecks {
    fn all(&self) -> MutexGuard<'_, HashMap<UpstreamSessionId, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The look-up of a session's handle: the one that is under way, or one that `begin` begins. `None`: the last one
    /// failed a moment ago, or there are too many.
    fn join(&self, id: &UpstreamSessionId, now: Timestamp, begin: impl FnOnce() -> Check) -> Option<Check> {
        let mut all = self.all();
        let is_over = |at: Timestamp| !(0..RETRY_SECONDS).contains(&now.since(at));
        match all.get(id) {
            Some(State::UnderWay(check)) if check.peek().is_none() => return Some(check.clone()),
            Some(State::FailedAt(at)) if !is_over(*at) => return None,
            _ => {}
        }
        if all.len() >= CAPACITY {
            all.retain(|_, state| !matches!(state, State::FailedAt(at) if is_over(*at)));
            if all.len() >= CAPACITY {
                return None;
            }
        }
        let check = begin();
        all.insert(id.clone(), State::UnderWay(check.clone()));
        Some(check)
    }

    fn end(&self, id: &UpstreamSessionId, outcome: Option<&HandleCheck>, now: Timestamp) {
        let mut all = self.all();
        match outcome {
            None | Some(HandleCheck::Unknown) => all.insert(id.clone(), State::FailedAt(now)),
            Some(_) => all.remove(id),
        };
    }
}

/// The handle of a session's account as it may be shown now; `None`: it has none that verifies.
pub(crate) async fn shown(ctx: &Ctx, head: &SessionHead) -> Option<Handle> {
    let (now, account) = (ctx.now(), head.atproto().ok()?);
    if !account.handle_is_due(now) {
        return account.handle.clone();
    }
    let check = ctx.handle_checks().join(&head.session_id, now, || begin(ctx, head));
    if account.verified_lately(now) {
        return account.handle.clone();
    }
    match timeout(TIMEOUT, check?).await.ok()?? {
        HandleCheck::Verified(handle) => Some(handle),
        HandleCheck::None | HandleCheck::Unknown => None,
    }
}

fn begin(ctx: &Ctx, head: &SessionHead) -> Check {
    let (detached, head) = (ctx.clone(), head.clone());
    let work = ctx.start(async move {
        let found = check(&detached, &head).await;
        if let Err(error) = &found {
            tracing::info!(%error, "the handle of an account was not verified again");
        }
        let found = found.ok();
        detached.handle_checks().end(&head.session_id, found.as_ref(), detached.now());
        found
    });
    work.map(|done| done.ok().flatten()).boxed().shared()
}

/// Resolves the account again, handle and server, and stores the result.
async fn check(ctx: &Ctx, head: &SessionHead) -> Result<HandleCheck, NoAnswer> {
    let account = head.atproto().map_err(NoAnswer::because)?;
    match find_account(ctx.atproto(), account).await {
        Found::Here { pds, handle } => {
            let verified = VerifiedAccount { pds, handle: handle.clone(), at: ctx.now() };
            let id = head.session_id.clone();
            let note = move |c: &mut _| upkeep::note_verified(c, &id, &verified).map_err(Internal::from);
            ctx.store().write(note).await.map_err(NoAnswer::because)?;
            Ok(handle)
        }
        // The session has ended, which its next refresh finds out.
        Found::Gone => Ok(HandleCheck::Unknown),
        Found::Unknown(error) => Err(error),
    }
}
