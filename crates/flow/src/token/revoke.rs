//! Token revocation (RFC 7009).

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_domain::token::{AccessSubject, AccessToken, RefreshRevocation, RefreshToken};
use causeway_store::operations::admin;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions;
use causeway_store::tokens;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::{ClientType, CorrelationId, SessionKind, Timestamp, UpstreamSessionId};

use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::operations::trace;
use crate::token::presented::{FoundToken, PresentedToken};
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
#[tracing::instrument(name = "flow.revoke", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn revoke(ctx: &Ctx, authenticated: &AuthenticatedClient, token: &str) -> Result<(), RevokeError> {
    let (presented, session_id) = (PresentedToken::new(token), UpstreamSessionId::new(token));
    let token_revocation = TokenRevocation {
        client: Arc::clone(&authenticated.client),
        now: ctx.now(),
        event: audit::event(ctx, Actor::Client, "revocation", "ok")
            .of_client(&authenticated.client.client_id),
        reused: superseded::audit_event(ctx),
    };
    let authenticated = authenticated.clone();
    let ended = ctx
        .store()
        .write(move |c| {
            authenticated.consume::<RevokeError>(c)?;
            Ok::<_, RevokeError>(token_revocation.run(c, &presented, &session_id)?)
        })
        .await?;
    if let Some(EndedGrant { session_id, correlation_id }) = ended {
        trace::correlate(correlation_id.as_ref());
        tracing::info!(session = %session_id, "grant revoked by its client");
        revocation::revoke_soon(ctx, &session_id).await;
    }
    Ok(())
}

/// A grant that has ended, with its session.
struct EndedGrant {
    session_id: UpstreamSessionId,
    correlation_id: Option<CorrelationId>,
}

impl From<SessionHead> for EndedGrant {
    fn from(session: SessionHead) -> Self {
        Self { session_id: session.session_id, correlation_id: session.correlation_id }
    }
}

struct TokenRevocation {
    client: Arc<Client>,
    now: Timestamp,
    /// The audit event for what is revoked.
    event: AuditEvent,
    /// The audit event for a superseded token.
    reused: AuditEvent,
}

impl TokenRevocation {
    /// Revokes a token of the client, or else a session by which the client gets tokens; returns the grant
    /// that has ended.
    fn run(
        &self,
        c: &mut AnyConnection,
        presented: &PresentedToken,
        session_id: &UpstreamSessionId,
    ) -> Result<Option<EndedGrant>, Internal> {
        match presented.find(c)?.filter(|found| *found.client_id() == self.client.client_id) {
            Some(FoundToken::Refresh(token)) => self.end_grant(c, token),
            Some(FoundToken::Access(token)) if tokens::is_superseded(c, &token)? => {
                self.end_superseded(c, &token)
            }
            Some(FoundToken::Access(token)) => {
                self.revoke_access(c, &token)?;
                Ok(None)
            }
            None => self.end_background(c, session_id),
        }
    }

    /// Ends the grant of a refresh token.
    fn end_grant(&self, c: &mut AnyConnection, token: RefreshToken) -> Result<Option<EndedGrant>, Internal> {
        let superseded = token.revoked == Some(RefreshRevocation::Superseded);
        let ended = token.revoked.is_some() || token.expires_at.is_some_and(|end| end <= self.now);
        // A superseded one shows that two parties hold the grant, or that its client lacks the newer one.
        if ended && !superseded {
            return Ok(None);
        }
        // The client need not be notified: it asked for this itself.
        if !sessions::end_session_quietly(c, &token.session_id, self.now)? {
            return Ok(None);
        }
        let session = admin::find_session(c, &self.client.tenant_id, &token.session_id)?;
        if let Some(session) = &session {
            insert_audit_event(c, &self.event.clone().of_session(session))?;
        }
        let correlation_id = session.and_then(|session| session.correlation_id);
        Ok(Some(EndedGrant { session_id: token.session_id, correlation_id }))
    }

    /// Ends the grant of a superseded access token: two parties hold it.
    fn end_superseded(
        &self,
        c: &mut AnyConnection,
        token: &AccessToken,
    ) -> Result<Option<EndedGrant>, Internal> {
        let AccessSubject::User(user) = &token.subject else { return Ok(None) };
        let session = sessions::find_session_of_token(c, &self.client.tenant_id, &user.session_id)?;
        let Some(session) = session else { return Ok(None) };
        let ended = superseded::end_grant(c, &session, &self.reused, self.now)?;
        Ok(ended.then(|| session.into()))
    }

    /// Revokes one access token, whose session lives on. A client's own token has no session.
    fn revoke_access(&self, c: &mut AnyConnection, token: &AccessToken) -> Result<(), StoreError> {
        if !tokens::revoke_access_token(c, &token.token)? {
            return Ok(());
        }
        let session = match &token.subject {
            AccessSubject::User(user) => admin::find_session(c, &self.client.tenant_id, &user.session_id)?,
            AccessSubject::Client => None,
        };
        let event = self.event.clone().with("token_type", "access_token");
        let event = match &session {
            Some(session) => event.of_session(session),
            None => event,
        };
        insert_audit_event(c, &event)
    }

    /// Ends a background session of a client that has authenticated.
    fn end_background(
        &self,
        c: &mut AnyConnection,
        session_id: &UpstreamSessionId,
    ) -> Result<Option<EndedGrant>, Internal> {
        let Self { client, now, event, .. } = self;
        if client.client_type() == ClientType::Public {
            return Ok(None);
        }
        let found =
            sessions::find_live_session_of_client(c, &client.tenant_id, &client.client_id, session_id, *now)?;
        let Some(found) = found.filter(|found| found.head.kind == SessionKind::Background) else {
            return Ok(None);
        };
        if !sessions::end_session(c, session_id, *now)? {
            return Ok(None);
        }
        insert_audit_event(c, &event.clone().of_session(&found.head))?;
        Ok(Some(found.head.into()))
    }
}
