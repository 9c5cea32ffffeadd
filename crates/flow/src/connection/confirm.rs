//! A client's confirmation that it was its user who finished a connect session: a link could have been sent to somebody
//! else, whose account is never attached to the client's user.

use causeway_domain::connection::Connection;
use causeway_store::connections::connect_sessions::{self, Confirmation, Confirmed};
use causeway_store::connections::{credentials, heads, listings, page_credentials, reconnect, users};
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::sessions::upkeep;
use causeway_store::{StoreError, TenantScope};
use causeway_types::secret::{ConnectCode, PlainToken};
use causeway_types::{ErrorCode, SessionState, Timestamp, UpstreamSessionId};

use crate::connection::connect_session::is_entitled;
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
    /// The operator has withdrawn the provider, or background connections, from the client.
    #[error("this client may not connect accounts like this any more: ask the operator of this server")]
    NotEntitled,
    /// The user is connected with a refresh token, and the new authorization has none: what is there stays.
    #[error(
        "the provider issued no refresh token, and the connection that is there has one: it stays, and the new one was given back"
    )]
    NoRefreshToken {
        /// The connection that was not confirmed.
        given_back: UpstreamSessionId,
    },
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
            Self::NotEntitled => ErrorCode::UnauthorizedClient,
            Self::NoRefreshToken { .. } => ErrorCode::RefreshTokenMissing,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Confirms that connections are this user's: one, or several that were made by one sign-in. Each takes the place of the one that was there before, or, where one was
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
) -> Result<Vec<Connection>, ConfirmError> {
    let user = own.user(user_id).map_err(|_| ConfirmError::UserId)?;
    let (now, tenant_id, client_id) = (ctx.now(), own.tenant_id.clone(), own.client.client_id.clone());
    let event = audit::event(ctx, Actor::Client, "connect", "confirmed").of_client(&client_id);
    let (inner, hash, client) = (ctx.clone(), code.hash(), std::sync::Arc::clone(&own.client));
    let store = own.store(ctx);
    let done = store.write(move |scope| {
        let confirmation =
            Confirmation { tenant_id: &tenant_id, client_id: &client_id, user: &user, code: &hash };
        let confirmed = connect_sessions::consume_connect_code(scope.connection(), confirmation, now)?;
        let Some(confirmed) = confirmed else { return Ok(Err(ConfirmError::Code)) };
        for one in &confirmed {
            let Some(pending) = heads::find_connection(scope, &one.unconfirmed_id)? else {
                return Ok(Err(ConfirmError::Code));
            };
            if !is_entitled(&client, pending.head.provider(), pending.head.kind) {
                return Ok(Err(ConfirmError::NotEntitled));
            }
        }
        let (mut connections, mut all) = (Vec::new(), Vec::new());
        for one in &confirmed {
            let followed = match confirm_in(scope, &inner, one, now)? {
                Confirming::Done(followed) => followed,
                Confirming::Gone => return Ok(Err(ConfirmError::Code)),
                Confirming::NoRefreshToken => {
                    return Ok(Err(ConfirmError::NoRefreshToken { given_back: one.unconfirmed_id.clone() }));
                }
            };
            let Some(connection) = heads::find_connection(scope, &followed.connection_id)? else {
                return Ok(Err(ConfirmError::Code));
            };
            insert_audit_event(scope.connection(), &event.clone().of_connection(&connection))?;
            connections.push(connection);
            all.push(followed);
        }
        Ok::<_, Internal>(Ok((connections, all)))
    });
    let (connections, all) = match done.await? {
        Ok(done) => done,
        Err(error) => {
            if let ConfirmError::NoRefreshToken { given_back } = &error {
                revocation::revoke_soon(ctx, given_back).await;
            }
            return Err(error);
        }
    };
    trace::correlate(connections.first().and_then(|first| first.head.correlation_id.as_ref()));
    for followed in all {
        follow_up(ctx, followed).await;
    }
    Ok(connections)
}

/// The work that is left once a confirmation is committed.
#[derive(Debug)]
pub(super) struct Followed {
    /// The connection that the client sees.
    pub(super) connection_id: UpstreamSessionId,
    /// The session that ended for it: the connection that it takes the place of, or the access that was replaced.
    ended: Option<UpstreamSessionId>,
}

/// The result of a confirmation.
#[derive(Debug)]
pub(super) enum Confirming {
    /// The connection is the user's.
    Done(Followed),
    /// It has ended meanwhile, or is not to the account of the one that is connected again. Nothing was changed.
    Gone,
    /// It has no refresh token, and would take the place of a live connection to the same account that has one. It was ended.
    NoRefreshToken,
}

/// Confirms an unconfirmed connection in a transaction. Confirmations of one user wait for each other.
pub(super) fn confirm_in(
    scope: &mut TenantScope<'_>,
    ctx: &Ctx,
    confirmed: &Confirmed,
    now: Timestamp,
) -> Result<Confirming, Internal> {
    let Confirmed { connection_id, unconfirmed_id } = confirmed;
    let Some(found) = heads::find_connection(scope, unconfirmed_id)? else { return Ok(Confirming::Gone) };
    users::lock_user(scope, &found.slot.user)?;
    let Some(pending) = heads::find_connection(scope, unconfirmed_id)? else { return Ok(Confirming::Gone) };
    if pending.head.state != SessionState::Pending {
        return Ok(Confirming::Gone);
    }
    let reconnected = if connection_id == unconfirmed_id { None } else { find_live(scope, connection_id)? };
    let is_reconnection = reconnected.is_some();
    let before = match (reconnected, heads::find_superseded(scope, &pending)?) {
        (Some(reconnected), _) => Some(reconnected),
        (None, Some(superseded)) => find_live(scope, &superseded)?,
        (None, None) => None,
    };
    if let Some(before) = &before
        && loses_refresh_token(scope, ctx, before, &pending)?
    {
        heads::end_connection(scope, unconfirmed_id, now)?;
        return Ok(Confirming::NoRefreshToken);
    }
    if is_reconnection {
        let replaced_id = UpstreamSessionId::issued(ctx.rng(), ctx.unix_millis());
        let ring = ctx.ring();
        if !reconnect::reconnect(scope, &ring, connection_id, unconfirmed_id, &replaced_id, now)? {
            return Ok(Confirming::Gone);
        }
        keep_alive(scope, ctx, connection_id, now)?;
        let followed = Followed { connection_id: connection_id.clone(), ended: Some(replaced_id) };
        return Ok(Confirming::Done(followed));
    }
    listings::apply_listing(scope, unconfirmed_id, unconfirmed_id, now)?;
    if let Some(before) = &before {
        let id = &before.head.session_id;
        if before.identity_id == pending.identity_id {
            page_credentials::inherit_pages(scope, id, unconfirmed_id, pending.head.iteration, now)?;
        }
        heads::end_connection(scope, id, now)?;
    }
    let superseded = before.map(|before| before.head.session_id);
    if !heads::confirm_connection(scope, unconfirmed_id, now)? {
        // The one that it would have superseded stays.
        return Err(StoreError::Conflict("the connection was ended meanwhile").into());
    }
    keep_alive(scope, ctx, unconfirmed_id, now)?;
    Ok(Confirming::Done(Followed { connection_id: unconfirmed_id.clone(), ended: superseded }))
}

/// Finds a connection that has not ended; no refresh moves it from now on.
fn find_live(scope: &mut TenantScope<'_>, id: &UpstreamSessionId) -> Result<Option<Connection>, StoreError> {
    heads::lock_connection(scope, id)?;
    let is_live =
        |found: &Connection| matches!(found.head.state, SessionState::Active | SessionState::ReauthRequired);
    Ok(heads::find_connection(scope, id)?.filter(is_live))
}

/// Whether a live connection that has a refresh token would lose it to one of the same account that has none.
fn loses_refresh_token(
    scope: &mut TenantScope<'_>,
    ctx: &Ctx,
    before: &Connection,
    new: &Connection,
) -> Result<bool, Internal> {
    if before.head.state != SessionState::Active || before.identity_id != new.identity_id {
        return Ok(false);
    }
    let ring = ctx.ring();
    let mut has_refresh_token = |connection: &Connection| {
        let (id, iteration) = (&connection.head.session_id, connection.head.iteration);
        let found = credentials::find_user_credential(scope, &ring, id, iteration, false)?;
        Ok::<_, StoreError>(found.is_some_and(|credentials| credentials.refresh_token.is_some()))
    };
    Ok(has_refresh_token(before)? && !has_refresh_token(new)?)
}

/// Has a connection without an idle end renewed although nobody uses it.
fn keep_alive(
    scope: &mut TenantScope<'_>,
    ctx: &Ctx,
    connection_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), Internal> {
    let Some(found) = heads::find_connection(scope, connection_id)? else { return Ok(()) };
    if found.head.idle_end().is_some() {
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

/// Gives back what has ended.
pub(super) async fn follow_up(ctx: &Ctx, followed: Followed) {
    if let Some(ended) = &followed.ended {
        revocation::revoke_soon(ctx, ended).await;
    }
}
