//! Use of access tokens, and the end of a grant that two parties hold (RFC 9700 section 4.14.2).
//!
//! A late retry of a refresh token gets a pair of its own, and the pair before it is superseded if it was
//! never used: its response is taken for lost. If a superseded token is presented after all, its response was
//! not lost, and somebody else sent the retry. Nobody can say which of the two is the client, so the grant
//! ends for both.

use causeway_domain::session::SessionHead;
use causeway_domain::token::{AccessSubject, AccessToken};
use causeway_store::AnyConnection;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_store::tokens;
use causeway_types::{CorrelationId, TenantId, Timestamp, UpstreamSessionId};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::trace;
use crate::upstream::revocation;

/// The audit event for the reuse of a token.
pub(crate) fn audit_event(ctx: &Ctx) -> AuditEvent {
    audit::event(ctx, Actor::Client, "refresh_token_reuse", "revoked")
}

/// Ends the grant of a session; `false`: it had ended before.
pub(crate) fn end_grant(
    c: &mut AnyConnection,
    session: &SessionHead,
    event: &AuditEvent,
    now: Timestamp,
) -> Result<bool, Internal> {
    let ended = sessions::end_session(c, &session.session_id, now)?;
    if ended {
        insert_audit_event(c, &event.clone().of_session(session))?;
    }
    Ok(ended)
}

/// A grant that has been ended because two parties hold it.
pub(crate) struct EndedGrant {
    session_id: UpstreamSessionId,
    correlation_id: Option<CorrelationId>,
    /// The credential that showed it.
    reused: Reused,
}

/// The credential that a second party presented.
enum Reused {
    Code,
    Token,
}

impl EndedGrant {
    /// The grant of a code that was used before. Its session may have been deleted by now.
    pub(crate) fn of_code(session_id: &UpstreamSessionId, session: Option<SessionHead>) -> Self {
        let correlation_id = session.and_then(|session| session.correlation_id);
        Self { session_id: session_id.clone(), correlation_id, reused: Reused::Code }
    }

    /// The grant of a token that was used before, or superseded.
    pub(crate) fn of_token(session: SessionHead) -> Self {
        let SessionHead { session_id, correlation_id, .. } = session;
        Self { session_id, correlation_id, reused: Reused::Token }
    }
}

/// Logs the end of a grant and revokes its session upstream, after the end is committed.
pub(crate) async fn follow_up(ctx: &Ctx, ended: &EndedGrant) {
    trace::correlate(ended.correlation_id.as_ref());
    let session = &ended.session_id;
    match ended.reused {
        Reused::Code => tracing::warn!(%session, "authorization code reused: its grant is revoked"),
        Reused::Token => tracing::warn!(%session, "used or superseded token presented: its grant is revoked"),
    }
    revocation::revoke_soon(ctx, session).await;
}

/// Records that an access token was presented to a resource; `false`: it was superseded, possibly just now,
/// and its grant has been ended.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn note_use(ctx: &Ctx, token: &AccessToken) -> Result<bool, Internal> {
    let AccessSubject::User(user) = &token.subject else { return Ok(true) };
    let (tenant, hash, session_id) = (ctx.tenant().clone(), token.token.clone(), user.session_id.clone());
    let (event, now) = (audit_event(ctx), ctx.now());
    let ended = ctx
        .store()
        .write(move |c| {
            if !tokens::mark_access_token_used(c, &hash, now)? {
                let token = tokens::find_access_token(c, &hash)?;
                let superseded = token.map(|token| tokens::is_superseded(c, &token)).transpose()?;
                if superseded == Some(true) {
                    return end_by_id(c, &tenant, &session_id, &event, now);
                }
            }
            sessions::touch_session(c, &session_id, now)?;
            Ok(None)
        })
        .await?;
    match ended {
        None => Ok(true),
        Some(session) => {
            follow_up(ctx, &EndedGrant::of_token(session)).await;
            Ok(false)
        }
    }
}

/// Ends the grant of a superseded token that was presented.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn end_superseded_grant(ctx: &Ctx, session_id: &UpstreamSessionId) -> Result<(), Internal> {
    let (tenant, id) = (ctx.tenant().clone(), session_id.clone());
    let (event, now) = (audit_event(ctx), ctx.now());
    let ended = ctx.store().write(move |c| end_by_id(c, &tenant, &id, &event, now)).await?;
    if let Some(session) = ended {
        follow_up(ctx, &EndedGrant::of_token(session)).await;
    }
    Ok(())
}

/// Ends the grant of a session and returns the session; `None`: it had ended before.
fn end_by_id(
    c: &mut AnyConnection,
    tenant: &TenantId,
    id: &UpstreamSessionId,
    event: &AuditEvent,
    now: Timestamp,
) -> Result<Option<SessionHead>, Internal> {
    let Some(session) = sessions::find_session_of_token(c, tenant, id)? else { return Ok(None) };
    Ok(if end_grant(c, &session, event, now)? { Some(session) } else { None })
}
