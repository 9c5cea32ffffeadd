//! A client's confirmation that it was its user who finished a connect session: a link could have been sent to somebody
//! else, whose account is never attached to the client's user.

use causeway_domain::connection::Connection;
use causeway_domain::session::{Credentials, SessionHead};
use causeway_store::connections::connect_sessions::{self, Confirmation, Confirmed};
use causeway_store::connections::reconnect::Reconnected;
use causeway_store::connections::{credentials, heads, reconnect};
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::sessions::upkeep;
use causeway_store::{StoreError, TenantScope};
use causeway_types::secret::{ConnectCode, PlainToken};
use causeway_types::{ErrorCode, SessionKind, SessionState, Timestamp, UpstreamSessionId};

use crate::connection::tenant_client::TenantClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::{audit, trace};
use crate::upstream::revocation;

/// Why a connection is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// A name that no user can have.
    #[error("user_id must have 1 to 255 characters, none of which is a control character")]
    UserId,
    /// The code is unknown, used, expired, another client's, or for another user: one text for all on purpose.
    #[error(
        "the connect_code is unknown, was already used, has expired, or is not for this user: codes are valid for 300 seconds"
    )]
    Code,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ConfirmError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UserId => ErrorCode::InvalidRequest,
            Self::Code => ErrorCode::InvalidGrant,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Confirms that a connection is this user's. It takes the place of the one that was there before, or, where one was
/// connected again, gives it its access.
///
/// # Errors
/// [`ConfirmError`].
#[tracing::instrument(name = "flow.connection.confirm", skip_all, fields(client_id = %own.client.client_id))]
pub async fn confirm(
    ctx: &Ctx,
    own: &TenantClient,
    code: &PlainToken<ConnectCode>,
    user_id: &str,
) -> Result<Connection, ConfirmError> {
    let user = own.user(user_id).map_err(|_| ConfirmError::UserId)?;
    let (now, tenant_id, client_id) = (ctx.now(), own.tenant_id.clone(), own.client.client_id.clone());
    let event = audit::event(ctx, Actor::Client, "connect", "confirmed").of_client(&client_id);
    let (inner, hash) = (ctx.clone(), code.hash());
    let store = own.store(ctx);
    let done = store.write(move |scope| {
        let confirmation =
            Confirmation { tenant_id: &tenant_id, client_id: &client_id, user: &user, code: &hash };
        let confirmed = connect_sessions::consume_connect_code(scope.connection(), confirmation, now)?;
        let Some(confirmed) = confirmed else { return Ok(None) };
        let Some(followed) = confirm_in(scope, &inner, &confirmed, now)? else { return Ok(None) };
        let Some(connection) = heads::find_connection(scope, &followed.connection_id)? else {
            return Ok(None);
        };
        insert_audit_event(scope.connection(), &event.clone().of_connection(&connection))?;
        Ok::<_, Internal>(Some((connection, followed)))
    });
    let (connection, followed) = done.await?.ok_or(ConfirmError::Code)?;
    trace::correlate(connection.head.correlation_id.as_ref());
    follow_up(ctx, followed).await;
    Ok(connection)
}

/// What is left to do once a confirmation is committed.
#[derive(Debug)]
pub(super) struct Followed {
    /// The connection that the client sees.
    pub(super) connection_id: UpstreamSessionId,
    superseded: Option<UpstreamSessionId>,
    replaced: Option<(SessionHead, Credentials)>,
}

impl Default for Followed {
    fn default() -> Self {
        Self { connection_id: UpstreamSessionId::new(""), superseded: None, replaced: None }
    }
}

/// Confirms an unconfirmed connection in a transaction; `None`, with nothing changed, when it has ended meanwhile.
pub(super) fn confirm_in(
    scope: &mut TenantScope<'_>,
    ctx: &Ctx,
    confirmed: &Confirmed,
    now: Timestamp,
) -> Result<Option<Followed>, Internal> {
    let Confirmed { connection_id, unconfirmed_id } = confirmed;
    if connection_id != unconfirmed_id
        && let Some(Reconnected { before, replaced }) =
            reconnect::reconnect(scope, &ctx.ring(), connection_id, unconfirmed_id, now)?
    {
        keep_alive(scope, ctx, connection_id, now)?;
        let replaced = replaced.map(|credentials| (before, credentials));
        return Ok(Some(Followed { connection_id: connection_id.clone(), superseded: None, replaced }));
    }
    let Some(pending) = heads::find_connection(scope, unconfirmed_id)? else { return Ok(None) };
    if pending.head.state != SessionState::Pending {
        return Ok(None);
    }
    let superseded = heads::find_superseded(scope, &pending)?;
    if let Some(before) = &superseded {
        heads::end_connection(scope, before, now)?;
    }
    if !heads::confirm_connection(scope, unconfirmed_id, now)? {
        // The one that it would have superseded stays.
        return Err(StoreError::Conflict("the connection was ended meanwhile").into());
    }
    keep_alive(scope, ctx, unconfirmed_id, now)?;
    Ok(Some(Followed { connection_id: unconfirmed_id.clone(), superseded, replaced: None }))
}

/// Has a background connection renewed although nobody uses it.
fn keep_alive(
    scope: &mut TenantScope<'_>,
    ctx: &Ctx,
    connection_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), Internal> {
    let Some(found) = heads::find_connection(scope, connection_id)? else { return Ok(()) };
    if found.head.kind != SessionKind::Background {
        return Ok(());
    }
    let (ring, iteration) = (ctx.ring(), found.head.iteration);
    let own = credentials::find_user_credential(scope, &ring, connection_id, iteration, false)?;
    let (Some(own), Ok(upstream)) = (own, ctx.upstreams().of(&found.head)) else { return Ok(()) };
    if let Some(due) = upstream.policy(&found.head, &own).keep_alive_at(now, ctx.jitter()) {
        upkeep::schedule_refresh(scope.connection(), connection_id, due)?;
    }
    Ok(())
}

/// Gives back what was replaced.
pub(super) async fn follow_up(ctx: &Ctx, followed: Followed) {
    if let Some(superseded) = &followed.superseded {
        revocation::revoke_soon(ctx, superseded).await;
    }
    let Some((head, replaced)) = followed.replaced else { return };
    let detached = ctx.clone();
    // The answer has not to wait for it. It is tried once: it is not stored any more.
    ctx.start(async move {
        let Ok(upstream) = detached.upstreams().of(&head) else { return };
        if let Err(error) = upstream.revoke(&head, &replaced).await {
            tracing::warn!(%error, "replaced upstream tokens were not revoked");
        }
    });
}
