//! Changes of credentials by answers to ordinary calls: merged under the lock of the head on to what is there then.

use std::time::Duration;

use causeway_domain::session::{Credentials, SessionHead};
use causeway_store::connections::{credentials, heads};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::{AnyConnection, TenantScope};
use causeway_types::SessionState;
use tokio::time::timeout;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::answer::write_tenant_answer;
use crate::upstream::traits::CredentialsUpdate;
use crate::upstream::usable::UsableSession;

/// How long an answer waits until what it changed is stored. It is stored in any case.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Stores what an answer to a call with `live` changes, and returns the session as it is then; `None` when it has ended, or is
/// of another authorization by now.
pub(crate) async fn absorb(
    ctx: &Ctx,
    live: &UsableSession,
    update: CredentialsUpdate,
) -> Option<UsableSession> {
    let (detached, head) = (ctx.clone(), live.head.clone());
    let storing = ctx.start(async move { store(&detached, &head, &update).await });
    let outcome = match timeout(STORE_TIMEOUT, storing).await {
        Ok(stored) => stored.map_err(Internal::from).flatten(),
        Err(_) => Err(Internal::Slow),
    };
    outcome.unwrap_or_else(|error| {
        tracing::warn!(%error, session = %live.head.session_id, "what an answer changed of a session is not stored yet");
        None
    })
}

async fn store(
    ctx: &Ctx,
    seen: &SessionHead,
    update: &CredentialsUpdate,
) -> Result<Option<UsableSession>, Internal> {
    write_tenant_answer(ctx, &seen.tenant_id, || {
        let (ring, seen, update, now) = (ctx.ring(), seen.clone(), update.clone(), ctx.now());
        move |scope: &mut TenantScope<'_>| {
            heads::lock_connection(scope, &seen.session_id)?;
            let Some(found) = heads::find_connection(scope, &seen.session_id)? else { return Ok(None) };
            let head = found.head;
            // Each authorization has a correlation identifier of its own.
            if head.state == SessionState::Ended || head.correlation_id != seen.correlation_id {
                return Ok(None);
            }
            let current =
                credentials::find_user_credential(scope, &ring, &head.session_id, head.iteration, false)?;
            let Some(current) = current else { return Ok(None) };
            let changed = update.apply(&current)?;
            if changed != current {
                credentials::replace_secrets(scope, &ring, &head.session_id, head.iteration, &changed, now)?;
            }
            Ok(Some(UsableSession { head, credentials: changed }))
        }
    })
    .await
}

/// The credentials of a renewal, on to those that are there now; `None` when the head has moved.
pub(super) fn onto_current(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    head: &SessionHead,
    update: &CredentialsUpdate,
) -> Result<Option<Credentials>, Internal> {
    heads::lock_credentials(c, ring, head)?.map(|current| update.apply(&current)).transpose()
}
