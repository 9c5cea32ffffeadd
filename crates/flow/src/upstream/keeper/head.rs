//! The head of a session as it is now.

use causeway_domain::session::SessionHead;
use causeway_store::{AnyConnection, sessions};
use causeway_types::SessionState;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::session::{SessionError, reauth_required};
use crate::upstream::usable::UsableSession;

/// The tokens of the head that was seen, or of the one that took its place meanwhile, whatever their age.
pub(super) async fn current(ctx: &Ctx, seen: &SessionHead) -> Result<UsableSession, SessionError> {
    let (ring, wanted) = (ctx.ring(), seen.clone());
    let known =
        ctx.store().find(move |c| sessions::find_credentials(c, &ring, &wanted).map_err(Internal::from));
    if let Some(credentials) = known.await? {
        check_state(ctx, seen)?;
        return Ok(UsableSession { head: seen.clone(), credentials });
    }
    // In one snapshot, in which a live head is never without its credentials.
    let (ring, wanted) = (ctx.ring(), seen.clone());
    let found = ctx
        .store()
        .read(move |c| {
            let Some(head) = find_head(c, &wanted)? else { return Ok::<_, Internal>(None) };
            let credentials = sessions::find_credentials(c, &ring, &head)?;
            Ok(Some((head, credentials)))
        })
        .await?;
    let (head, credentials) = found.ok_or(SessionError::Ended)?;
    check_state(ctx, &head)?;
    // Only the end of a session deletes the credentials of its head.
    Ok(UsableSession { head, credentials: credentials.ok_or(SessionError::Ended)? })
}

fn find_head(c: &mut AnyConnection, seen: &SessionHead) -> Result<Option<SessionHead>, Internal> {
    Ok(sessions::find_session(c, &seen.tenant_id, &seen.session_id, seen.kind)?)
}

/// Checks that a session is active.
pub(super) fn check_state(ctx: &Ctx, head: &SessionHead) -> Result<(), SessionError> {
    match head.state_at(ctx.now()) {
        SessionState::Active => Ok(()),
        SessionState::ReauthRequired => Err(reauth_required(ctx, head)),
        SessionState::Pending | SessionState::Ended => Err(SessionError::Ended),
    }
}

/// The current head compared with the one that was seen before.
pub(super) enum Evaluation {
    /// It is past the iteration that was seen.
    Moved(SessionHead),
    /// It is where it was, and a refresh may be tried.
    Same(SessionHead),
}

/// Reads the head again; an error if there is nothing to refresh or it is too soon.
pub(super) async fn evaluate(ctx: &Ctx, seen: &SessionHead) -> Result<Evaluation, SessionError> {
    let wanted = seen.clone();
    let head = ctx.store().find(move |c| find_head(c, &wanted)).await?.ok_or(SessionError::Ended)?;
    check_state(ctx, &head)?;
    if head.iteration > seen.iteration {
        return Ok(Evaluation::Moved(head));
    }
    match head.cooldown.seconds_left(ctx.now()) {
        Some(retry_after) => Err(SessionError::Unavailable { retry_after }),
        None => Ok(Evaluation::Same(head)),
    }
}
