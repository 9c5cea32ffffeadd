//! The operator's view of sessions: listing, counting and ending them, whatever their kind and account.

use causeway_domain::session::SessionHead;
use causeway_types::{ClientId, Did, SessionKind, SessionState, TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::paging::{Page, PageRequest};
use crate::schema::upstream_session::dsl;
use crate::sessions::{self, HeadRow, Reach};

/// Selects sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Sessions of this user.
    pub did: Option<Did>,
    /// Sessions of this client.
    pub client_id: Option<ClientId>,
    /// Include ended sessions.
    pub ended: bool,
}

/// Lists a page of a tenant's sessions, the newest first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_sessions(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    filter: &SessionFilter,
    wanted: &PageRequest,
) -> Result<Page<SessionHead>, StoreError> {
    // Session ids begin with the time at which the session began.
    let mut query = dsl::upstream_session
        .filter(dsl::tenant_id.eq(tenant_id.as_str().to_owned()))
        .filter(dsl::deleted_at.is_null())
        .order(dsl::session_id.desc())
        .limit(wanted.look_ahead())
        .select(HeadRow::as_select())
        .into_boxed();
    if !filter.ended {
        query = query.filter(dsl::ended_at.is_null());
    }
    if let Some(did) = &filter.did {
        query = query.filter(dsl::did.eq(did.as_str().to_owned()));
    }
    if let Some(client_id) = &filter.client_id {
        query = query.filter(dsl::client_id.eq(client_id.as_str().to_owned()));
    }
    if let Some(after) = &wanted.after {
        query = query.filter(dsl::session_id.lt(after.clone()));
    }
    let heads = query.load::<HeadRow>(c)?.into_iter().map(HeadRow::into_domain).collect::<Result<_, _>>()?;
    Ok(wanted.page(heads, |head: &SessionHead| head.session_id.as_str().to_owned()))
}

/// Counts live sessions of all tenants by kind and state.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn count_live_sessions(
    c: &mut AnyConnection,
) -> Result<Vec<(SessionKind, SessionState, i64)>, StoreError> {
    let rows: Vec<(String, String, i64)> = dsl::upstream_session
        .filter(dsl::ended_at.is_null())
        .group_by((dsl::session_kind, dsl::state))
        .select((dsl::session_kind, dsl::state, diesel::dsl::count_star()))
        .order((dsl::session_kind, dsl::state))
        .load(c)?;
    let known = |(kind, state, count): (String, String, i64)| {
        Some((SessionKind::parse(&kind)?, SessionState::parse(&state)?, count))
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

/// Finds a session of a tenant, whatever its kind.
///
/// # Errors
/// [`StoreError`] when a query fails or the row is corrupt.
pub fn find_session(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    session_id: &UpstreamSessionId,
) -> Result<Option<SessionHead>, StoreError> {
    sessions::find_session_of_token(c, tenant_id, session_id)
}

/// Ends a page of the selected live sessions: their tokens are revoked at once, and their revocation at the
/// PDS is due. Returns the ended ones; call again for the next page until there is none.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn end_sessions(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    filter: &SessionFilter,
    wanted: &PageRequest,
    now: Timestamp,
) -> Result<Page<SessionHead>, StoreError> {
    let live = SessionFilter { ended: false, ..filter.clone() };
    let Page { items, next } = list_sessions(c, tenant_id, &live, wanted)?;
    let mut ended = Vec::with_capacity(items.len());
    for session in items {
        if sessions::end(c, Reach::All, &session.session_id, now)? {
            ended.push(session);
        }
    }
    Ok(Page { items: ended, next })
}
