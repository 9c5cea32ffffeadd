//! Token revocation (RFC 7009).

use causeway_domain::client::{Client, ClientType};
use causeway_domain::grant::{AccessSubject, AccessToken, RefreshRevocation};
use causeway_domain::secret::{Access, PlainToken, Refresh};
use causeway_domain::{ClientId, CorrelationId, SessionKind, Timestamp, UpstreamSessionId};
use causeway_store::operations::admin;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_store::tokens;
use causeway_store::{AnyConnection, StoreError};

use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::trace;
use crate::token::superseded;
use crate::upstream::revocation;

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// A single-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for RevokeError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Revokes a token of an authenticated client. A token that is unknown or another client's is not an error
/// (RFC 7009 section 2.2), and stays as it is.
///
/// Revoking a refresh token ends its whole grant, including the session at the user's authorization server
/// (section 2.1); revoking an access token ends that alone. The identifier of a background session counts as
/// a token of a client that authenticates: such a client exchanges it for tokens.
///
/// # Errors
/// [`RevokeError`]: nothing was revoked then.
#[tracing::instrument(name = "flow.revoke", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn revoke(ctx: &Ctx, caller: &AuthenticatedClient, token: &str) -> Result<(), RevokeError> {
    let refresh = PlainToken::<Refresh>::presented(token).hash();
    let access = PlainToken::<Access>::presented(token).hash();
    let session = UpstreamSessionId::new(token);
    let (caller, now) = (caller.clone(), ctx.now());
    let event = audit::event(ctx, Actor::Client, "revocation", "ok").of_client(&caller.client.client_id);
    let reused = superseded::audit_event(ctx);
    let ended: Option<(UpstreamSessionId, Option<CorrelationId>)> = ctx
        .store()
        .write(move |c| {
            caller.consume::<RevokeError>(c)?;
            let own = |owner: &ClientId| *owner == caller.client.client_id;
            if let Some(token) = tokens::find_refresh_token(c, &refresh)?.filter(|t| own(&t.client_id)) {
                let superseded = token.revoked == Some(RefreshRevocation::Superseded);
                let ended = token.revoked.is_some() || token.expires_at.is_some_and(|end| end <= now);
                // A superseded one shows that two parties hold the grant, or that its client lacks the newer
                // one.
                if ended && !superseded {
                    return Ok::<_, RevokeError>(None);
                }
                // The client need not be notified: it asked for this itself.
                let ended = sessions::end_session_quietly(c, &token.session_id, now)?;
                if !ended {
                    return Ok(None);
                }
                let session = admin::find_session(c, &caller.client.tenant_id, &token.session_id)?;
                if let Some(session) = &session {
                    insert_audit_event(c, &event.clone().of_session(session))?;
                }
                return Ok(Some((token.session_id, session.and_then(|session| session.correlation_id))));
            }
            if let Some(token) = tokens::find_access_token(c, &access)?.filter(|t| own(&t.client_id)) {
                if tokens::is_superseded(c, &token)? {
                    return Ok(end_superseded(c, &caller.client, &token, &reused, now)?);
                }
                if tokens::revoke_access_token(c, &token.token)? {
                    let event = of_access_token(c, &caller.client, &event, &token)?;
                    insert_audit_event(c, &event)?;
                }
                return Ok(None);
            }
            end_background(c, &caller.client, &session, &event, now).map_err(RevokeError::from)
        })
        .await?;
    if let Some((session_id, correlation_id)) = ended {
        trace::correlate(correlation_id.as_ref());
        tracing::info!(session = %session_id, "grant revoked by the client");
        revocation::revoke_soon(ctx, &session_id).await;
    }
    Ok(())
}

/// Ends the grant of a superseded access token: two parties hold it.
fn end_superseded(
    c: &mut AnyConnection,
    client: &Client,
    token: &AccessToken,
    event: &AuditEvent,
    now: Timestamp,
) -> Result<Option<(UpstreamSessionId, Option<CorrelationId>)>, Internal> {
    let AccessSubject::User(user) = &token.subject else { return Ok(None) };
    let session = sessions::find_session_of_token(c, &client.tenant_id, &user.session_id)?;
    let Some(session) = session else { return Ok(None) };
    let ended = superseded::end_grant(c, &session, event, now)?;
    Ok(ended.then_some((session.session_id, session.correlation_id)))
}

/// The audit event for one access token, whose session lives on. A client's own token has no session.
fn of_access_token(
    c: &mut AnyConnection,
    client: &Client,
    event: &AuditEvent,
    token: &AccessToken,
) -> Result<AuditEvent, StoreError> {
    let session = match &token.subject {
        AccessSubject::User(user) => admin::find_session(c, &client.tenant_id, &user.session_id)?,
        AccessSubject::Client => None,
    };
    let event = event.clone().with("token_type", "access_token");
    Ok(match &session {
        Some(session) => event.of_session(session),
        None => event,
    })
}

/// Ends a background session of a client that has authenticated.
fn end_background(
    c: &mut AnyConnection,
    client: &Client,
    session_id: &UpstreamSessionId,
    event: &AuditEvent,
    now: Timestamp,
) -> Result<Option<(UpstreamSessionId, Option<CorrelationId>)>, StoreError> {
    if client.client_type() == ClientType::Public {
        return Ok(None);
    }
    let found =
        sessions::find_live_session_of_client(c, &client.tenant_id, &client.client_id, session_id, now)?;
    let Some(found) = found.filter(|found| found.head.kind == SessionKind::Background) else {
        return Ok(None);
    };
    if !sessions::end_session(c, session_id, now)? {
        return Ok(None);
    }
    insert_audit_event(c, &event.clone().of_session(&found.head))?;
    Ok(Some((found.head.session_id, found.head.correlation_id)))
}
